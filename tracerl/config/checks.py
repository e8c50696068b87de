"""Checks of user input. Each raises a ConfigError with the key, the expectation and the value."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

LARGEST = (2 - 2**-23) * 2.0**127  # of a float32


class ConfigError(ValueError):
    """A setting that cannot be used.

    Attributes:
        key: dotted name of the setting, e.g. ``network.threshold``.
        problem: what was expected and what came.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key} {problem}")
        self.key = key
        self.problem = problem

    def under(self, prefix: str) -> "ConfigError":
        """Return the error with the key below a parent key. An empty key stands for the parent itself."""
        return ConfigError(f"{prefix}.{self.key}" if self.key else prefix, self.problem)


class NotMade(ConfigError):
    """A part that the config names raised another error, the cause of this one, while it was made."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another package, or its class if it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def described(error: BaseException) -> str:
    """Return the class and, if it has one, the text of an error, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """A context in which the keys of errors are placed below a parent key."""
    try:
        yield
    except ConfigError as error:
        raise error.under(prefix) from error


def stop(message: str, code: int = 2) -> NoReturn:
    """Exit a command with an error message. Code 2 stands for bad input."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


class ConfigWarning(UserWarning):
    """Settings that do not stop a run but prevent its success. The command line shows the warning in one line."""


def number(key: str, value: Any, expected: str, low: float, high: float, *, closed: str = "[]") -> float:
    """Check a real number in the range that ``expected`` describes. ``closed`` has the brackets of its ends."""
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if fits:
        fits = (
            -LARGEST <= value <= LARGEST
            and (value >= low if closed[0] == "[" else value > low)
            and (value <= high if closed[1] == "]" else value < high)
        )
    if not fits:
        large = isinstance(value, (int, float)) and LARGEST < abs(value) < math.inf
        size = f" and of at most {LARGEST:.2g}, which a float32 holds" if large else ""
        raise ConfigError(key, f"must be {expected}{size}, got {value!r}")
    return float(value)


def positive(key: str, value: Any) -> float:
    """Check a number above zero."""
    return number(key, value, "a number above 0", 0.0, math.inf, closed="()")


def non_negative(key: str, value: Any) -> float:
    """Check a number that is zero or above."""
    return number(key, value, "a number of 0 or above", 0.0, math.inf, closed="[)")


def decay(key: str, value: Any) -> float:
    """Check a decay per step, in [0, 1)."""
    return number(key, value, "a number in [0, 1)", 0.0, 1.0, closed="[)")


def unit_interval(key: str, value: Any) -> float:
    """Check a number in [0, 1]."""
    return number(key, value, "a number in [0, 1]", 0.0, 1.0)


def fading(discount: Any, trace_decay: Any) -> None:
    """Check gamma (``discount``) and lambda (``trace_decay``), whose product is the decay of a trace."""
    unit_interval("discount", discount)
    unit_interval("trace_decay", trace_decay)
    if discount * trace_decay >= 1:
        raise ConfigError("trace_decay", "must be below 1 if discount is 1, because the trace would not decay")


def discounts(discount: Any, trace_decay: Any) -> tuple[float, float]:
    """Check gamma, or a pair of the first and the last one, and lambda; return the pair.

    Traces decay by the product of the first one and lambda.
    """
    pair = isinstance(discount, Sequence) and not isinstance(discount, str)
    first, last = span("discount", discount, "a number in [0, 1]", 0.0, 1.0, closed="[]") if pair else (discount,) * 2
    fading(first, trace_decay)
    return first, last


def whole(key: str, value: Any, low: int, high: int | None = None) -> int:
    """Check a whole number, also one of NumPy's, from ``low`` to ``high``, which may be None."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < low or (high is not None and value > high):
        span = f"of {low} or above" if high is None else f"from {low} to {high}"
        raise ConfigError(key, f"must be a whole number {span}, got {value!r}")
    return int(value)


def weight_bits(key: str, value: Any) -> int:
    """Check the bits of a rounded weight: a whole number from 2 to 16."""
    return whole(key, value, 2, 16)


def flag(key: str, value: Any) -> bool:
    """Check true or false."""
    if not isinstance(value, bool):
        raise ConfigError(key, f"must be true or false, got {value!r}")
    return value


def choice(key: str, value: Any, options: Sequence[str]) -> str:
    """Check that a value is one of the options."""
    if not isinstance(value, str) or value not in options:
        raise ConfigError(key, f"must be one of {', '.join(options)}; got {value!r}")
    return value


def path(key: str, value: Any) -> Path:
    """Check a path, as text or as a ``Path``."""
    if not isinstance(value, (str, PathLike)):
        raise ConfigError(key, f"must be a path, got {value!r:.200}")
    return Path(value)


def function(key: str, value: Any) -> None:
    """Check that a value can be called."""
    if not callable(value):
        raise ConfigError(key, f"must be a function, got {value!r:.200}")


def part(key: str, value: Any) -> None:
    """Check the settings of a part of an agent, whose ``build`` makes it."""
    if not callable(getattr(value, "build", None)):
        raise ConfigError(key, f"must be settings with a _target_, got {value!r}")


def step_rules(rules: Any, *names: str) -> None:
    """Check the settings of step-size rules by name, such as ``policy`` and ``value``."""
    if not isinstance(rules, Mapping) or not set(names) <= set(rules):
        raise ConfigError("optimizer", f"must have the step-size rules {' and '.join(names)}, got {rules!r}")
    for name in names:
        part(f"optimizer.{name}", rules[name])


def packages(key: str, extra: str, *names: str) -> None:
    """Check that the packages of an extra of tracerl are installed."""
    try:
        for name in names:
            import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(key, f'needs packages that are not installed: pip install "tracerl[{extra}]"') from error


def span(key: str, value: Any, expected: str, low: float, high: float, *, closed: str = "[)") -> tuple[float, float]:
    """Check one number, or a range ``[low, high]`` of numbers to draw from, and return the ends of the range."""
    pair = isinstance(value, Sequence) and not isinstance(value, str)
    ends = tuple(value) if pair else (value, value)
    wanted = f"{expected}, or a pair [low, high] of such numbers"
    if len(ends) != 2:
        raise ConfigError(key, f"must be {wanted}, got {value!r}")
    first, last = (number(key, end, wanted, low, high, closed=closed) for end in ends)
    if first > last:
        raise ConfigError(key, f"must be {wanted}, low first, got {value!r}")
    return first, last
