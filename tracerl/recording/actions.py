"""Relate an action of an env to the outputs of a policy: labels, chosen outputs and units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.nn.spaces import bounds_of, grid_of
from tracerl.recording.images import Numbers


def labels(space: Any, n: int) -> list[str]:
    """Return a short name for each of the n outputs of a policy."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [str(int(space.start) + i) for i in range(n)]
    if (grid := _grid(space, n)) is not None:
        return [f"{part}: {value:.3g}" for part, values in enumerate(grid) for value in values]
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        return [f"{part}: {i}" for part, size in enumerate(space.nvec.flat) for i in range(size)]
    return [str(i) for i in range(n)]


def marks(space: Any, action: Any, n: int) -> Sequence[int]:
    """Return the indices of the n policy outputs that the action corresponds to; none for numbers of a Gaussian."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [int(action) - int(space.start)]
    if (grid := _grid(space, n)) is not None:
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


def _grid(space: Any, n: int) -> Numbers | None:
    """Return the values of each number of a Box that n outputs choose among, [numbers, values]; None for others.

    See ``nn.heads.Discretized``.
    """
    if not isinstance(space, spaces.Box) or n % space.low.size or n == space.low.size:
        return None
    _, _, bounded = bounds_of(space)
    return grid_of(space, n // space.low.size) if bounded.all() else None


def in_units_of_the_policy(space: Any, action: Any) -> Numbers | None:
    """Return a continuous action in the units of the policy's means; None for another action.

    Between finite bounds the units are -1 to 1.
    """
    if not isinstance(space, spaces.Box):
        return None
    low, high, bounded = bounds_of(space)
    taken = np.asarray(action, np.float64).ravel()
    with np.errstate(invalid="ignore", over="ignore"):
        found: Numbers = np.where(bounded, (taken - (low + high) / 2) / ((high - low) / 2), taken)
    return found
