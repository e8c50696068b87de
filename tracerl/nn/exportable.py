"""The exportable parts of an agent: its networks, encoder and action head."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Part:
    """An exportable network of an agent, with the outputs that belong to one function of it."""

    network: Any  # a ``Network`` or a ``TraceNetwork``
    # the outputs of this function; one network can have several functions
    outputs: slice = field(default_factory=lambda: slice(None))


@runtime_checkable
class Portable(Protocol):
    """An agent whose networks can be exported."""

    encoder: Any  # from an observation to the input of every network
    head: Any  # from the outputs of the part ``policy`` to an action
    lifetimes: Any  # maker of the agent's tensors

    def parts(self) -> dict[str, Part]:
        """Return the networks by function: ``policy`` and, where there is a critic, ``value``."""
