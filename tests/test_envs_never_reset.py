"""Lifetimes of one episode without end."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tracerl.envs.never_reset import NeverReset

from tracerl.config.checks import ConfigError


def bare(env_id: str = "CartPole-v1", **kwargs: Any) -> gym.Env:
    return gym.make(env_id, disable_env_checker=True, **{"max_episode_steps": -1, **kwargs})


def test_failure_resets_the_pole_in_the_same_step() -> None:
    env, episodic = NeverReset(bare(sutton_barto_reward=True)), bare(sutton_barto_reward=True)
    np.testing.assert_array_equal(env.reset(seed=2)[0], episodic.reset(seed=2)[0])
    falls = 0
    for _ in range(100):
        observation, reward, terminated, truncated, info = env.step(0)
        expected, paid, fell, *_ = episodic.step(0)
        if fell:
            expected, falls = episodic.reset()[0], falls + 1
        np.testing.assert_array_equal(observation, expected)
        assert (reward, terminated, truncated) == (paid, False, False) and paid == (-1 if fell else 0)
        assert info["starts"] == falls + 1
    assert falls > 5


def test_penalty_is_subtracted_only_from_the_reward_of_a_failure() -> None:
    env = NeverReset(bare(), penalty=3)
    env.reset(seed=2)
    rewards = [env.step(0)[1] for _ in range(30)]
    assert set(rewards) == {1.0, -2.0} and rewards.count(-2.0) == env.starts - 1


class CutsOff(gym.Wrapper):
    """Truncates every second step."""

    def step(self, action: int) -> Any:
        self.count = getattr(self, "count", 0) + 1
        observation, reward, *_ = super().step(action)
        return observation, reward, False, self.count % 2 == 0, {}


def test_truncation_of_the_env_continues_without_a_penalty() -> None:
    env = NeverReset(CutsOff(bare()), penalty=5)
    env.reset(seed=0)
    steps = [env.step(0) for _ in range(6)]
    assert [step[1:4] for step in steps] == [(1.0, False, False)] * 6
    assert env.starts == 4


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")  # it is a wrapper
def test_gymnasium_checker_passes_and_the_spec_recreates_the_env() -> None:
    env = NeverReset(bare("Acrobot-v1"), 2.0)
    check_env(env, skip_render_check=True)
    assert env.spec is not None and env.spec.additional_wrappers[-1].kwargs == {"penalty": 2.0}


def test_time_limits_and_negative_penalties_raise_an_error() -> None:
    with pytest.raises(ConfigError, match="needs an env without a time limit: env.kwargs.max_episode_steps=-1"):
        NeverReset(bare(max_episode_steps=500))
    with pytest.raises(ConfigError, match="penalty must be a number of 0 or above, got -1"):
        NeverReset(bare(), -1)
