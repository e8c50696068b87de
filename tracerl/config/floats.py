"""Numbers that are not finite, such as the bound ``inf`` of an env, in data for JSON, which has no form for them."""

import math
from collections.abc import Mapping
from typing import Any

_TAG = "$float"
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def encode(value: Any) -> Any:
    """Return plain data with ``{"$float": "inf"}``, ``-inf`` or ``nan`` for each number that is not finite.

    Results are equal where the data are, NaN included. A tuple becomes a list.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: str(float(value))}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def decode(data: Any) -> Any:
    """Return the plain data that ``encode`` converted."""
    if isinstance(data, Mapping):
        text = data.get(_TAG) if len(data) == 1 else None
        if isinstance(text, str) and text in _NUMBERS:
            return _NUMBERS[text]
        return {key: decode(item) for key, item in data.items()}
    return [decode(item) for item in data] if isinstance(data, list) else data
