"""Canonical JSON, restricted to the standard: no NaN, no duplicate keys, limited nesting.

``check`` raises a ConfigError with the path of the value, such as ``info.env.position[3]``. ``canonical`` and ``loads``
raise a ValueError whose text completes a sentence about the file.
"""

import json
import math
from typing import Any

from tracerl.config.checks import ConfigError

_DEPTH = 100  # largest nesting of lists and dicts; the limit of the json module depends on the call stack
_BITS = 4096  # bits of a whole number; states of random generators have up to 128
_WANTED = f"null, true, false, a finite number (whole ones of up to {_BITS} bits), text, or lists and dicts of these"


def check(key: str, value: Any, depth: int = 0) -> None:
    """Check that a value can be written as JSON and read back equal (a tuple as a list)."""
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
    """Return whether a value is valid in JSON and contains no other values."""
    if value is None or isinstance(value, (bool, str)):
        return True
    if isinstance(value, int):
        return value.bit_length() <= _BITS
    return isinstance(value, float) and math.isfinite(value)


def canonical(value: Any) -> bytes:
    """Return a value as UTF-8 JSON without spaces. The order of keys is kept."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return text.encode("utf-8")


def loads(data: bytes) -> Any:
    """Read untrusted JSON."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_reject)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {ascii(str(error)[:120])}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # JSON readers differ in which one they use
        raise ValueError("a key is there twice")
    return found


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
