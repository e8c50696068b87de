"""Denormal numbers are zero in the kernels and nowhere else."""

from typing import Any

import gymnasium as gym
import numba
import numpy as np
import pytest
import torch

from tests.helpers import make_agent
from tracerl.kernels.denormals import HAS_MODE, flush_denormals, restore

SMALL = 1.2e-38  # a normal float32 number whose decayed value is denormal
KINDS = ("reflect", "stream_ac")
has_mode = pytest.mark.skipif(not HAS_MODE, reason="this processor has no mode for it")


@numba.njit
def halve(numbers: np.ndarray[Any, Any]) -> None:
    """Halve one number within the mode and another after it: the compiler could reuse an equal result."""
    before = flush_denormals()
    numbers[0] *= np.float32(0.5)
    restore(before)
    numbers[1] *= np.float32(0.5)


def started_agent(kind: str, *changes: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Return an agent of the fused engine after the first observation of an episode, and that observation."""
    env = gym.make("CartPole-v1")
    agent = make_agent(env, f"agent={kind}", "engine=fused", *changes)
    observation, _ = env.reset(seed=0)
    agent.start(observation)
    return agent, observation


@has_mode
def test_mode_holds_until_it_is_restored() -> None:
    numbers = np.full(2, SMALL, np.float32)
    halve(numbers)
    assert numbers[0] == 0
    assert numbers[1] == np.float32(SMALL) * np.float32(0.5) > 0


@has_mode
@pytest.mark.parametrize("kind", KINDS)
def test_traces_decay_to_zero_in_the_fused_engine(kind: str) -> None:
    agent, observation = started_agent(kind, "dtype=float32")
    trace = agent.policy.eligibility_trace
    trace.fill_(SMALL)  # only decays where the first gradient is zero
    agent.step(0.0, observation)
    assert (trace == 0).any()
    assert not ((trace != 0) & (trace.abs() < torch.finfo(torch.float32).tiny)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_agent_does_not_change_the_mode_of_its_caller(kind: str) -> None:
    agent, observation = started_agent(kind)
    agent.end(1.0, observation, terminated=True)
    assert np.float32(SMALL) * np.float32(0.5) > 0
    assert torch.tensor(SMALL) * 0.5 > 0
