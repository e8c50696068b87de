"""Overrides of a command line: ``KEY=VALUE``, with + or ~ before the key."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracerl.config.checks import ConfigError


def key_and_value(override: str) -> tuple[str, str]:
    """Return the key of an override without + and ~, and its value; an empty value if it has none."""
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


def with_groups(key: str) -> set[str]:
    """Return a dotted name and those of the groups that it is in: a.b.c, a.b and a."""
    parts = key.split(".")
    return {".".join(parts[: i + 1]) for i in range(len(parts))}


def text_of(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides. A number may be one of NumPy's.

    Raises:
        ConfigError: the value or a part of it is no number, text, list or mapping.
    """
    if hasattr(value, "tolist") and getattr(value, "ndim", None) == 0:  # a number of NumPy's or torch's
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, Path)):
        escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
        return escaped if re.fullmatch(r"[A-Za-z][\w.-]*", escaped) else f"'{escaped}'"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(text_of, value)) + "]"
    raise ConfigError("settings", f"must hold numbers, texts, lists and mappings, got {value!r}")
