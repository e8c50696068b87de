"""The exportable parts of an agent: its networks, encoder and action head."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tracerl.config.checks import ConfigError

POLICY_AND_VALUE = slice(None, -1), slice(-1, None)  # outputs of a network that has both


@dataclass(frozen=True)
class Part:
    """An exportable network of an agent, with the outputs that belong to one function of it."""

    network: Any  # a ``Network`` or a ``TraceNetwork``
    # the outputs of this function; one network can have several functions
    outputs: slice = field(default_factory=lambda: slice(None))
    weight_bits: int | None = None  # of weights that are rounded while they are learned; None: they are not


@runtime_checkable
class Portable(Protocol):
    """An agent whose networks can be exported."""

    encoder: Any  # from an observation to the input of every network
    head: Any  # from the outputs of the part ``policy`` to an action
    lifetimes: Any  # maker of the agent's tensors

    def parts(self) -> dict[str, Part]:
        """Return the networks by function: ``policy`` and, where there is a critic, ``value``."""


def part_of(agent: Any, name: str) -> Part:
    """Return a network of an agent by its name."""
    if not isinstance(agent, Portable):
        raise ConfigError("agent", f"must have a network of spiking neurons, {type(agent).__name__} has none to export")
    if agent.lifetimes.shape:
        raise ConfigError("agent", f"must be of one lifetime, got one of {agent.lifetimes.shape[0]}")
    parts = agent.parts()
    if name not in parts:
        raise ConfigError("network", f"must be one of {', '.join(parts)} of {type(agent).__name__}; got {name!r}")
    return parts[name]
