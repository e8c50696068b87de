"""Twins against Gymnasium: resets, free-running lives to the bit, and single steps from Gymnasium's own state."""

import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tracerl.kernels.envs.dispatch import (
    ELAPSED,
    STATE,
    TWINS,
    WORLD_WORDS,
    advance_world,
    begin,
    max_episode_steps,
    world_rows,
)
from tracerl.kernels.envs.pcg64 import GENERATOR_WORDS, generator_words, next_double
from tracerl.kernels.jit import entry

ANGLES = np.random.default_rng(0).uniform(-10, 10, 10_000)
ONE_LIBRARY = all(
    np.array_equal(function(ANGLES), [slow(angle) for angle in ANGLES])
    for function, slow in ((np.sin, math.sin), (np.cos, math.cos))
)


class World:
    """A twin's row with its views."""

    def __init__(self, name: str, row: np.ndarray) -> None:
        self.kind, self.w, self.e = TWINS[name].kind, row, row.view(np.float64)
        self.observation = np.zeros(TWINS[name].n_observed)

    def begin(self) -> None:
        begin(self.kind, self.w, self.e, self.observation)

    def advance(self, action: float) -> tuple[float, bool]:
        return advance_world(self.kind, self.w, self.e, action, self.observation)

    def state(self, env: gym.Env) -> tuple[np.ndarray, np.ndarray]:
        """The twin's state as a view, and Gymnasium's."""
        theirs = np.asarray(env.unwrapped.state, np.float64)
        return self.e[STATE : STATE + len(theirs)], theirs


def random_actions(env: gym.Env, count: int) -> Iterator[tuple[Any, float]]:
    """Actions as Gymnasium and as the twin takes them; every fifth torque or force is out of bounds."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        if isinstance(env.action_space, gym.spaces.Discrete):
            action = int(rng.integers(env.action_space.n))
            yield action, float(action)
        else:
            torque = rng.uniform(-1.25, 1.25, 1).astype(np.float32) * env.action_space.high
            yield torque, float(torque[0])


def live_together(name: str, steps: int, seed: int) -> None:
    """Start both from one seed and compare every number of every step to the bit, neither ever told the other's."""
    env, world, limit = gym.make(name), World(name, world_rows([seed])[0]), max_episode_steps(name)
    observation, _ = env.reset(seed=seed)
    world.begin()
    for i, (action, number) in enumerate(random_actions(env, steps)):
        observation, reward, terminated, truncated, _ = env.step(action)
        assert world.advance(number) == (reward, terminated), i
        assert truncated == (world.w[ELAPSED] == limit), i
        assert np.array_equal(world.observation, observation), i
        assert np.array_equal(*world.state(env)), i
        if terminated or truncated:
            observation, _ = env.reset()
            world.begin()
            assert np.array_equal(world.observation, observation), i


@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ, single steps are compared below")
@pytest.mark.parametrize("name", TWINS)
def test_free_lives_equal_gymnasiums_to_the_bit(name: str) -> None:
    live_together(name, 10_000, seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ")
@pytest.mark.parametrize("name", TWINS)
def test_long_free_lives_equal_gymnasiums_to_the_bit(name: str) -> None:
    live_together(name, 100_000, seed=3)


@pytest.mark.skipif(not ONE_LIBRARY, reason="numpy has its own sine here: bits differ")
@pytest.mark.parametrize(("name", "speed"), [("Acrobot-v1", 5), ("MountainCar-v0", 1), ("MountainCarContinuous-v0", 1)])
def test_goals_are_reached_in_the_same_step(name: str, speed: int) -> None:
    """Random actions hardly ever reach them; pushing along with the motion does."""
    env, world = gym.make(name), World(name, world_rows([4])[0])
    for episode in range(10):
        observation, _ = env.reset(seed=None if episode else 4)
        world.begin()
        terminated = truncated = False
        while not terminated and not truncated:
            left, right = (0, 2) if TWINS[name].n_actions else (np.full(1, -0.9, np.float32), np.ones(1, np.float32))
            action = right if observation[speed] > 0 else left
            observation, reward, terminated, truncated, _ = env.step(action)
            assert world.advance(np.float64(action).item()) == (reward, terminated)
            assert np.array_equal(*world.state(env))
        assert terminated


@pytest.mark.parametrize("name", TWINS)
def test_one_step_from_gymnasiums_own_state_is_gymnasiums(name: str) -> None:
    """Whatever sine numpy has, to 1e-12: errors cannot grow, because each step starts from Gymnasium's state."""
    env, world = gym.make(name), World(name, world_rows([5])[0])
    env.reset(seed=5)
    world.begin()
    for i, (action, number) in enumerate(random_actions(env, 2000)):
        ours, theirs = world.state(env)
        ours[:] = theirs
        _, reward, terminated, truncated, _ = env.step(action)
        twin_reward, twin_terminated = world.advance(number)
        assert twin_reward == pytest.approx(reward, rel=0, abs=1e-12), i
        assert twin_terminated == terminated, i
        np.testing.assert_allclose(*world.state(env), rtol=0, atol=1e-12)
        if terminated or truncated:
            env.reset()
            world.begin()


@pytest.mark.parametrize("name", TWINS)
def test_resets_equal_gymnasiums_to_the_bit(name: str) -> None:
    env, seeds = gym.make(name), [0, 1, 7, 12345, 2**40]
    for seed, row in zip(seeds, world_rows(seeds), strict=True):
        world = World(name, row)
        for i in range(50):
            observation, _ = env.reset(seed=None if i else seed)
            world.begin()
            assert np.array_equal(*world.state(env)), (seed, i)
            assert np.array_equal(world.observation, observation), (seed, i)
            assert world.w[ELAPSED] == 0


@pytest.mark.parametrize("seed", [0, 1, 99, 2**63])
def test_random_numbers_are_numpys(seed: int) -> None:
    words, generator = generator_words(seed), np.random.default_rng(seed)
    assert words.shape == (GENERATOR_WORDS,)
    assert [next_double(words) for _ in range(10_000)] == generator.random(10_000).tolist()


@entry
def live(kind: int, w: Any, e: Any, actions: Any, limit: int, observations: Any, rewards: Any) -> None:
    """A life inside a kernel that may reorder its own sums."""
    begin(kind, w, e, observations[0])
    for i in range(len(actions)):
        reward, terminated = advance_world(kind, w, e, actions[i], observations[i + 1])
        rewards[i] = reward
        if terminated or w[ELAPSED] == limit:
            begin(kind, w, e, observations[i + 1])


@pytest.mark.parametrize("name", TWINS)
def test_a_copied_row_goes_on_identically_also_inside_a_fast_kernel(name: str) -> None:
    """Copy mid-episode and again step by step: no memory outside the row, no rounding of the caller's."""
    twin, limit = TWINS[name], max_episode_steps(name)
    actions = np.array([number for _, number in random_actions(gym.make(name), 5000)])
    fast, observations, rewards = World(name, world_rows([2])[0]), np.zeros((5001, twin.n_observed)), np.zeros(5000)
    live(twin.kind, fast.w, fast.e, actions, limit, observations, rewards)
    world = World(name, world_rows([2])[0])
    world.begin()
    for i, action in enumerate(actions):
        if i % 777 == 5:
            world = World(name, world.w.copy())
        reward, terminated = world.advance(action)
        if terminated or world.w[ELAPSED] == limit:
            world.begin()
        assert reward == rewards[i], i
        assert np.array_equal(world.observation, observations[i + 1]), i
    assert np.array_equal(world.w, fast.w)


def test_twins_know_their_spaces() -> None:
    for name, twin in TWINS.items():
        env = gym.make(name)
        assert env.observation_space.shape == (twin.n_observed,)
        discrete = isinstance(env.action_space, gym.spaces.Discrete)
        assert twin.n_actions == (env.action_space.n if discrete else 0)
        assert env.spec.max_episode_steps == max_episode_steps(name)
    assert world_rows([]).shape == (0, WORLD_WORDS)
    with pytest.raises(gym.error.Error, match="greater or equal to zero"):
        world_rows([-1])
