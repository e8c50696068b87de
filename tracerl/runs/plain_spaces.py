"""Gymnasium's spaces as JSON and back.

``to_plain`` raises a ConfigError for a space of a class outside Gymnasium. ``from_plain`` raises a ValueError whose
text completes a sentence about the file.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.config.checks import ConfigError
from tracerl.lifetime.observations import ScaledImage

_MOST = 2**24  # largest number of elements in the bounds of all boxes of a space


def to_plain(space: Space[Any]) -> dict[str, Any]:
    """Return a space as JSON: its kind and parameters, without seeds."""
    try:
        plain = _written(space)
        same = from_plain(plain) == space
    except (ValueError, TypeError, AttributeError):
        same = False
    if not same:
        raise ConfigError("space", f"must be one of Gymnasium's own to be saved, got {space!r:.200}")
    return plain


def _written(space: Space[Any]) -> dict[str, Any]:
    kind = {"kind": "Box" if isinstance(space, ScaledImage) else type(space).__name__}
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
    """Return one number if all are equal, else a list. Non-finite numbers become text, which JSON allows."""
    numbers = [value if math.isfinite(value) else str(value) for value in bounds.ravel().tolist()]
    return numbers[0] if numbers and all(value == numbers[0] for value in numbers) else numbers


def from_plain(plain: Any) -> Space[Any]:
    """Return the space of untrusted JSON in the form of ``to_plain``."""
    try:
        if _size(plain) > _MOST:
            raise ValueError(f"it has more than {_MOST:,} numbers")
        return _read(plain)
    except Exception as error:  # invalid data can cause any error of Gymnasium and NumPy
        raise ValueError(f"has a space that Gymnasium does not have: {ascii(str(error))[:120]}") from error


def _size(plain: Any) -> int:
    """Return the number of elements in the bounds of all boxes of a space."""
    if isinstance(plain, list):
        return sum(map(_size, plain))
    if not isinstance(plain, dict):
        return 0
    shape = plain.get("shape", [0])
    fits = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    return (math.prod(shape) if fits else _MOST + 1) + sum(_size(part) for part in plain.values())


def _read(plain: Any) -> Space[Any]:
    entries = dict(plain)
    kind = entries.pop("kind")
    if kind == "Box":
        shape, dtype = tuple(entries["shape"]), np.dtype(entries["dtype"]).type
        low, high = (_array(entries[end], shape, dtype) for end in ("low", "high"))
        return spaces.Box(low, high, shape, dtype)
    if kind in ("Discrete", "Text"):
        return spaces.Discrete(**entries) if kind == "Discrete" else spaces.Text(**entries)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(entries["nvec"], np.dtype(entries["dtype"]).type, start=entries["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(entries["n"])
    if kind in ("Tuple", "OneOf"):
        parts = [_read(part) for part in entries["spaces"]]
        return spaces.Tuple(parts) if kind == "Tuple" else spaces.OneOf(parts)
    if kind == "Dict":
        return spaces.Dict(OrderedDict((key, _read(part)) for key, part in entries["spaces"]))
    if kind == "Sequence":
        return spaces.Sequence(_read(entries["space"]), stack=entries["stack"])
    if kind == "Graph":
        return spaces.Graph(_read(entries["node_space"]), entries["edge_space"] and _read(entries["edge_space"]))
    raise ValueError(f"its kind is {kind!r:.60}")


def _array(bounds: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    numbers = np.array([float(value) if isinstance(value, str) else value for value in np.atleast_1d(bounds).tolist()])
    return np.broadcast_to(numbers.astype(dtype), math.prod(shape)).reshape(shape)
