"""A non-finite reward or observation in a custom loop: raises an error, or is skipped and counted."""

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


def agent_in_episode(kind: str, seed: int | list[int] = 0) -> Any:
    """Return an agent, of one lifetime or many, within an episode."""
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
def test_non_finite_input_raises_an_error_before_any_change(kind: str) -> None:
    agent, other = agent_in_episode(kind), agent_in_episode(kind)
    before = state(agent)
    for call, problem in INPUTS.values():
        with pytest.raises(Diverged, match=f"^the agent received {problem}"):
            call(agent)
        assert same(before, agent.capture()) and not agent.faults and agent.skipped == 0
    assert [agent.step(1.0, o) for o in SEEN[2:]] == [other.step(1.0, o) for o in SEEN[2:]]


@pytest.mark.parametrize("kind", KINDS)
def test_non_finite_transition_can_be_skipped(kind: str) -> None:
    agent, other = agent_in_episode(kind), agent_in_episode(kind)
    assert "learn/skipped" not in agent.diagnostics() | other.diagnostics()
    agent.on_nonfinite = "skip"
    before, last = state(agent), agent._chosen()
    assert agent.step(1.0, BAD) == last == agent.step(np.nan, SEEN[2])
    assert same(before, agent.capture())
    assert agent.skipped == agent.diagnostics()["learn/skipped"] == 2
    other.diagnostics()
    assert [agent.step(1.0, o) for o in SEEN[2:6]] == [other.step(1.0, o) for o in SEEN[2:6]]
    agent.end(1.0, BAD, True)  # the episode is over: the next one does not depend on it
    other.reset_episode()
    assert same(agent.capture(), other.capture())
    assert agent.start(BAD) == agent._chosen() and same(agent.capture(), other.capture())
    assert agent.step(np.nan, SEEN[0]) == other._chosen()
    assert agent.step(1.0, SEEN[6]) == other.start(SEEN[6])  # the first finite observation begins the episode
    assert agent.step(1.0, SEEN[7]) == other.step(1.0, SEEN[7])
    assert same(agent.capture(), other.capture()) and agent.skipped == 5
    agent.start(BAD)
    agent.end(1.0, SEEN[0], True)  # an episode without a finite observation
    other.reset_episode()
    assert agent.start(SEEN[8]) == other.start(SEEN[8])
    assert same(agent.capture(), other.capture())


@pytest.mark.parametrize("kind", KINDS)
def test_non_finite_input_of_one_of_many_lifetimes_is_named_or_skipped(kind: str) -> None:
    agent, other = agent_in_episode(kind, [0, 1, 2]), agent_in_episode(kind, [0, 1, 2])
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
    )  # unread inputs may have any value
    advance(other, [StepType.MID, StepType.SKIP, StepType.FIRST], np.ones(3), SEEN[3:6])
    assert same(agent.capture(), other.capture())
    agent.on_nonfinite = "skip"
    skipped = advance(agent, [StepType.MID] * 3, np.ones(3), bad)
    assert skipped == advance(other, [StepType.MID, StepType.SKIP, StepType.MID], np.ones(3), SEEN[3:6])
    assert same(agent.capture(), other.capture()) and agent.skipped.tolist() == [0, 1, 0]
    for mine, theirs, observations in (
        ([StepType.MID, StepType.FIRST, StepType.MID], [StepType.MID, StepType.SKIP, StepType.MID], bad),
        ([StepType.MID, StepType.MID, StepType.MID], [StepType.MID, StepType.FIRST, StepType.MID], SEEN[3:6]),
        ([StepType.MID, StepType.MID, StepType.MID], [StepType.MID, StepType.MID, StepType.MID], SEEN[3:6]),
    ):
        assert advance(agent, mine, np.ones(3), observations) == advance(other, theirs, np.ones(3), SEEN[3:6])
        assert same(agent.capture(), other.capture())


@pytest.mark.parametrize("kind", KINDS)
def test_diverged_agent_raises_in_that_step_and_in_every_later_one(kind: str) -> None:
    agent = agent_in_episode(kind)
    agent.on_nonfinite = "skip"  # counts only inputs
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


def test_make_agent_accepts_the_policy_for_non_finite_inputs() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [8]}, on_nonfinite="skip")
    agent.start(SEEN[0])
    agent.step(np.nan, SEEN[1])
    assert agent.skipped == 1 and agent.on_nonfinite == "skip"
    with pytest.raises(ConfigError, match="^on_nonfinite must be one of raise, skip"):
        tracerl.make_agent(env, settings={"network.hidden": [8]}, on_nonfinite="freeze")
    with pytest.raises(ConfigError, match="^on_nonfinite must be raise for agent=random"):
        tracerl.make_agent(env, "random", on_nonfinite="skip")
