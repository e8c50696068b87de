"""Denormal numbers count as zero in the kernels and nowhere else."""

from typing import Any

import gymnasium as gym
import numba
import numpy as np
import pytest
import torch

from tests.helpers import make_agent
from tracerl.kernels.denormals import HAS_MODE, flush_denormals, restore

SMALL = 1.2e-38  # in float32 a normal number, the share of which that a trace keeps is none
KINDS = ("reflect", "stream_ac")
has_mode = pytest.mark.skipif(not HAS_MODE, reason="this processor has no mode for it")


@numba.njit
def halve(numbers: np.ndarray[Any, Any]) -> None:
    """Halve one number within the mode and one after it: two, since what is the same need not be computed twice."""
    before = flush_denormals()
    numbers[0] *= np.float32(0.5)
    restore(before)
    numbers[1] *= np.float32(0.5)


def begun(kind: str, *changes: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Return an agent of the fused engine that has seen the first observation of an episode, and that observation."""
    env = gym.make("CartPole-v1")
    agent = make_agent(env, f"agent={kind}", "engine=fused", *changes)
    observation, _ = env.reset(seed=0)
    agent.start(observation)
    return agent, observation


@has_mode
def test_the_mode_holds_until_it_is_taken_back() -> None:
    numbers = np.full(2, SMALL, np.float32)
    halve(numbers)
    assert numbers[0] == 0
    assert numbers[1] == np.float32(SMALL) * np.float32(0.5) > 0


@has_mode
@pytest.mark.parametrize("kind", KINDS)
def test_traces_fade_to_zero_in_the_fused_engine(kind: str) -> None:
    agent, observation = begun(kind, "dtype=float32")
    trace = agent.policy.eligibility_trace
    trace.fill_(SMALL)  # what is not in reach of the first score is left to decay
    agent.step(0.0, observation)
    assert (trace == 0).any()
    assert not ((trace != 0) & (trace.abs() < torch.finfo(torch.float32).tiny)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_leaves_the_mode_of_its_caller(kind: str) -> None:
    agent, observation = begun(kind)
    agent.end(1.0, observation, terminated=True)
    assert np.float32(SMALL) * np.float32(0.5) > 0
    assert torch.tensor(SMALL) * 0.5 > 0
