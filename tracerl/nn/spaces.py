"""Properties of Gymnasium spaces that agents need, with errors that name the env."""

import math
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.config.checks import ConfigError

Array = np.ndarray[Any, Any]
UNBOUNDED = 1e30  # larger bounds count as infinite: some envs use the largest float32 for infinity


def observation_shape(space: Space[Any]) -> tuple[int, ...]:
    """Return the shape of an observation; a ConfigError if the space is not a Box or has no number.

    The command line converts other spaces by ``tracerl.lifetime.observations.as_box``.
    """
    if 0 in (space.shape or ()) or (_is_composite(space) and not parts_of(space)):
        raise ConfigError("env", f"must have observations of at least one number for this agent, got {one_line(space)}")
    if not isinstance(space, spaces.Box):
        others = "which tracerl.make_env makes of Discrete, MultiBinary and MultiDiscrete, and Dict and Tuple of these"
        problem = f"must have observations of a Box, {others}, for this agent"
        raise ConfigError("env", f"{problem}, got {_unsupported_entry(space) or one_line(space)}")
    return space.shape


def one_line(space: Space[Any]) -> str:
    """Return the text of a space in one line: NumPy breaks long bounds into several."""
    return " ".join(str(space).split())


def _unsupported_entry(space: Space[Any]) -> str | None:
    """Return in words the first entry of a Dict or Tuple that cannot be converted to numbers; None without one."""
    keys, inner = list[Any](), space
    while (found := next(((key, part) for key, part in _entries(inner) if not has_numbers(part)), None)) is not None:
        keys, inner = [*keys, found[0]], found[1]
    if not keys:
        return None
    name = ".".join(map(str, keys))
    kind = type(inner).__name__
    empty = " without entries" if _is_composite(inner) else ""
    problem = f"a {type(space).__name__}: its entry {name!r} is a {kind}{empty}"
    others = [key for key, part in _entries(space) if has_numbers(part)]
    wrapper = f"gymnasium.wrappers.FilterObservation with filter_keys={others}"
    return problem + (f", which {wrapper} leaves out" if others else "")


def _is_composite(space: Space[Any]) -> bool:
    return isinstance(space, (spaces.Dict, spaces.Tuple))


def _entries(space: Space[Any]) -> list[tuple[Any, Space[Any]]]:
    """Return the entries of a Dict or Tuple by key or index; none for other spaces."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.items())
    return list(enumerate(space.spaces)) if isinstance(space, spaces.Tuple) else []


def has_numbers(space: Space[Any]) -> bool:
    """Return whether a space has only numbers and choices, as many in every observation."""
    if _is_composite(space):
        parts = parts_of(space)
        return bool(parts) and all(has_numbers(part) for part in parts)
    return isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete))


def observation_size(space: Space[Any]) -> int:
    """Return the number of elements of an observation; see ``observation_shape``."""
    return math.prod(observation_shape(space))


def spaces_of(env: Any) -> tuple[Space[Any], Space[Any]]:
    """Return the spaces of one lifetime's observations and actions; a ConfigError if there are none.

    ``env`` is a Gymnasium env, a vector env, or the pair of spaces.
    """
    if isinstance(env, (tuple, list)):
        found = list(env)
    else:
        names = ("observation_space", "action_space")
        found = [getattr(env, f"single_{name}", getattr(env, name, None)) for name in names]
    if len(found) != 2 or not all(isinstance(space, Space) for space in found):
        wanted = "a Gymnasium env or the pair (observation_space, action_space)"
        made = f": tracerl.make_env({env!r}) makes an env" if isinstance(env, str) else ""
        raise ConfigError("env", f"must be {wanted}, got {env!r:.200}{made}")
    return found[0], found[1]


def discrete_actions(space: Space[Any]) -> tuple[int, int]:
    """Return the number of actions and the number of the first one; a ConfigError if the space is not Discrete."""
    if not isinstance(space, spaces.Discrete):
        raise ConfigError("env", f"must have a Discrete action space for this agent, got {one_line(space)}")
    return int(space.n), int(space.start)


def bounds_of(space: spaces.Box) -> tuple[Array, Array, Array]:
    """Return the bounds of the numbers of a Box in row-major order, and whether both are finite.

    Returns:
        The lower and the upper bounds, float64, [n], and bool, [n].
    """
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    return low, high, (np.abs(low) < UNBOUNDED) & (np.abs(high) < UNBOUNDED)


def units_of(space: spaces.Box) -> tuple[Array, Array]:
    """Return the centre and half the range of the numbers of a Box, as ``bounds_of``; 0 and 1 without finite bounds."""
    low, high, bounded = bounds_of(space)
    with np.errstate(invalid="ignore", over="ignore"):  # of bounds that count as infinite, whose results are not used
        return np.where(bounded, (low + high) / 2, 0.0), np.where(bounded, (high - low) / 2, 1.0)


def parts_of(space: Space[Any]) -> list[Space[Any]]:
    """Return the component spaces of a composite space; an empty list for others."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.values())
    if isinstance(space, (spaces.Tuple, spaces.OneOf)):
        return list(space.spaces)
    if isinstance(space, spaces.Sequence):
        return [space.feature_space]
    if isinstance(space, spaces.Graph):
        return [part for part in (space.node_space, space.edge_space) if part is not None]
    return []
