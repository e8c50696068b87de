"""JSON with one way to write each value, and nothing beyond the standard: no NaN, no key twice, no endless nesting.

``check`` raises a ConfigError that names the place in a value, such as ``info.env.position[3]``; ``canonical`` and
``loads`` a ValueError whose text is the end of a sentence about the file.
"""

import json
import math
from typing import Any

from tracerl.config.checks import ConfigError

_DEPTH = 100  # lists and dicts in each other; the reader's own limit depends on who calls it
_BITS = 4096  # of a whole number; the states of random generators have up to 128
_WANTED = f"null, true, false, a finite number (whole ones of up to {_BITS} bits), text, or lists and dicts of these"


def check(key: str, value: Any, depth: int = 0) -> None:
    """Check a value that is to be written as JSON and come back equal (a tuple as a list)."""
    if depth > _DEPTH:
        raise ConfigError(key[:60], f"must be nested at most {_DEPTH} deep")
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise ConfigError(key, f"must have keys of text, got {name!r:.60}")
            if not _leaf(item):
                check(f"{key}.{name}", item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if not _leaf(item):
                check(f"{key}[{index}]", item, depth + 1)
    elif not _leaf(value):
        raise ConfigError(key, f"must be {_WANTED}, got {value!r:.60}")


def _leaf(value: Any) -> bool:
    """Say whether a value can be written as it is and has no others in it."""
    if value is None or isinstance(value, (bool, str)):
        return True
    if isinstance(value, int):
        return value.bit_length() <= _BITS
    return isinstance(value, float) and math.isfinite(value)


def canonical(value: Any) -> bytes:
    """Write a value the one way: no spaces, UTF-8, keys in the order that they have (which is then read back)."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return text.encode("utf-8")


def loads(data: bytes) -> Any:
    """Read JSON that may come from anywhere."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {ascii(str(error)[:120])}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # readers differ in which of them they take
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
