"""Compiled envs against Gymnasium: resets and free runs, and single steps from Gymnasium's state."""

import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tracerl.kernels.envs.dispatch import (
    COMPILED_ENVS,
    ELAPSED,
    ENV_WORDS,
    STATE,
    advance_env,
    env_rows,
    max_episode_steps,
    reset,
)
from tracerl.kernels.envs.pcg64 import GENERATOR_WORDS, generator_words, next_double
from tracerl.kernels.jit import entry

ANGLES = np.random.default_rng(0).uniform(-10, 10, 10_000)
ONE_LIBRARY = all(
    np.array_equal(function(ANGLES), [slow(angle) for angle in ANGLES])
    for function, slow in ((np.sin, math.sin), (np.cos, math.cos))
)


class CompiledEnv:
    """A row of state with its views."""

    def __init__(self, name: str, row: np.ndarray) -> None:
        self.kind, self.w, self.e = COMPILED_ENVS[name].kind, row, row.view(np.float64)
        self.observation = np.zeros(COMPILED_ENVS[name].n_observed)

    def begin(self) -> None:
        reset(self.kind, self.w, self.e, self.observation)

    def advance(self, action: float) -> tuple[float, bool]:
        return advance_env(self.kind, self.w, self.e, action, self.observation)

    def state(self, env: gym.Env) -> tuple[np.ndarray, np.ndarray]:
        """Return the compiled state as a view, and Gymnasium's."""
        theirs = np.asarray(env.unwrapped.state, np.float64)
        return self.e[STATE : STATE + len(theirs)], theirs


def random_actions(env: gym.Env, count: int) -> Iterator[tuple[Any, float]]:
    """Sample actions for Gymnasium and for the compiled env; every fifth torque or force is out of bounds."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        if isinstance(env.action_space, gym.spaces.Discrete):
            action = int(rng.integers(env.action_space.n))
            yield action, float(action)
        else:
            torque = rng.uniform(-1.25, 1.25, 1).astype(np.float32) * env.action_space.high
            yield torque, float(torque[0])


def step_together(name: str, steps: int, seed: int) -> None:
    """Start both from one seed and compare every number of every step; they are independent."""
    env, compiled, limit = gym.make(name), CompiledEnv(name, env_rows([seed])[0]), max_episode_steps(name)
    observation, _ = env.reset(seed=seed)
    compiled.begin()
    for i, (action, number) in enumerate(random_actions(env, steps)):
        observation, reward, terminated, truncated, _ = env.step(action)
        assert compiled.advance(number) == (reward, terminated), i
        assert truncated == (compiled.w[ELAPSED] == limit), i
        assert np.array_equal(compiled.observation, observation), i
        assert np.array_equal(*compiled.state(env)), i
        if terminated or truncated:
            observation, _ = env.reset()
            compiled.begin()
            assert np.array_equal(compiled.observation, observation), i


@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ, single steps are compared below")
@pytest.mark.parametrize("name", COMPILED_ENVS)
def test_free_runs_are_bit_identical_to_gymnasium(name: str) -> None:
    step_together(name, 3_000, seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ")
@pytest.mark.parametrize("name", COMPILED_ENVS)
def test_long_free_runs_are_bit_identical_to_gymnasium(name: str) -> None:
    step_together(name, 100_000, seed=3)


@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ")
@pytest.mark.parametrize(("name", "speed"), [("Acrobot-v1", 5), ("MountainCar-v0", 1), ("MountainCarContinuous-v0", 1)])
def test_goals_are_reached_in_the_same_step_as_in_gymnasium(name: str, speed: int) -> None:
    """Random actions rarely reach the goals; actions in the direction of motion do."""
    env, compiled = gym.make(name), CompiledEnv(name, env_rows([4])[0])
    for episode in range(10):
        observation, _ = env.reset(seed=None if episode else 4)
        compiled.begin()
        terminated = truncated = False
        while not terminated and not truncated:
            left, right = (
                (0, 2) if COMPILED_ENVS[name].n_actions else (np.full(1, -0.9, np.float32), np.ones(1, np.float32))
            )
            action = right if observation[speed] > 0 else left
            observation, reward, terminated, truncated, _ = env.step(action)
            assert compiled.advance(np.float64(action).item()) == (reward, terminated)
            assert np.array_equal(*compiled.state(env))
        assert terminated


@pytest.mark.parametrize("name", COMPILED_ENVS)
def test_one_step_from_a_gymnasium_state_equals_gymnasium(name: str) -> None:
    """The tolerance is 1e-12 for any sine of numpy; errors do not grow, because each step starts anew."""
    env, compiled = gym.make(name), CompiledEnv(name, env_rows([5])[0])
    env.reset(seed=5)
    compiled.begin()
    for i, (action, number) in enumerate(random_actions(env, 1000)):
        ours, theirs = compiled.state(env)
        ours[:] = theirs
        _, reward, terminated, truncated, _ = env.step(action)
        own_reward, own_terminated = compiled.advance(number)
        assert own_reward == pytest.approx(reward, rel=0, abs=1e-12), i
        assert own_terminated == terminated, i
        np.testing.assert_allclose(*compiled.state(env), rtol=0, atol=1e-12)
        if terminated or truncated:
            env.reset()
            compiled.begin()


@pytest.mark.parametrize("name", COMPILED_ENVS)
def test_resets_are_bit_identical_to_gymnasium(name: str) -> None:
    env, seeds = gym.make(name), [0, 1, 7, 12345, 2**40]
    for seed, row in zip(seeds, env_rows(seeds), strict=True):
        compiled = CompiledEnv(name, row)
        for i in range(50):
            observation, _ = env.reset(seed=None if i else seed)
            compiled.begin()
            assert np.array_equal(*compiled.state(env)), (seed, i)
            assert np.array_equal(compiled.observation, observation), (seed, i)
            assert compiled.w[ELAPSED] == 0


@pytest.mark.parametrize("seed", [0, 1, 99, 2**63])
def test_random_numbers_equal_those_of_numpy(seed: int) -> None:
    words, generator = generator_words(seed), np.random.default_rng(seed)
    assert words.shape == (GENERATOR_WORDS,)
    assert [next_double(words) for _ in range(10_000)] == generator.random(10_000).tolist()


@entry
def run(kind: int, w: Any, e: Any, actions: Any, limit: int, observations: Any, rewards: Any) -> None:
    """Run inside a kernel that may reorder its own sums."""
    reset(kind, w, e, observations[0])
    for i in range(len(actions)):
        reward, terminated = advance_env(kind, w, e, actions[i], observations[i + 1])
        rewards[i] = reward
        if terminated or w[ELAPSED] == limit:
            reset(kind, w, e, observations[i + 1])


@pytest.mark.parametrize("name", COMPILED_ENVS)
def test_copied_row_continues_identically_also_inside_a_fastmath_kernel(name: str) -> None:
    """The row is copied within an episode and again at every step: it holds the whole state."""
    known, limit = COMPILED_ENVS[name], max_episode_steps(name)
    actions = np.array([number for _, number in random_actions(gym.make(name), 2000)])
    fast = CompiledEnv(name, env_rows([2])[0])
    observations, rewards = np.zeros((2001, known.n_observed)), np.zeros(2000)
    run(known.kind, fast.w, fast.e, actions, limit, observations, rewards)
    compiled = CompiledEnv(name, env_rows([2])[0])
    compiled.begin()
    for i, action in enumerate(actions):
        if i % 777 == 5:
            compiled = CompiledEnv(name, compiled.w.copy())
        reward, terminated = compiled.advance(action)
        if terminated or compiled.w[ELAPSED] == limit:
            compiled.begin()
        assert reward == rewards[i], i
        assert np.array_equal(compiled.observation, observations[i + 1]), i
    assert np.array_equal(compiled.w, fast.w)


def test_compiled_envs_have_the_spaces_of_gymnasium() -> None:
    for name, compiled in COMPILED_ENVS.items():
        env = gym.make(name)
        assert env.observation_space.shape == (compiled.n_observed,)
        discrete = isinstance(env.action_space, gym.spaces.Discrete)
        assert compiled.n_actions == (env.action_space.n if discrete else 0)
        assert env.spec.max_episode_steps == max_episode_steps(name)
    assert env_rows([]).shape == (0, ENV_WORDS)
    with pytest.raises(gym.error.Error, match="greater or equal to zero"):
        env_rows([-1])
