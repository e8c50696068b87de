"""Twins of Gymnasium's classic control, so that whole lives run inside one kernel call, number for number as there.

A world is a row of 64-bit words per life, seen as ints (``w``) and as floats (``e``). Everything it remembers is in
that row: a copy of the row is a checkpoint. Over two million angles, numpy's float64 ``sin`` and ``cos`` and numba's
gave the same bits, both being the C library's; where numpy brings its own, the twins agree to rounding. Left out:
rendering, options of a reset, time limits, and checks of the action, all of them the caller's.
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
WORLD_WORDS = STATE + N_STATE

CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM, CONTINUOUS_MOUNTAIN_CAR = range(5)


@dataclass(frozen=True)
class Twin:
    """What a caller has to know of a world.

    Attributes:
        kind: which dynamics ``begin`` and ``advance_world`` take.
        n_observed: numbers in an observation.
        n_actions: of a discrete action; 0 where the action is a torque or a force.
    """

    kind: int
    n_observed: int
    n_actions: int


TWINS = {
    "CartPole-v1": Twin(CARTPOLE, 4, 2),
    "Acrobot-v1": Twin(ACROBOT, 6, 3),
    "MountainCar-v0": Twin(MOUNTAIN_CAR, 2, 3),
    "Pendulum-v1": Twin(PENDULUM, 3, 0),
    "MountainCarContinuous-v0": Twin(CONTINUOUS_MOUNTAIN_CAR, 2, 0),
}


def max_episode_steps(name: str) -> int:
    """Return the steps after which Gymnasium truncates an episode of the twin called ``name``."""
    import gymnasium  # here, so that kernels alone do not load it

    limit = gymnasium.spec(name).max_episode_steps
    if limit is None:
        raise ValueError(f"{name} must have a time limit, got none (max_episode_steps where it is registered)")
    return limit


def world_rows(seeds: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return one world per seed, its generator as after ``env.reset(seed=seed)`` seeds it, still to ``begin``.

    Args:
        seeds: whole numbers, zero or more.

    Returns:
        int64, [lives, WORLD_WORDS].
    """
    rows = np.zeros((len(seeds), WORLD_WORDS), np.int64)
    for row, seed in zip(rows, seeds, strict=True):
        row[:GENERATOR_WORDS] = generator_words(seed)
    return rows


@exact
def begin(kind: int, w: Any, e: Any, observation: Any) -> None:
    """``env.reset()``: draw where an episode begins.

    Args:
        kind: CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM or CONTINUOUS_MOUNTAIN_CAR.
        w: the world, int64, [WORLD_WORDS]; changed in place.
        e: the same memory, float64.
        observation: written, float64, [n_observed]; rounded to float32 as Gymnasium's are.
    """
    w[ELAPSED] = 0
    s = e[STATE:WORLD_WORDS]
    if kind == CARTPOLE:
        draw(w, s, 4, 0.05)
        observe_state(s, observation)
    elif kind == ACROBOT:
        draw(w, s, 4, 0.1)
        for i in range(4):
            s[i] = np.float32(s[i])
        observe_first_acrobot(s, observation)
    elif kind == MOUNTAIN_CAR or kind == CONTINUOUS_MOUNTAIN_CAR:
        s[0], s[1] = uniform_between(w, -0.6, -0.4), 0.0
        observe_state(s, observation)
    elif kind == PENDULUM:
        draw(w, s, 1, math.pi)
        draw(w, s[1:], 1, 1.0)
        observe_pendulum(s, observation)


@exact
def draw(w: Any, s: Any, count: int, bound: float) -> None:
    """Write ``count`` numbers from [-bound, bound)."""
    for i in range(count):
        s[i] = uniform_between(w, -bound, bound)


@exact
def advance_world(kind: int, w: Any, e: Any, action: float, observation: Any) -> tuple[float, bool]:
    """Take one step as Gymnasium does, but for the time limit; after a terminated step comes ``begin``.

    Args:
        kind: CARTPOLE, ACROBOT, MOUNTAIN_CAR, PENDULUM or CONTINUOUS_MOUNTAIN_CAR.
        w: the world, int64, [WORLD_WORDS]; changed in place.
        e: the same memory, float64.
        action: index of a discrete action, a torque in N m or a force, which are rounded to float32 as a Box has them.
        observation: written, float64, [n_observed]; rounded to float32 as Gymnasium's are.

    Returns:
        The reward, and whether the episode terminated.
    """
    w[ELAPSED] += 1
    s = e[STATE:WORLD_WORDS]
    reward, terminated = -1.0, False
    if kind == CARTPOLE:
        reward, terminated = 1.0, advance_cartpole(s, action)
        observe_state(s, observation)
    elif kind == ACROBOT:
        terminated = advance_acrobot(s, action)
        reward = 0.0 if terminated else -1.0
        observe_acrobot(s, observation)
    elif kind == MOUNTAIN_CAR:
        terminated = advance_mountain_car(s, action)
        observe_state(s, observation)
    elif kind == PENDULUM:
        reward = advance_pendulum(s, action)
        observe_pendulum(s, observation)
    elif kind == CONTINUOUS_MOUNTAIN_CAR:
        reward, terminated = advance_continuous_mountain_car(s, action, w[ELAPSED] == 1)
        observe_state(s, observation)
    return reward, terminated
