"""What a value of a saved file may be: checks that say what they expected and what came."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import gymnasium as gym

Check = Callable[[str, Any], Any]  # takes a name and a value, returns the value, raises a ValueError naming the name


def _refuse(name: str, expected: str, value: Any) -> ValueError:
    came = f"an array of {value.dtype}, {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    return ValueError(f"{name} must be {expected}, got {came}")


def _bare(value: Any) -> Any:
    """Return what an array of no axis holds."""
    return value[()] if isinstance(value, np.ndarray) and value.shape == () else value


def _asks(expected: str, fits: Callable[[Any], bool]) -> Check:
    def check(name: str, value: Any) -> Any:
        if not fits(value):
            raise _refuse(name, expected, value)
        return value

    return check


# Python's or NumPy's, finite or not.
real = _asks("a number", lambda value: isinstance(_bare(value), Real) and not isinstance(value, bool))
flag = _asks("true or false", lambda value: isinstance(value, (bool, np.bool_)))
text = _asks("a string", lambda value: isinstance(value, str))
nothing = _asks("null", lambda value: value is None)
mapping = _asks("a dict", lambda value: isinstance(value, dict))
anything = _asks("anything", lambda value: True)  # plain data, whatever it is


def whole(low: int | None = None, high: int | None = None) -> Check:
    """Ask for a whole number, Python's or NumPy's: any, or one of ``low`` or above, or one from ``low`` to ``high``."""
    span = "" if low is None else f" of {low} or above" if high is None else f" from {low} to {high}"

    def fits(value: Any) -> bool:
        number = _bare(value)
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            return False
        return bool(low is None or number >= low) and bool(high is None or number <= high)

    return _asks("a whole number" + span, fits)


def fits(check: Check, value: Any) -> bool:
    """Tell whether a value is what a check asks for."""
    try:
        check("", value)
    except ValueError:
        return False
    return True


def optional(inner: Check) -> Check:
    """Ask for None or what another check asks for."""
    return lambda name, value: None if value is None else inner(name, value)


def array(shape: tuple[int, ...], kinds: str) -> Check:
    """Ask for an array of a shape and of a dtype of one of these kinds (``np.dtype.kind``), or a scalar for ()."""
    expected = f"an array of kind {' or '.join(kinds)}, {list(shape)}"
    arrays = (np.ndarray, np.generic)
    return _asks(expected, lambda v: isinstance(v, arrays) and v.shape == shape and v.dtype.kind in kinds)


def several(inner: Check, n: int | None = None, most: int | None = None) -> Check:
    """Ask for a list or tuple of what another check asks for: any number, exactly n or at most so many."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _refuse(name, "a list", value)
        if (n is not None and len(value) != n) or (most is not None and len(value) > most):
            raise _refuse(name, f"a list of {n if most is None else f'at most {most}'}", value)
        return type(value)(inner(f"{name}.{i}", item) for i, item in enumerate(value))

    return check


def either(first: Check, second: Check) -> Check:
    """Ask for what one of two checks asks for; the second one's error is raised."""
    return lambda name, value: value if fits(first, value) else second(name, value)


def of_space(space: "gym.Space[Any]") -> Check:
    """Ask for a value of the form of a space's: shapes and kinds of numbers, within the bounds or not."""
    from gymnasium import spaces  # which the command line need not wait for

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
    """Ask for a dict of exactly these keys, each with its own check."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, dict) or set(value) != set(parts):
            raise _refuse(name, f"a dict of {', '.join(parts)}", value)
        return {key: parts[key](f"{name}.{key}", item) for key, item in value.items()}

    return check


def each(inner: Check) -> Check:
    """Ask for a dict of any keys, whose values another check asks for."""
    return lambda name, value: {key: inner(f"{name}.{key}", item) for key, item in mapping(name, value).items()}


def _of_tuple(parts: list[Check]) -> Check:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != len(parts):
            raise _refuse(name, f"a tuple of {len(parts)}", value)
        return tuple(part(f"{name}.{i}", item) for i, (part, item) in enumerate(zip(parts, value, strict=True)))

    return check


def like(value: Any) -> Check:
    """Ask for a value of the kind of another: a number, bool, string, array of its shape and dtype, list or tuple."""
    if isinstance(value, (bool, np.bool_)):
        return flag
    if isinstance(value, np.ndarray):
        return array(value.shape, value.dtype.kind)
    if isinstance(value, tuple):
        return _of_tuple([like(item) for item in value])
    if isinstance(value, list):
        return several(anything)
    return text if isinstance(value, str) else real
