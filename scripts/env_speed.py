"""How fast envs step under random actions, without an agent; and an env that costs next to nothing."""

import time
from typing import Any

import gymnasium as gym
import numpy as np


class Null(gym.Env[Any, Any]):
    """An env that costs next to nothing: four constant numbers, reward 1, an end every 500 steps."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)
    nothing = np.zeros(4, np.float32)
    count = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin."""
        self.count = 0
        return self.nothing, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do nothing."""
        self.count += 1
        return self.nothing, 1.0, self.count == 500, False, {}


def one_env(env: gym.Env[Any, Any], steps: int) -> float:
    """Step an env under random actions; return its steps per second."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]
    env.reset(seed=0)
    started = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return per_second(steps, started)


def many_envs(envs: gym.vector.VectorEnv[Any, Any, Any], steps: int) -> float:
    """Step all envs together under random actions; return the steps per second of all of them."""
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(steps)]
    resets = envs.metadata["autoreset_mode"] == gym.vector.AutoresetMode.DISABLED
    envs.reset(seed=0)
    started = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = envs.step(action)
        ended = terminated | truncated
        if resets and ended.any():
            envs.reset(options={"reset_mask": ended})
    return per_second(envs.num_envs * steps, started)


def observations(env: gym.Env[Any, Any], n: int) -> np.ndarray[Any, Any]:
    """Return the observations of n steps under random actions, [n, ...]."""
    env.action_space.seed(0)
    env.reset(seed=0)
    found = []
    for _ in range(n):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        found.append(observation)
        if terminated or truncated:
            env.reset()
    return np.array(found)


def per_second(steps: int, started: float) -> float:
    """Return the steps per second since a time."""
    return steps / (time.perf_counter() - started)
