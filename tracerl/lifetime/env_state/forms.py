"""What a value of a state may be: checks that say what they expected and what came."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Check = Callable[[str, Any], Any]  # takes a name and a value, returns the value, raises a ValueError naming the name


def _refuse(name: str, expected: str, value: Any) -> ValueError:
    came = f"an array of {value.dtype}, {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    return ValueError(f"{name} must be {expected}, got {came}")


def _bare(value: Any) -> Any:
    """Return what an array of no axis holds."""
    return value[()] if isinstance(value, np.ndarray) and value.shape == () else value


def whole(low: int | None = None, high: int | None = None) -> Check:
    """Ask for a whole number, Python's or NumPy's: any, or one of ``low`` or above, or one from ``low`` to ``high``."""

    def check(name: str, value: Any) -> Any:
        number = _bare(value)
        fits = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not fits or (low is not None and number < low) or (high is not None and number > high):
            span = "" if low is None else f" of {low} or above" if high is None else f" from {low} to {high}"
            raise _refuse(name, "a whole number" + span, value)
        return value

    return check


def real(name: str, value: Any) -> Any:
    """Ask for a number; Python's or NumPy's, whole or not, finite or not."""
    if not isinstance(_bare(value), Real) or isinstance(value, bool):
        raise _refuse(name, "a number", value)
    return value


def flag(name: str, value: Any) -> Any:
    """Ask for a bool; Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise _refuse(name, "true or false", value)
    return value


def text(name: str, value: Any) -> Any:
    """Ask for a string."""
    if not isinstance(value, str):
        raise _refuse(name, "a string", value)
    return value


def nothing(name: str, value: Any) -> Any:
    """Ask for None."""
    if value is not None:
        raise _refuse(name, "null", value)
    return value


def optional(inner: Check) -> Check:
    """Ask for None or what another check asks for."""
    return lambda name, value: None if value is None else inner(name, value)


def array(shape: tuple[int, ...], kinds: str) -> Check:
    """Ask for an array of a shape and of a dtype of one of these kinds (``np.dtype.kind``), or a scalar for ()."""

    def check(name: str, value: Any) -> Any:
        fits = isinstance(value, (np.ndarray, np.generic)) and value.shape == shape and value.dtype.kind in kinds
        if not fits:
            raise _refuse(name, f"an array of kind {' or '.join(kinds)}, {list(shape)}", value)
        return value

    return check


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

    def check(name: str, value: Any) -> Any:
        try:
            return first(name, value)
        except ValueError:
            return second(name, value)

    return check


def anything(name: str, value: Any) -> Any:
    """Ask for nothing: the value is plain data, whatever it is."""
    return value


def of_space(space: gym.Space[Any]) -> Check:
    """Ask for a value of the form of a space's: shapes and kinds of numbers, within the bounds or not."""
    if isinstance(space, spaces.Dict):
        return of_dict({key: of_space(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _of_tuple([of_space(part) for part in space.spaces])
    if isinstance(space, spaces.Discrete):
        return whole()
    if space.shape is not None and space.dtype is not None and space.dtype.kind in "biuf":
        return array(space.shape, "f" if space.dtype.kind == "f" else "biu")
    return anything


def mapping(name: str, value: Any) -> Any:
    """Ask for a dict, of whatever."""
    if not isinstance(value, dict):
        raise _refuse(name, "a dict", value)
    return value


def of_dict(parts: Mapping[str, Check]) -> Check:
    """Ask for a dict of exactly these keys, each with its own check."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, dict) or set(value) != set(parts):
            raise _refuse(name, f"a dict of {', '.join(parts)}", value)
        return {key: parts[key](f"{name}.{key}", item) for key, item in value.items()}

    return check


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
