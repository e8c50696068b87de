"""Gymnasium's spaces as JSON and back.

``to_plain`` raises a ConfigError for a space that is none of Gymnasium's own; ``from_plain`` a ValueError whose text is
the end of a sentence about the file.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.config.checks import ConfigError

_MOST = 2**24  # numbers in the bounds of all boxes of a space


def to_plain(space: Space[Any]) -> dict[str, Any]:
    """Write a space as JSON: its kind and what it is made of; seeds are left out."""
    try:
        plain = _written(space)
        same = from_plain(plain) == space
    except (ValueError, TypeError, AttributeError):
        same = False
    if not same:
        raise ConfigError("space", f"must be one of Gymnasium's own to be saved, got {space!r:.200}")
    return plain


def _written(space: Space[Any]) -> dict[str, Any]:
    kind = {"kind": type(space).__name__}
    match space:
        case spaces.Box():
            shape, ends = list(space.shape), {"low": _bounds(space.low), "high": _bounds(space.high)}
            return {**kind, **ends, "shape": shape, "dtype": str(space.dtype)}
        case spaces.Discrete():
            dtype = {} if space.dtype == np.int64 else {"dtype": str(space.dtype)}
            return {**kind, "n": int(space.n), "start": int(space.start), **dtype}
        case spaces.MultiDiscrete():
            nvec, start = space.nvec.tolist(), np.broadcast_to(space.start, space.nvec.shape).tolist()
            return {**kind, "nvec": nvec, "start": start, "dtype": str(space.dtype)}
        case spaces.MultiBinary():
            return {**kind, "n": space.n if isinstance(space.n, int) else list(space.n)}
        case spaces.Text():
            characters = "".join(sorted(space.character_set))
            return {**kind, "max_length": space.max_length, "min_length": space.min_length, "charset": characters}
        case spaces.Tuple() | spaces.OneOf():
            return {**kind, "spaces": [_written(part) for part in space.spaces]}
        case spaces.Dict():
            return {**kind, "spaces": [[key, _written(part)] for key, part in space.spaces.items()]}
        case spaces.Sequence():
            return {**kind, "space": _written(space.feature_space), "stack": space.stack}
        case spaces.Graph():
            edges = None if space.edge_space is None else _written(space.edge_space)
            return {**kind, "node_space": _written(space.node_space), "edge_space": edges}
    raise ValueError


def _bounds(bounds: np.ndarray[Any, Any]) -> Any:
    """Return one number where all are the same, else a list; what is not finite as text, which JSON can hold."""
    numbers = [value if math.isfinite(value) else str(value) for value in bounds.ravel().tolist()]
    return numbers[0] if numbers and all(value == numbers[0] for value in numbers) else numbers


def from_plain(plain: Any) -> Space[Any]:
    """Make the space that ``to_plain`` wrote, of data that may come from anywhere."""
    try:
        if _size(plain) > _MOST:
            raise ValueError(f"it has more than {_MOST:,} numbers")
        return _read(plain)
    except Exception as error:  # of Gymnasium and NumPy, whatever a text in place of a number leads to
        raise ValueError(f"has a space that Gymnasium does not have: {ascii(str(error))[:120]}") from error


def _size(plain: Any) -> int:
    """Return how many numbers the bounds of all boxes in a space have."""
    if isinstance(plain, list):
        return sum(map(_size, plain))
    if not isinstance(plain, dict):
        return 0
    shape = plain.get("shape", [0])
    fits = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    return (math.prod(shape) if fits else _MOST + 1) + sum(_size(part) for part in plain.values())


def _read(plain: Any) -> Space[Any]:
    told = dict(plain)
    kind = told.pop("kind")
    if kind == "Box":
        shape, dtype = tuple(told["shape"]), np.dtype(told["dtype"]).type
        low, high = (_array(told[end], shape, dtype) for end in ("low", "high"))
        return spaces.Box(low, high, shape, dtype)
    if kind in ("Discrete", "Text"):
        return spaces.Discrete(**told) if kind == "Discrete" else spaces.Text(**told)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(told["nvec"], np.dtype(told["dtype"]).type, start=told["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(told["n"])
    if kind in ("Tuple", "OneOf"):
        parts = [_read(part) for part in told["spaces"]]
        return spaces.Tuple(parts) if kind == "Tuple" else spaces.OneOf(parts)
    if kind == "Dict":
        return spaces.Dict(OrderedDict((key, _read(part)) for key, part in told["spaces"]))
    if kind == "Sequence":
        return spaces.Sequence(_read(told["space"]), stack=told["stack"])
    if kind == "Graph":
        return spaces.Graph(_read(told["node_space"]), told["edge_space"] and _read(told["edge_space"]))
    raise ValueError(f"its kind is {kind!r:.60}")


def _array(bounds: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    numbers = np.array([float(value) if isinstance(value, str) else value for value in np.atleast_1d(bounds).tolist()])
    return np.broadcast_to(numbers.astype(dtype), math.prod(shape)).reshape(shape)
