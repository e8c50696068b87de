"""The diagnostics of agents: numbers by TensorBoard tag, from a method that an agent may leave out."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from tracerl.lifetime.env_outputs import reward_of as number_of


def diagnostics_of(agent: Any) -> Any:
    """Return what an agent's ``diagnostics`` returns; nothing by tag for an agent without the method."""
    method = getattr(agent, "diagnostics", None)
    return {} if method is None else method()


def problem_of(found: Any) -> str | None:
    """Return in words why diagnostics are not numbers by tag; None if they are."""
    if not isinstance(found, Mapping):
        return f"diagnostics must return numbers by tag, got {found!r:.200}"
    for tag, value in found.items():
        if not isinstance(tag, str):
            return f"diagnostics must return numbers by tag, got the tag {tag!r:.200}"
        if not _is_number(value):
            return f"diagnostics must return numbers by tag, got {value!r:.200} for {tag}"
    return None


def numbers_of(found: Any) -> dict[str, Any]:
    """Return the numbers among diagnostics, by tag."""
    if not isinstance(found, Mapping):
        return {}
    numbers = {tag: value for tag, value in found.items() if isinstance(tag, str) and _is_number(value)}
    return {tag: value if isinstance(value, Real) else number_of(value) for tag, value in numbers.items()}


def _is_number(value: Any) -> bool:
    """Return whether a value is a real number, or an array or a tensor of one."""
    try:
        number_of(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
