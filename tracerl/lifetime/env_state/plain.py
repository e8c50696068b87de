"""Convert values of Python and NumPy to plain data and back, bit-identical and without executing code.

A value that is no plain data raises a ValueError that names its place.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Tree = dict[str, Any]

_LONGEST = 2**63  # an int of 64 bits is in [-2^63, 2^63)


def encode(value: Any, where: str) -> Any:
    """Convert a value to None, bools, numbers, strings, arrays, and lists and str-keyed dicts of these.

    A value without a form in JSON becomes a dict of one key that begins with ``$``: a tuple ``$tuple``, a NumPy scalar
    ``$scalar`` (an array of no axis), an int beyond 64 bits ``$int`` (decimal digits), a float that is not finite
    ``$float`` (an array of no axis). A finite float stays a number, because its shortest decimal form is exact.

    Args:
        value: None, bool, int, float, str, a NumPy scalar or array of bools or numbers, or a list, a tuple or a dict
            with str keys of these. Arrays are copied.
        where: place of the value, for errors.
    """
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if -_LONGEST <= value < _LONGEST else {"$int": str(value)}
    if type(value) is float:
        return value if np.isfinite(value) else {"$float": np.array(value)}
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.generic) and storable(value.dtype):
        return {"$scalar": np.array(value)}
    if type(value) is np.ndarray and storable(value.dtype):
        return np.array(value, order="C")
    if type(value) is list:
        return [encode(item, f"{where}.{i}") for i, item in enumerate(value)]
    if type(value) is tuple:
        return {"$tuple": [encode(item, f"{where}.{i}") for i, item in enumerate(value)]}
    if type(value) is dict and all(type(key) is str and not key.startswith("$") for key in value):
        return {key: encode(item, f"{where}.{key}") for key, item in value.items()}
    raise ValueError(f"{where} must be plain data (numbers, strings, arrays of numbers), got {type(value).__name__}")


def decode(data: Any, where: str) -> Any:
    """Return the value that ``encode`` converted; arrays are copied."""
    if data is None or type(data) in (bool, int, float, str):
        return data
    if type(data) is np.ndarray and storable(data.dtype):
        return np.array(data, order="C")
    if type(data) is list:
        return [decode(item, f"{where}.{i}") for i, item in enumerate(data)]
    if type(data) is dict and all(type(key) is str for key in data):
        if not any(key.startswith("$") for key in data):
            return {key: decode(item, f"{where}.{key}") for key, item in data.items()}
        if len(data) == 1:
            ((kind, inner),) = data.items()
            return _decode_tagged(kind, inner, where)
    raise ValueError(f"{where} must be plain data, got {data!r}")


def _decode_tagged(kind: str, inner: Any, where: str) -> Any:
    if kind == "$tuple" and type(inner) is list:
        return tuple(decode(inner, where))
    if kind == "$int" and type(inner) is str and inner.lstrip("-").isdecimal() and inner.isascii():
        return int(inner)
    if kind in ("$scalar", "$float") and type(inner) is np.ndarray and inner.shape == () and storable(inner.dtype):
        return inner[()] if kind == "$scalar" else float(inner)
    raise ValueError(f"{where} must be plain data, got { ({kind: inner})!r}")


def storable(dtype: np.dtype[Any]) -> bool:
    """Return whether arrays of a dtype are valid: bools and numbers of at most 8 bytes in native byte order."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.isnative  # long doubles differ between machines


def split(state: Tree) -> tuple[dict[str, Array], Tree]:
    """Separate a state into its arrays and the rest.

    Returns:
        The arrays by path, such as ``layers/0/state/obs_rms.mean`` (within a key, ``/`` is written ``~1`` and ``~``
        is written ``~0``), and the state with ``{"$array": path}`` in place of each, as JSON.
    """
    arrays: dict[str, Array] = {}

    def part(node: Any, path: str) -> Any:
        if isinstance(node, np.ndarray):
            arrays[path] = node
            return {"$array": path}
        if isinstance(node, dict):
            return {key: part(item, _under(path, key)) for key, item in node.items()}
        if isinstance(node, list):
            return [part(item, _under(path, str(i))) for i, item in enumerate(node)]
        return node

    return arrays, part(state, "")


def join(arrays: dict[str, Array], rest: Tree) -> Tree:
    """Return the state that ``split`` separated."""
    named = set()

    def whole(node: Any) -> Any:
        if isinstance(node, dict) and set(node) == {"$array"}:
            path = node["$array"]
            if type(path) is not str or path not in arrays:
                raise ValueError(f"the arrays must have {path!r}, which the state names; they are {sorted(arrays)}")
            named.add(path)
            return arrays[path]
        if isinstance(node, dict):
            return {key: whole(item) for key, item in node.items()}
        return [whole(item) for item in node] if isinstance(node, list) else node

    state: Tree = whole(rest)
    if named != set(arrays):
        raise ValueError(f"the state must name every array; it does not name {sorted(set(arrays) - named)}")
    return state


def _under(path: str, key: str) -> str:
    key = key.replace("~", "~0").replace("/", "~1")
    return f"{path}/{key}" if path else key
