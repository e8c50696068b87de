"""What of an agent can be taken elsewhere: its networks, what encodes their input and what reads their output."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Part:
    """A network of an agent, seen from one of the jobs it does.

    Attributes:
        network: a ``Network`` or a ``TraceNetwork``.
        outputs: which of its outputs belong to the job; a network can have several.
    """

    network: Any
    outputs: slice = field(default_factory=lambda: slice(None))


@runtime_checkable
class Portable(Protocol):
    """An agent whose networks can be taken elsewhere.

    Attributes:
        encoder: from an observation to the input of every network.
        head: from the outputs of the part ``policy`` to an action.
        lifetimes: that the agent's tensors were made for.
    """

    encoder: Any
    head: Any
    lifetimes: Any

    def parts(self) -> dict[str, Part]:
        """Return the networks by the job they do: ``policy`` and, where there is a critic, ``value``."""
        ...
