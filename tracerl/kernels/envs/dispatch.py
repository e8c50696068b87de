"""Compiled envs: Gymnasium's classic control inside a kernel, number for number as there.

The state of an env is a row of 64-bit words per lifetime, read as ints (``words``) and as floats (``floats``). A copy
of the row is a checkpoint. Over two million angles, numpy's float64 ``sin`` and ``cos`` and numba's were bit-identical,
both being the C library's; where numpy brings its own, they agree to rounding. Left out: rendering, options of a reset,
time limits, and checks of the action, all of them the caller's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracerl.kernels.envs.classic_control import (
    advance_acrobot,
    advance_cartpole,
    advance_continuous_mountain_car,
    advance_mountain_car,
    advance_pendulum,
    observe_acrobot,
    observe_first_acrobot,
    observe_pendulum,
    observe_state,
)
from tracerl.kernels.envs.pcg64 import GENERATOR_WORDS, generator_words, uniform_between
from tracerl.kernels.jit import exact

# A row: the generator's words, the steps of the running episode, then floats.
ELAPSED = GENERATOR_WORDS
STATE = ELAPSED + 1
N_STATE = 4
ENV_WORDS = STATE + N_STATE

CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM, CONTINUOUS_MOUNTAIN_CAR = range(5)


@dataclass(frozen=True)
class CompiledEnv:
    """What a caller has to know of a compiled env.

    Attributes:
        kind: which dynamics ``reset`` and ``advance_env`` take.
        n_observed: numbers in an observation.
        n_actions: of a discrete action; 0 where the action is a torque or a force.
    """

    kind: int
    n_observed: int
    n_actions: int


COMPILED_ENVS = {
    "CartPole-v1": CompiledEnv(CARTPOLE, 4, 2),
    "Acrobot-v1": CompiledEnv(ACROBOT, 6, 3),
    "MountainCar-v0": CompiledEnv(MOUNTAIN_CAR, 2, 3),
    "Pendulum-v1": CompiledEnv(PENDULUM, 3, 0),
    "MountainCarContinuous-v0": CompiledEnv(CONTINUOUS_MOUNTAIN_CAR, 2, 0),
}


def max_episode_steps(name: str) -> int:
    """Return the steps after which Gymnasium truncates an episode of the env called ``name``.

    Raises:
        ValueError: the env is registered without a time limit.
    """
    import gymnasium  # here, so that kernels alone do not load it

    limit = gymnasium.spec(name).max_episode_steps
    if limit is None:
        raise ValueError(f"{name} must have a time limit, got none (max_episode_steps where it is registered)")
    return limit


def env_rows(seeds: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the state of one env per seed, its generator as after ``env.reset(seed=seed)``, still to be ``reset``.

    Args:
        seeds: whole numbers, zero or more.

    Returns:
        int64, [lifetimes, ENV_WORDS].
    """
    rows = np.zeros((len(seeds), ENV_WORDS), np.int64)
    for row, seed in zip(rows, seeds, strict=True):
        row[:GENERATOR_WORDS] = generator_words(seed)
    return rows


@exact
def reset(kind: int, words: Any, floats: Any, observation: Any) -> None:
    """``env.reset()``: draw where an episode begins.

    Args:
        kind: CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM or CONTINUOUS_MOUNTAIN_CAR.
        words: state of the env, int64, [ENV_WORDS]; changed in place.
        floats: the same memory, float64.
        observation: written, float64, [n_observed]; rounded to float32 as Gymnasium's are.
    """
    words[ELAPSED] = 0
    state = floats[STATE:ENV_WORDS]
    if kind == CARTPOLE:
        draw(words, state, 4, 0.05)
        observe_state(state, observation)
    elif kind == ACROBOT:
        draw(words, state, 4, 0.1)
        for i in range(4):
            state[i] = np.float32(state[i])
        observe_first_acrobot(state, observation)
    elif kind == MOUNTAIN_CAR or kind == CONTINUOUS_MOUNTAIN_CAR:
        state[0], state[1] = uniform_between(words, -0.6, -0.4), 0.0
        observe_state(state, observation)
    elif kind == PENDULUM:
        draw(words, state, 1, math.pi)
        draw(words, state[1:], 1, 1.0)
        observe_pendulum(state, observation)


@exact
def draw(words: Any, state: Any, count: int, bound: float) -> None:
    """Write ``count`` numbers from [-bound, bound)."""
    for i in range(count):
        state[i] = uniform_between(words, -bound, bound)


@exact
def advance_env(kind: int, words: Any, floats: Any, action: float, observation: Any) -> tuple[float, bool]:
    """Take one step as Gymnasium does, but for the time limit; after a terminated step comes ``reset``.

    Args:
        kind: CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM or CONTINUOUS_MOUNTAIN_CAR.
        words: state of the env, int64, [ENV_WORDS]; changed in place.
        floats: the same memory, float64.
        action: index of a discrete action, a torque in N m or a force, which are rounded to float32 as a Box has them.
        observation: written, float64, [n_observed]; rounded to float32 as Gymnasium's are.

    Returns:
        The reward, and whether the episode terminated.
    """
    words[ELAPSED] += 1
    state = floats[STATE:ENV_WORDS]
    reward, terminated = -1.0, False
    if kind == CARTPOLE:
        reward, terminated = 1.0, advance_cartpole(state, action)
        observe_state(state, observation)
    elif kind == ACROBOT:
        terminated = advance_acrobot(state, action)
        reward = 0.0 if terminated else -1.0
        observe_acrobot(state, observation)
    elif kind == MOUNTAIN_CAR:
        terminated = advance_mountain_car(state, action)
        observe_state(state, observation)
    elif kind == PENDULUM:
        reward = advance_pendulum(state, action)
        observe_pendulum(state, observation)
    elif kind == CONTINUOUS_MOUNTAIN_CAR:
        reward, terminated = advance_continuous_mountain_car(state, action, words[ELAPSED] == 1)
        observe_state(state, observation)
    return reward, terminated
