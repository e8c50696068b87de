"""Whole lives: ``python -m pytest -m slow``. Seconds each in the fused engine, minutes in the torch engine."""

import resource

import gymnasium as gym
import numpy as np
import pytest

from tests.helpers import lived, make_agent

pytestmark = pytest.mark.slow


def test_cartpole_is_learned_and_kept_by_nine_of_ten() -> None:
    returns = [lived("CartPole-v1", 120_000, "engine=fused", seed=seed)[1].mean_return() for seed in range(10)]
    assert sum(value >= 450 for value in returns) >= 9, returns


def test_acrobot_is_learned_with_the_same_settings_by_four_of_five() -> None:
    returns = [lived("Acrobot-v1", 60_000, "engine=fused", seed=seed)[1].mean_return() for seed in range(5)]
    assert sum(value >= -130 for value in returns) >= 4, returns


def test_two_hidden_layers_learn_cartpole() -> None:
    _, record = lived("CartPole-v1", 60_000, "engine=fused", "network.hidden=[64,64]", seed=0)
    assert record.mean_return(20) >= 195


def test_the_torch_engine_learns_cartpole() -> None:
    _, record = lived("CartPole-v1", 120_000, seed=0)
    assert record.mean_return() >= 450


def test_a_long_life_takes_no_more_memory_than_a_short_one() -> None:
    """Peak resident memory after a hundred thousand and after three million steps."""
    env = gym.make("CartPole-v1")
    agent = make_agent(env, "engine=fused")
    seen = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    agent.start(seen[0])

    def peak_after(steps: int) -> float:
        for i in range(steps):
            agent.step(1.0, seen[i % 1000])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    early = peak_after(100_000)
    assert peak_after(3_000_000) - early < 1.0  # MiB
