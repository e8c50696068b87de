"""Check and convert what a user's own loop passes to an agent."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.lifetime.env_outputs import REAL_KINDS
from tracerl.lifetime.protocol import StepType

Array = np.ndarray[Any, Any]


def as_numbers(observation: Any, size: int | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an observation of all lifetimes, such as a list or a tensor, as numbers: float64, [size], contiguous.

    Raises:
        ConfigError: it has another size, where one is given, or values that are no real numbers.
    """
    many = "" if size is None else f"{size} "
    try:
        found = np.asarray(observation)
        if found.dtype.kind not in REAL_KINDS and not all(isinstance(each, Real) for each in found.flat):
            raise TypeError
        found = np.asarray(found, np.float64, order="C")  # a copy where it has negative strides
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ConfigError("observation", f"must hold {many}numbers, got {observation!r:.80}") from error
    if size is not None and found.size != size:
        raise ConfigError("observation", f"must hold {size} numbers, got {found.size} of shape {found.shape}")
    return found.reshape(-1)


def per_lifetime(name: str, values: Any, n: int, shape: tuple[int, ...] | None = None) -> Array:
    """Return values of n lifetimes as a contiguous array, [n, ...], or [n, *shape] where a shape is given.

    Raises:
        ConfigError: naming the argument, for another shape or values that are no real numbers.
    """
    found = _as_array(name, values)
    if found.shape[:1] != (n,) or shape not in (None, found.shape[1:]):
        raise ConfigError(name, f"must be of {n} lifetimes, got the shape {found.shape}")
    if found.dtype.kind not in REAL_KINDS:
        raise ConfigError(name, f"must be real numbers, got {found.tolist()!r:.200}")
    return found


def steps_of(step_types: Any, rewards: Any, n: int) -> tuple[Array, Array]:
    """Return the step types and rewards of n lifetimes as arrays, [n].

    Raises:
        ConfigError: naming the argument, for another shape or other values.
    """
    types = _as_array("step_types", step_types)
    known = types.dtype.kind in "iu" and types.shape == (n,)
    if not known or types.min() < StepType.SKIP or types.max() > StepType.TRUNCATED:
        problem = f"must be one of tracerl.StepType for each of {n} lifetimes, got {types.tolist()!r:.200}"
        raise ConfigError("step_types", problem)
    return types, per_lifetime("rewards", rewards, n, ())


def _as_array(name: str, values: Any) -> Array:
    """Return a contiguous array; a ConfigError that names an argument from which none can be made."""
    try:
        return np.ascontiguousarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(name, f"must be an array, got {values!r:.200}") from error


def check_state(state: Any) -> None:
    """Check that a state to restore is a mapping to tensors."""
    from torch import Tensor

    wanted = "must be tensors by name, as agent.capture() returns them"
    if not isinstance(state, Mapping):
        raise ConfigError("state", f"{wanted}, got {state!r:.200}")
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ConfigError("state", f"{wanted}, got {value!r:.100} as {name!r:.100}")


def check_methods(agent: Any) -> None:
    """Check that an agent of one lifetime is no class and has the methods that the loop calls."""
    if isinstance(agent, type):
        raise ConfigError("agent", f"must be an agent, got the class {agent.__name__}")
    if not all(callable(getattr(agent, method, None)) for method in ("start", "step", "end")):
        raise ConfigError("agent", f"must have the methods start, step and end, got {agent!r:.200}")


def check_one_lifetime(agent: Any) -> None:
    """Check that an agent does not hold several lifetimes."""
    seeds = getattr(getattr(agent, "built_from", None), "seeds", ())
    if len(seeds) > 1:
        raise ConfigError(
            "agent", f"must be of one lifetime, got one of {len(seeds)}, which agent.advance steps together"
        )


def not_begun(method: str) -> ConfigError:
    """Return the error of a step or an end outside an episode."""
    return ConfigError(method, "must come within an episode, which action = agent.start(observation) begins")


def origin_of(agent: Any) -> Any:
    """Return the settings of an agent, with which it is saved (``protocol.AgentOrigin``).

    Raises:
        ConfigError: the agent was built by its class, so its settings are unknown.
    """
    if agent.built_from is None:
        problem = (
            "must be made by tracerl.make_agent or a run to be saved: of one built by its class no settings are known"
        )
        raise ConfigError("agent", f"{problem}. Keep agent.capture(), and hand it to restore of one built the same way")
    return agent.built_from
