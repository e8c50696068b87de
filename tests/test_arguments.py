"""A custom loop: the arguments of an agent are accepted or raise an error that names what to pass."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import tracerl

TWO = spaces.Box(-np.inf, np.inf, (4,), np.float32), spaces.Discrete(2)
ENGINES = [("reflect", "torch"), ("reflect", "fused"), ("eprop", "torch"), ("stream_ac", "fused")]
SEEN = [0.5, -1.0, 2.0, 0.0]


def made(agent: str, engine: str, **settings: Any) -> Any:
    small = {"agent.hidden": [20]} if agent == "stream_ac" else {"network.hidden": [4]}
    engines = {} if agent == "eprop" else {"engine": engine}
    return tracerl.make_agent(TWO, agent, {**small, **engines, **settings})


@pytest.mark.parametrize(("agent", "engine"), ENGINES)
def test_step_or_end_outside_an_episode_raises_an_error_and_changes_nothing(agent: str, engine: str) -> None:
    one = made(agent, engine)
    outside: Any = [("step", lambda: one.step(1.0, np.ones(4))), ("end", lambda: one.end(1.0, np.ones(4), True))]
    for after in (lambda: None, lambda: one.end(1.0, np.ones(4), False), one.reset_episode):
        after()
        before = {name: tensor.clone() for name, tensor in one.capture().items()}
        for method, call in outside:
            with pytest.raises(tracerl.ConfigError, match=rf"{method} must come within an episode.*agent\.start\(obs"):
                call()
        assert all(torch.equal(tensor, before[name]) for name, tensor in one.capture().items())
        one.start(np.ones(4))
        one.step(1.0, np.ones(4))


def test_loaded_state_in_an_episode_can_be_stepped() -> None:
    one, other, third = (made("reflect", "fused") for _ in range(3))
    one.start(np.ones(4))
    other.restore(one.capture())
    third.load_state_dict(one.state_dict())
    assert len({each.step(1.0, np.ones(4)) for each in (one, other, third)}) == 1


@pytest.mark.parametrize(("agent", "engine"), ENGINES)
def test_observations_may_be_lists_tensors_or_arrays_of_another_shape(agent: str, engine: str) -> None:
    forms: list[Any] = [
        np.array(SEEN, np.float32),
        SEEN,
        tuple(SEEN),
        torch.tensor(SEEN),
        np.array([SEEN]).reshape(2, 2),
    ]
    states = []
    for form in forms:
        one = made(agent, engine)
        one.start(form)
        one.step(1, form)
        states.append(one.capture())
    for state in states[1:]:
        assert all(torch.equal(tensor, states[0][name]) for name, tensor in state.items())


@pytest.mark.parametrize(("agent", "engine"), ENGINES)
@pytest.mark.parametrize(
    "wrong", [[1.0, 2.0], np.ones(5), np.ones(1), 3.0, None, "abcd", {"a": 1}, np.array(list("abcd"))], ids=str
)
def test_observation_of_another_size_raises_an_error_and_nothing_is_learned(
    agent: str, engine: str, wrong: Any
) -> None:
    one = made(agent, engine)
    one.start(SEEN)
    before = {name: tensor.clone() for name, tensor in one.capture().items()}
    with pytest.raises(tracerl.ConfigError, match="observation must hold 4 numbers, got "):
        one.step(1.0, wrong)
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.capture().items())


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_many_lifetimes_accept_lists_and_check_their_lengths(engine: str) -> None:
    arrays, lists = (made("reflect", engine, lifetimes=2) for _ in range(2))
    for step_type in (1, 2, 3):
        ours = arrays.advance(np.full(2, step_type), np.ones(2), np.array([SEEN, SEEN]))
        np.testing.assert_array_equal(ours, lists.advance([step_type] * 2, [1, 1], [SEEN, SEEN]))
    for step_types, rewards, observations, problem in (
        ([2, 2], [1, 1], [SEEN], r"observations must be of 2 lifetimes, got the shape \(1, 4\)"),
        ([2, 2], [1, 1], np.ones((4, 2)), r"observations must be of 2 lifetimes, got the shape \(4, 2\)"),
        ([2, 2], [1], [SEEN, SEEN], r"rewards must be of 2 lifetimes, got the shape \(1,\)"),
        ([2, 2], [[1], [1]], [SEEN, SEEN], r"rewards must be of 2 lifetimes, got the shape \(2, 1\)"),
        ([2, 2], ["1", "1"], [SEEN, SEEN], r"rewards must be real numbers, got \['1', '1'\]"),
        ([2, 2], [1, None], [SEEN, SEEN], r"rewards must be real numbers, got \[1, None\]"),
        ([2, 2], [1, 1j], [SEEN, SEEN], r"rewards must be real numbers, got \[\(1\+0j\), 1j\]"),
        ([2, 2], [1, 1], [SEEN, ["a"] * 4], r"observations must be real numbers"),
        ([2, 2], [1, 1], [SEEN, SEEN[:3]], r"observations must be an array, got"),
        ([2], [1, 1], [SEEN, SEEN], r"step_types must be one of tracerl.StepType for each of 2 lifetimes, got \[2\]"),
        ([2, 9], [1, 1], [SEEN, SEEN], r"step_types must be .*, got \[2, 9\]"),
        ([2, 1.5], [1, 1], [SEEN, SEEN], r"step_types must be .*, got \[2.0, 1.5\]"),
    ):
        with pytest.raises(tracerl.ConfigError, match=problem):
            arrays.advance(step_types, rewards, observations)


def test_agents_without_a_lifetimes_axis_check_their_steps() -> None:
    agents = tracerl.make_agent(tracerl.make_env("CartPole"), "random", {"lifetimes": 2}, seed=0)
    for step_types, rewards, observations, problem in (
        ([2, 2], [1, 1], [SEEN], "observations must be of 2 lifetimes, got 1"),
        ([2, 2], [1], [SEEN, SEEN], r"rewards must be of 2 lifetimes, got the shape \(1,\)"),
        ([2, 9], [1, 1], [SEEN, SEEN], r"step_types must be .*, got \[2, 9\]"),
    ):
        with pytest.raises(tracerl.ConfigError, match=problem):
            agents.advance(step_types, rewards, observations)
    assert len(agents.advance([1, 1], [0, 0], [SEEN, SEEN])) == 2


@pytest.mark.parametrize(("agent", "engine"), ENGINES)
def test_observations_that_are_no_real_numbers_are_named(agent: str, engine: str) -> None:
    one = made(agent, engine)
    one.start(SEEN)
    complex_numbers, times = np.ones(4) * 1j, np.zeros(4, "datetime64[s]")
    for seen in (complex_numbers, torch.ones(4) * 1j, list("1234"), times, [None] * 4, [10**400] * 4):
        with pytest.raises(tracerl.ConfigError, match="observation must hold 4 numbers, got"):
            one.step(1.0, seen)
    one.step(1.0, [1, 10**30, 2.5, True])


@pytest.mark.parametrize(("agent", "engine"), ENGINES)
def test_arrays_with_negative_strides_equal_their_copies(agent: str, engine: str) -> None:
    ours, theirs = made(agent, engine), made(agent, engine)
    for seen in (np.arange(8.0)[::-2], np.arange(4.0)[::-1]):
        assert ours.start(seen) == theirs.start(seen.copy())
    many = made(agent, engine, lifetimes=2)
    many.advance(np.ones(4, np.int8)[::-2], np.ones(2)[::-1], np.ones((2, 4))[::-1, ::-1])
    many.advance(np.full(2, 2)[::-1], np.ones(2)[::-1], np.ones((2, 4))[::-1, ::-1])


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_rewards_and_ends_of_other_types_are_named(engine: str) -> None:
    one = made("reflect", engine)
    one.start(SEEN)
    before = one.capture()
    for reward in (None, "x", "1", b"1", Decimal(1), 1j, np.ones(2), torch.ones(2)):
        with pytest.raises(tracerl.ConfigError, match="reward must be a real number, got ") as raised:
            one.step(reward, SEEN)
        assert repr(reward) in str(raised.value)
    with pytest.raises(tracerl.ConfigError, match="reward must be a real number that a float holds, got 1000"):
        one.step(10**400, SEEN)
    after = one.capture()
    assert all(torch.equal(after[name], before[name]) for name in before)
    one.step(np.array([1.0]), SEEN)
    one.step(Fraction(1, 2), SEEN)
    with pytest.raises(tracerl.ConfigError, match="terminated must be true or false, got 'False'"):
        one.end(1.0, SEEN, "False")
    one.end(1.0, SEEN, np.bool_(False))
    assert not one.in_episode


def test_arguments_of_the_functions_are_named() -> None:
    env, small = tracerl.make_env("CartPole"), {"network.hidden": [8], "engine": "torch"}
    agent, three = (tracerl.make_agent(env, settings={**small, "lifetimes": n}) for n in (1, 3))
    calls: Any = {
        "seed must be the argument seed": lambda: tracerl.make_agent(env, settings={**small, "seed": 7}),
        "settings must be a mapping": lambda: tracerl.make_agent(env, settings="network.hidden=[8]"),
        "settings must be a mapping by the": lambda: tracerl.make_env("CartPole", "env.kwargs.x=1"),
        "settings must be a mapping by": lambda: tracerl.launch("CartPole"),
        "folder must be a folder": lambda: tracerl.launch({"env": "CartPole"}, 3),
        "env must be a Gymnasium env, or a function": lambda: tracerl.evaluate(agent, "CartPole"),
        "env must be a Gymnasium env, or a function .* got None": lambda: tracerl.evaluate(agent, None),
        "env must make Gymnasium envs, made None": lambda: tracerl.evaluate(agent, lambda: None),
        "callbacks must be a list, got": lambda: tracerl.live(agent, env, 5, callbacks=tracerl.Every(5, print)),
        "milestones must be a list, got None": lambda: tracerl.live(agent, env, 5, milestones=None),
        "agent must be an agent, got the class": lambda: tracerl.live(type(agent), env, 5),
        "agent must be of one lifetime, got one of 3": lambda: tracerl.live(three, env, 5),
        "agent must be of one lifetime": lambda: tracerl.evaluate(three, env),
        "callbacks.Slow.every must be a whole number": lambda: tracerl.live(agent, env, 5, callbacks=[Slow("10")]),
        "callbacks.Slow.every must be .* got 0": lambda: tracerl.live(agent, env, 5, callbacks=[Slow(0)]),
    }
    for problem, call in calls.items():
        with pytest.raises(tracerl.ConfigError, match=f"^{problem}"):
            call()


def test_arguments_of_another_kind_are_named(tmp_path: Path) -> None:
    env, small = tracerl.make_env("CartPole"), {"network.hidden": [8], "engine": "torch"}
    agent = tracerl.make_agent(env, settings=small)
    wrong: dict[str, Callable[[Any], Any]] = {
        "path must be a path": tracerl.load,
        "path must be a path,": tracerl.load_agent,
        "path must be a path, got": agent.save,
        "settings must be a mapping": lambda value: tracerl.launch(value, tmp_path),
        "settings must be a mapping by the": lambda value: tracerl.make_network(3, 1, value or "network.ticks=2"),
        "callbacks must": lambda value: tracerl.evaluate(agent, env, 1, callbacks=value),
        "callbacks must each be": lambda value: tracerl.evaluate(agent, env, 1, callbacks=[value]),
        "interrupted must be a function": lambda value: tracerl.evaluate(agent, env, 1, interrupted=value),
        "function must be a function": lambda value: tracerl.Every(5, value),
    }
    for problem, call in wrong.items():
        for value in (None, 3):
            with pytest.raises(tracerl.ConfigError, match=f"^{problem}"):
                call(value)
    with pytest.raises(tracerl.ConfigError, match="^callbacks must each be on a schedule"):
        tracerl.evaluate(agent, env, 1, callbacks=[tracerl.Callback()])
    with pytest.raises(tracerl.ConfigError, match="^checkpoint must be a path, got 3"):
        (tmp_path / "checkpoints").mkdir()
        tracerl.load(tmp_path, 3)


@pytest.mark.parametrize("agent", ["reflect", "reflect_classic", "random"])
def test_state_that_is_no_mapping_is_named(agent: str) -> None:
    for lifetimes in (1, 2):
        made = tracerl.make_agent(TWO, agent, {"lifetimes": lifetimes})
        for wrong in (None, 3):
            with pytest.raises(tracerl.ConfigError, match=f"^state must be tensors by name, .* got {wrong}"):
                made.restore(wrong)
        state = made.capture()
        name = next(iter(state))
        with pytest.raises(tracerl.ConfigError, match=f"^state must be tensors .* got None as '{name}'"):
            made.restore({**state, name: None})
        made.restore(state)


class Slow:
    """A callback on a schedule."""

    def __init__(self, every: Any) -> None:
        self.every = every

    def call(self, records: Any, agent: Any) -> None:
        """Do nothing."""
