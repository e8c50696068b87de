"""Relate an action of an env to the outputs of a policy: labels, chosen outputs and units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.recording.images import Numbers


def labels(space: Any, n: int) -> list[str]:
    """Return a short name for each of the n outputs of a policy."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [str(int(space.start) + i) for i in range(n)]
    if _is_discretized(space, n):
        return [f"{part}: {value:.3g}" for part, values in enumerate(_grid(space, n)) for value in values]
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        return [f"{part}: {i}" for part, size in enumerate(space.nvec.flat) for i in range(size)]
    return [str(i) for i in range(n)]


def marks(space: Any, action: Any, n: int) -> Sequence[int]:
    """Return the indices of the n policy outputs that the action corresponds to; none for numbers of a Gaussian."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [int(action) - int(space.start)]
    if _is_discretized(space, n):
        grid = _grid(space, n)
        nearest = np.abs(grid - np.asarray(action, np.float64).reshape(-1, 1)).argmin(1)
        taken: list[int] = (np.arange(len(grid)) * grid.shape[1] + nearest).tolist()
        return taken
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        before = np.cumsum([0, *space.nvec.flat[:-1]])
        chosen: list[int] = (before + (np.asarray(action) - space.start).ravel()).astype(int).tolist()
        return chosen
    if isinstance(space, spaces.MultiBinary) and n == np.prod(space.shape):
        return np.flatnonzero(action).tolist()
    return []


def add_up(space: Any) -> bool:
    """Return whether the probabilities belong to one choice and add up to one."""
    return not isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary))


def _is_discretized(space: Any, n: int) -> bool:
    """Return whether the n outputs can be those of a discretised Box; see ``nn.heads.Discretized``."""
    return isinstance(space, spaces.Box) and space.is_bounded() and n % space.low.size == 0 and n > space.low.size


def _grid(space: spaces.Box, n: int) -> Numbers:
    """Return the values of each number of a discretised Box, [numbers, values]."""
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    grid: Numbers = np.linspace(low, high, n // len(low), axis=-1)
    return grid


def in_units_of_the_policy(space: Any, action: Any) -> Numbers | None:
    """Return a continuous action in the units of the policy's means; None for another action.

    Between finite bounds the units are -1 to 1.
    """
    if not isinstance(space, spaces.Box):
        return None
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    taken = np.asarray(action, np.float64).ravel()
    bounded = (np.abs(low) < 1e30) & (np.abs(high) < 1e30)
    with np.errstate(invalid="ignore", over="ignore"):
        found: Numbers = np.where(bounded, (taken - (low + high) / 2) / ((high - low) / 2), taken)
    return found
