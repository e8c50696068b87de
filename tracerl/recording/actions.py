"""Relate an action of an env to the outputs of a policy: labels, chosen outputs and units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.nn.spaces import units_of
from tracerl.recording.images import Numbers


def labels(space: Any, n: int) -> list[str]:
    """Return a short name for each of the n outputs of a policy."""
    if isinstance(space, spaces.Discrete) and n == space.n:
        return [str(int(space.start) + i) for i in range(n)]
    if isinstance(space, spaces.MultiDiscrete) and n == space.nvec.sum():
        parts = enumerate(zip(space.nvec.flat, np.ravel(space.start), strict=True))
        return [f"{part}: {int(start) + i}" for part, (size, start) in parts for i in range(size)]
    return [str(i) for i in range(n)]


def marks(space: Any, action: Any, n: int) -> Sequence[int]:
    """Return the indices of the n policy outputs that the action corresponds to; none for a Box."""
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
    """Return whether the probabilities belong to one choice and add up to one."""
    return not isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary))


def in_units_of_the_policy(space: Any, action: Any) -> Numbers | None:
    """Return a continuous action in the units of the policy's means; None for another action.

    Between finite bounds the units are -1 to 1.
    """
    if not isinstance(space, spaces.Box):
        return None
    centre, half_range = units_of(space)
    found: Numbers = (np.asarray(action, np.float64).ravel() - centre) / half_range
    return found
