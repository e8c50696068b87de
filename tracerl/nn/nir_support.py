"""What NIR (https://neuroir.org) can represent of a network and an encoder."""

from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder, name_of
from tracerl.nn.exportable import check_known
from tracerl.nn.layers import ALIF, Graded, Pooling, SpikingLayer, Ternary
from tracerl.nn.networks import Network


def check_nir(network: Any) -> None:
    """Raise a ConfigError for a network that NIR cannot represent.

    Args:
        network: a ``Network`` of one or many lifetimes; or a ``TraceNetwork``, which NIR always represents.
    """
    check_known(network)
    for node in network.wiring.nodes if isinstance(network, Network) else ():
        layer = node.layer
        if isinstance(layer, Pooling):
            if layer.kind == "max":
                raise ConfigError("network.pool_kind", "must be average: NIR has no pooling by the maximum")
        elif isinstance(layer, ALIF):
            raise ConfigError("network.neuron", "must be lif or synaptic: NIR has no neuron whose threshold adapts")
        elif isinstance(layer, Graded):
            problem = "must be lif or synaptic, also in agent.critic: NIR has no neuron without spikes"
            raise ConfigError("network.neuron", problem)
        elif isinstance(layer, Ternary):
            raise ConfigError("network.neuron", "must be lif or synaptic, got ternary: NIR has no signed spikes")
        elif isinstance(layer, SpikingLayer) and layer.norm is not None:
            problem = "must be false, as in runs with deploy=neuromorphic: NIR cannot standardise currents over neurons"
            raise ConfigError("network.layer_norm", problem)
        if node.delayed:
            raise ConfigError("network.edges", "must not be delayed between nodes: in NIR only a cycle takes a tick")


def check_exact(network: Any) -> None:
    """Raise a ConfigError for a network whose spikes differ in NIR, or that NIR cannot represent.

    Beside what ``check_nir`` says, neurons must return to 0 after a spike: NIR has no neuron that subtracts its
    threshold.

    Args:
        network: a ``Network`` of one or many lifetimes.
    """
    check_nir(network)
    if any(layer.reset == "soft" for layer in network.layers):
        raise ConfigError("network.reset", "must be hard: NIR has no neuron that subtracts its threshold, got soft")


def check_encoder(encoder: Encoder, ticks: int) -> None:
    """Raise a ConfigError for an encoder whose features no nodes of NIR compute.

    Args:
        encoder: of one or many lifetimes.
        ticks: ticks of the network per env step.
    """
    if type(encoder) not in (RawEncoder, ContrastEncoder):
        problem = f"must be raw, contrast or auto: NIR has no nodes for the features of encoder={name_of(encoder)}"
        raise ConfigError("encoder", problem)
    if ticks > 1 and isinstance(encoder, ContrastEncoder):
        problem = f"must be 1, or encoder=raw: nodes of NIR advance traces at every tick, got {ticks}"
        raise ConfigError("network.ticks", problem)
