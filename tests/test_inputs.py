"""A reward or an observation that is not finite, in a loop of the user's own: raised, or left out and counted."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import tracerl
from tests.helpers import make_agent
from tests.test_divergence import AGENTS, name_of_a_weight
from tracerl.config.checks import ConfigError
from tracerl.lifetime.divergence import Diverged
from tracerl.lifetime.protocol import StepType

KINDS = AGENTS | {"rstdp": ("agent=rstdp",)}
ENV = gym.make("CartPole-v1")
SEEN = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
BAD = np.array([0.5, 0.5, np.nan, np.inf], np.float32)
INPUTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "start": (lambda agent: agent.start(BAD), r"nan in the observation at index \[2\]"),
    "step": (lambda agent: agent.step(1.0, BAD), r"nan in the observation at index \[2\]"),
    "reward": (lambda agent: agent.step(-np.inf, SEEN[0]), "the reward -inf"),
    "end": (lambda agent: agent.end(1.0, BAD, True), r"nan in the observation at index \[2\]"),
    "last reward": (lambda agent: agent.end(np.nan, SEEN[0], False), "the reward nan"),
}


def living(kind: str, seed: int | list[int] = 0) -> Any:
    """An agent in the middle of an episode; of many lifetimes in that of each."""
    agent = make_agent(ENV, *KINDS[kind], seed=seed)
    if isinstance(seed, int):
        agent.start(SEEN[0])
        agent.step(1.0, SEEN[1])
    else:
        for step_type in (StepType.FIRST, StepType.MID):
            advance(agent, [step_type] * len(seed), np.ones(len(seed)), SEEN[: len(seed)])
    return agent


def advance(agent: Any, step_types: list[int], rewards: Any, observations: Any) -> Any:
    return agent.advance(
        np.array(step_types, np.int8), np.asarray(rewards, np.float64), np.array(observations)
    ).tolist()


def state(agent: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in agent.capture().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_is_not_finite_is_named_before_anything_changes(kind: str) -> None:
    agent, other = living(kind), living(kind)
    before = state(agent)
    for call, problem in INPUTS.values():
        with pytest.raises(Diverged, match=f"^the agent was handed {problem}"):
            call(agent)
        assert same(before, agent.capture()) and not agent.faults and agent.skipped == 0
    assert [agent.step(1.0, o) for o in SEEN[2:]] == [other.step(1.0, o) for o in SEEN[2:]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_transition_that_is_not_finite_can_be_left_out(kind: str) -> None:
    agent, other = living(kind), living(kind)
    assert "learn/skipped" not in agent.diagnostics() | other.diagnostics()
    agent.on_nonfinite = "skip"
    before, last = state(agent), agent._chosen()
    assert agent.step(1.0, BAD) == last == agent.step(np.nan, SEEN[2])
    assert same(before, agent.capture())
    assert agent.skipped == agent.diagnostics()["learn/skipped"] == 2
    other.diagnostics()
    assert [agent.step(1.0, o) for o in SEEN[2:6]] == [other.step(1.0, o) for o in SEEN[2:6]]
    agent.end(1.0, BAD, True)  # the episode is over all the same: nothing of it reaches the next one
    other.abandon()
    assert same(agent.capture(), other.capture())
    assert agent.start(BAD) == agent._chosen() and same(agent.capture(), other.capture())
    assert agent.step(np.nan, SEEN[0]) == other._chosen()
    assert agent.step(1.0, SEEN[6]) == other.start(SEEN[6])  # where the episode begins that had no beginning
    assert agent.step(1.0, SEEN[7]) == other.step(1.0, SEEN[7])
    assert same(agent.capture(), other.capture()) and agent.skipped == 5
    agent.start(BAD)
    agent.end(1.0, SEEN[0], True)  # an episode of which nothing was seen
    assert agent.start(SEEN[8]) == other.start(SEEN[8])


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_lifetimes_the_one_is_named_or_left_out(kind: str) -> None:
    agent, other = living(kind, [0, 1, 2]), living(kind, [0, 1, 2])
    before, bad = state(agent), SEEN[3:6].copy()
    bad[1, 3] = np.nan
    for rewards, observations, problem in (
        (np.ones(3), bad, r"nan in the observation of lifetime 1 at index \[3\]"),
        ([1.0, 1.0, np.inf], SEEN[3:6], "the reward inf of lifetime 2"),
    ):
        with pytest.raises(Diverged, match=problem):
            advance(agent, [StepType.MID, StepType.TERMINATED, StepType.TRUNCATED], rewards, observations)
        assert same(before, agent.capture())
    advance(
        agent, [StepType.MID, StepType.SKIP, StepType.FIRST], [1.0, 1.0, np.nan], bad
    )  # what is not read may be anything
    advance(other, [StepType.MID, StepType.SKIP, StepType.FIRST], np.ones(3), SEEN[3:6])
    assert same(agent.capture(), other.capture())
    agent.on_nonfinite = "skip"
    left_out = advance(agent, [StepType.MID] * 3, np.ones(3), bad)
    assert left_out == advance(other, [StepType.MID, StepType.SKIP, StepType.MID], np.ones(3), SEEN[3:6])
    assert same(agent.capture(), other.capture()) and agent.skipped.tolist() == [0, 1, 0]
    for mine, theirs, observations in (
        ([StepType.MID, StepType.FIRST, StepType.MID], [StepType.MID, StepType.SKIP, StepType.MID], bad),
        ([StepType.MID, StepType.MID, StepType.MID], [StepType.MID, StepType.FIRST, StepType.MID], SEEN[3:6]),
        ([StepType.MID, StepType.MID, StepType.MID], [StepType.MID, StepType.MID, StepType.MID], SEEN[3:6]),
    ):
        assert advance(agent, mine, np.ones(3), observations) == advance(other, theirs, np.ones(3), SEEN[3:6])
        assert same(agent.capture(), other.capture())


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_that_diverges_raises_in_that_step_and_in_every_later_one(kind: str) -> None:
    agent = living(kind)
    agent.on_nonfinite = "skip"  # of inputs alone
    if kind == "rstdp":
        name, weight = "synapses.weight", agent.synapses.weight
    else:
        name = name_of_a_weight(agent, "learner" if kind == "eprop" else "policy")
        weight = agent.capture()[name]
    weight.view(-1)[:] = torch.nan
    with pytest.raises(Diverged, match=f"^the agent's {name} is nan"):
        for observation in SEEN[2:]:
            agent.step(1.0, observation)
    for call in (lambda: agent.step(1.0, SEEN[0]), lambda: agent.start(SEEN[0]), lambda: agent.end(1.0, SEEN[0], True)):
        with pytest.raises(Diverged, match=f"^the agent's {name} is nan"):
            call()


def test_make_agent_takes_the_policy() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [8]}, on_nonfinite="skip")
    agent.start(SEEN[0])
    agent.step(np.nan, SEEN[1])
    assert agent.skipped == 1 and agent.on_nonfinite == "skip"
    with pytest.raises(ConfigError, match="^on_nonfinite must be one of raise, skip"):
        tracerl.make_agent(env, settings={"network.hidden": [8]}, on_nonfinite="freeze")
    with pytest.raises(ConfigError, match="^on_nonfinite must be raise for agent=random"):
        tracerl.make_agent(env, "random", on_nonfinite="skip")
