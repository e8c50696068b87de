"""The project's bandits."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers them
from gymnasium.utils.env_checker import check_env

BANDITS = ("tracerl/ContextualBandit-v0", "tracerl/DelayedBandit-v0")


@pytest.mark.parametrize("name", BANDITS)
@pytest.mark.parametrize("contexts", [2, 5])
def test_gymnasium_checker_passes(name: str, contexts: int) -> None:
    check_env(gym.make(name, contexts=contexts).unwrapped)


def play(env: gym.Env, offset: int) -> tuple[list[float], list[np.ndarray]]:
    """Run one episode: the first action is the context plus an offset, later ones are 0."""
    seen = [env.reset()[0]]
    action, rewards, terminated = (int(seen[0].argmax()) + offset) % len(seen[0]), [], False
    while not terminated:
        observation, reward, terminated, truncated, _ = env.step(action)
        assert not truncated
        seen.append(observation)
        rewards.append(float(reward))
        action = 0
    return rewards, seen


@pytest.mark.parametrize(
    ("name", "kwargs", "length"),
    [(BANDITS[0], {}, 1), (BANDITS[1], {}, 6), (BANDITS[1], {"delay": 0}, 1), (BANDITS[1], {"delay": 2}, 3)],
)
def test_reward_of_naming_the_first_context_comes_on_the_last_step(name: str, kwargs: Any, length: int) -> None:
    env = gym.make(name, **kwargs)
    env.reset(seed=0)
    for _ in range(20):
        rewards, seen = play(env, 0)
        assert rewards == [0.0] * (length - 1) + [1.0]
        assert seen[0].sum() == 1 and not np.any(seen[1:])
        assert play(env, 1)[0] == [0.0] * length


def test_contexts_are_sampled_uniformly_from_the_seed() -> None:
    def drawn() -> list[int]:
        env = gym.make(BANDITS[0])
        return [int(env.reset(seed=3 if i == 0 else None)[0].argmax()) for i in range(400)]

    assert drawn() == drawn()
    assert min(drawn().count(context) for context in range(4)) > 60


@pytest.mark.parametrize("kwargs", [{"contexts": 1}, {"contexts": 2.5}, {"delay": -1}])
def test_invalid_arguments_raise_an_error_naming_them(kwargs: Any) -> None:
    (name,) = kwargs
    with pytest.raises(ValueError, match=f"^{name} must be a whole number"):
        gym.make(BANDITS[1], **kwargs)
