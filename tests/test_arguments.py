"""A custom loop: the arguments of an agent are accepted or raise an error that names what to pass."""

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
    for after in (lambda: None, lambda: one.end(1.0, np.ones(4), False), one.abandon):
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
    with pytest.raises(tracerl.ConfigError, match="observation must hold 8 numbers, got 4"):
        arrays.advance([2, 2], [1, 1], [SEEN])
