"""Arguments that a user's own loop passes to an agent, converted only where they do not fit as they are."""

from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError


def as_numbers(observation: Any, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an observation, such as a list or a tensor, as numbers.

    Args:
        observation: as it was passed.
        size: how many numbers it must hold, of all lifetimes.

    Returns:
        float64, [size].

    Raises:
        ConfigError: it holds another number of numbers, or none.
    """
    try:
        found = np.asarray(observation, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError("observation", f"must hold {size} numbers, got {observation!r:.80}") from error
    if found.size != size:
        raise ConfigError("observation", f"must hold {size} numbers, got {found.size} of shape {found.shape}")
    return found.reshape(-1)


def not_begun(method: str) -> ConfigError:
    """Return the error of a step or an end outside of an episode."""
    return ConfigError(method, "must come within an episode, which action = agent.start(observation) begins")


def origin_of(agent: Any) -> Any:
    """Return what an agent was built from, which saves it; see ``tracerl.lifetime.protocol.Origin``.

    Raises:
        ConfigError: it was built by its class, so that its settings are not known.
    """
    if agent.built_from is None:
        problem = (
            "must be made by tracerl.make_agent or a run to be saved: of one built by its class no settings are known"
        )
        raise ConfigError("agent", f"{problem}. Keep agent.capture(), and hand it to restore of one built the same way")
    return agent.built_from
