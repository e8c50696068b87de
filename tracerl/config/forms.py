"""Checks of the values in a saved file. Errors have the expectation and the value."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import gymnasium as gym

Check = Callable[[str, Any], Any]  # takes a name and a value; returns the value or raises a ValueError with the name


def _unfit(name: str, expected: str, value: Any) -> ValueError:
    came = f"an array of {value.dtype}, {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    return ValueError(f"{name} must be {expected}, got {came}")


def _bare(value: Any) -> Any:
    """Return the element of an array without axes."""
    return value[()] if isinstance(value, np.ndarray) and value.shape == () else value


def _asks(expected: str, fits: Callable[[Any], bool]) -> Check:
    def check(name: str, value: Any) -> Any:
        if not fits(value):
            raise _unfit(name, expected, value)
        return value

    return check


# Numbers of Python or NumPy, finite or not.
real = _asks("a number", lambda value: isinstance(_bare(value), Real) and not isinstance(value, bool))
flag = _asks("true or false", lambda value: isinstance(value, (bool, np.bool_)))
text = _asks("a string", lambda value: isinstance(value, str))
word = _asks("a word", lambda value: isinstance(value, str) and value.isidentifier())
nothing = _asks("null", lambda value: value is None)
mapping = _asks("a dict", lambda value: isinstance(value, dict))
anything = _asks("anything", lambda value: True)  # any plain data


def whole(low: int | None = None, high: int | None = None) -> Check:
    """Return a check for a whole number of Python or NumPy from ``low`` to ``high``, each optional."""
    span = "" if low is None else f" of {low} or above" if high is None else f" from {low} to {high}"

    def fits(value: Any) -> bool:
        number = _bare(value)
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            return False
        return bool(low is None or number >= low) and bool(high is None or number <= high)

    return _asks("a whole number" + span, fits)


def fits(check: Check, value: Any) -> bool:
    """Return whether a value passes a check."""
    try:
        check("", value)
    except ValueError:
        return False
    return True


def optional(inner: Check) -> Check:
    """Return a check for None or a value that passes another check."""
    return lambda name, value: None if value is None else inner(name, value)


def array(shape: tuple[int, ...], kinds: str) -> Check:
    """Return a check for an array of a shape and dtype kinds (``np.dtype.kind``), or a scalar for ()."""
    expected = f"an array of kind {' or '.join(kinds)}, {list(shape)}"
    arrays = (np.ndarray, np.generic)
    return _asks(expected, lambda v: isinstance(v, arrays) and v.shape == shape and v.dtype.kind in kinds)


def several(inner: Check, n: int | None = None, most: int | None = None) -> Check:
    """Return a check for a list or tuple whose items pass another check: any number, exactly n or at most ``most``."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _unfit(name, "a list", value)
        if (n is not None and len(value) != n) or (most is not None and len(value) > most):
            raise _unfit(name, f"a list of {n if most is None else f'at most {most}'}", value)
        return type(value)(inner(f"{name}.{i}", item) for i, item in enumerate(value))

    return check


def either(first: Check, second: Check) -> Check:
    """Return a check that passes if one of two does. The error is that of the second."""
    return lambda name, value: value if fits(first, value) else second(name, value)


def of_space(space: "gym.Space[Any]") -> Check:
    """Return a check for a value with the shapes and kinds of numbers of a space, within its bounds or not."""
    from gymnasium import spaces  # slow to import

    if isinstance(space, spaces.Dict):
        return of_dict({key: of_space(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _of_tuple([of_space(part) for part in space.spaces])
    if isinstance(space, spaces.Discrete):
        return whole()
    if space.shape is not None and space.dtype is not None and space.dtype.kind in "biuf":
        return array(space.shape, "f" if space.dtype.kind == "f" else "biu")
    return anything


def of_dict(parts: Mapping[str, Check]) -> Check:
    """Return a check for a dict of exactly these keys, each with its own check."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, dict) or set(value) != set(parts):
            raise _unfit(name, f"a dict of {', '.join(parts)}", value)
        return {key: parts[key](f"{name}.{key}", item) for key, item in value.items()}

    return check


def each(inner: Check) -> Check:
    """Return a check for a dict of any keys whose values pass another check."""
    return lambda name, value: {key: inner(f"{name}.{key}", item) for key, item in mapping(name, value).items()}


def _of_tuple(parts: list[Check]) -> Check:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != len(parts):
            raise _unfit(name, f"a tuple of {len(parts)}", value)
        return tuple(part(f"{name}.{i}", value[i]) for i, part in enumerate(parts))

    return check


def like(value: Any) -> Check:
    """Return a check for the kind of a value: number, bool, string, list, tuple, or array of its shape and dtype."""
    if isinstance(value, (bool, np.bool_)):
        return flag
    if isinstance(value, np.ndarray):
        return array(value.shape, value.dtype.kind)
    if isinstance(value, tuple):
        return _of_tuple([like(item) for item in value])
    if isinstance(value, list):
        return several(anything)
    return text if isinstance(value, str) else real
