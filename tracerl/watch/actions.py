"""What an agent is about to do, in words and marks: the outputs of its policy beside the action it has chosen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.recording.images import Numbers


def labels(space: Any, n: int) -> list[str]:
    """Return a short name for each of a policy's n outputs."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [str(int(space.start) + i) for i in range(n)]
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        return [f"{part}: {i}" for part, size in enumerate(space.nvec.flat) for i in range(size)]
    return [str(i) for i in range(n)]


def marks(space: Any, action: Any, n: int) -> Sequence[int]:
    """Return which of a policy's n outputs the chosen action stands for; of a Box, none."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [int(action) - int(space.start)]
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        before = np.cumsum([0, *space.nvec.flat[:-1]])
        chosen: list[int] = (before + (np.asarray(action) - space.start).ravel()).astype(int).tolist()
        return chosen
    if isinstance(space, spaces.MultiBinary) and n == np.prod(space.shape):
        return np.flatnonzero(action).tolist()
    return []


def add_up(space: Any) -> bool:
    """Whether the probabilities are of one choice, and add up to one."""
    return not isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary))


def in_units_of_the_policy(space: Any, action: Any) -> Numbers | None:
    """Return a continuous action as the policy's means have it: -1 to 1 between finite bounds; None of another."""
    if not isinstance(space, spaces.Box):
        return None
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    taken = np.asarray(action, np.float64).ravel()
    bounded = (np.abs(low) < 1e30) & (np.abs(high) < 1e30)
    with np.errstate(invalid="ignore", over="ignore"):
        found: Numbers = np.where(bounded, (taken - (low + high) / 2) / ((high - low) / 2), taken)
    return found
