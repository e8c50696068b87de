"""The exportable parts of an agent: its networks, encoder and action head."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tracerl.config.checks import ConfigError
from tracerl.nn import layers
from tracerl.nn.networks import Network, Sequential
from tracerl.nn.networks.tracetorch import TraceNetwork

POLICY_AND_VALUE = slice(None, -1), slice(-1, None)  # outputs of a network that has both
_KNOWN = (
    *(Network, Sequential, TraceNetwork),
    *(layers.LIF, layers.ALIF, layers.SynapticLIF, layers.Ternary, layers.Graded, layers.TraceLIF),
    *(layers.DenseSynapses, layers.ConvolutionalSynapses, layers.Pooling, layers.LI, layers.TraceLIS),
)


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
    """Return a network of an agent by its name.

    Raises:
        ConfigError: the agent has no network to export, several lifetimes, or no network of this name.
    """
    if not isinstance(agent, Portable):
        named = f"{type(agent).__name__} has no {_lacking(agent)}"
        raise ConfigError("agent", f"must have a network of spiking neurons, which its method parts() returns: {named}")
    if agent.lifetimes.shape:
        raise ConfigError("agent", f"must be of one lifetime, got one of {agent.lifetimes.shape[0]}")
    parts = agent.parts()
    if name not in parts:
        raise ConfigError("network", f"must be one of {', '.join(parts)} of {type(agent).__name__}; got {name!r}")
    return parts[name]


def _lacking(agent: Any) -> str:
    """Return in words what an agent lacks of ``Portable``."""
    lacking = [name for name in ("encoder", "head", "lifetimes") if not hasattr(agent, name)]
    return "such method" if not callable(getattr(agent, "parts", None)) else f"attribute {' and no '.join(lacking)}"


def check_known(network: Any) -> None:
    """Raise a ConfigError for a network with a part of another class than tracerl's own.

    The exact class counts: a subclass may compute something else, which no export writes and no import reads.

    Args:
        network: of an agent of one or many lifetimes.
    """
    for part in _parts_of(network):
        if type(part) not in _KNOWN:
            problem = f"must build tracerl's own spiking layers for an export or import, got {type(part).__name__}"
            raise ConfigError("network._target_", problem)


def _parts_of(network: Any) -> Iterator[Any]:
    """Yield a network, its layers, their synapses and its readout."""
    yield network
    for layer in [node.layer for node in network.wiring.nodes] if isinstance(network, Network) else network.layers:
        yield layer
        if isinstance(layer, layers.SpikingLayer):
            yield layer.synapses
    yield network.readout
