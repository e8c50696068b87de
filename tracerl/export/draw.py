"""Return the description of a network of tracerl."""

from typing import Any

import torch
from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.export.blueprint import Blueprint, Convolution, Dense, GradedPotential, Neurons, Pool, Readout
from tracerl.nn.exportable import Part, Portable
from tracerl.nn.layers import (
    ALIF,
    LI,
    ConvolutionalSynapses,
    Graded,
    Pooling,
    SpikingLayer,
    SynapticLIF,
    TraceLIF,
    TraceLIS,
)
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.convolution import Shape
from tracerl.nn.networks import Network
from tracerl.nn.networks.tracetorch import TraceNetwork
from tracerl.nn.wiring import INPUT, Node, Wiring


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


def draw(part: Part) -> Blueprint:
    """Return the description of a network of one lifetime. Tensors are copies on the CPU."""
    network = part.network
    if isinstance(network, TraceNetwork):
        return _draw_classic(network)
    assert isinstance(network, Network)
    wiring = network.wiring
    stages = tuple(_stage(node, wiring) for node in wiring.nodes)
    readout = _readout(network.readout, tuple(wiring.outputs), part.outputs)
    return Blueprint(stages, readout, wiring.n_in, network.ticks)


def _stage(node: Node, wiring: Wiring) -> Neurons | Pool:
    layer = node.layer
    if isinstance(layer, Pooling):
        return Pool(node.sources, layer.in_shape, layer.out_shape, layer.size, layer.kind)
    assert isinstance(layer, SpikingLayer)
    return Neurons(
        sources=node.sources,
        delayed=node.delayed,
        synapses=_synapses(node, wiring),
        membrane_decay=_each(layer.membrane_decay, layer.n_out),
        threshold=_each(layer.threshold, layer.n_out),
        reset=layer.reset,
        synapse_decay=_each(layer.synapse_decay, layer.n_out) if isinstance(layer, SynapticLIF) else None,
        adaptation=layer.adaptation if isinstance(layer, ALIF) else 0.0,
        adaptation_decay=_each(layer.adaptation_decay, layer.n_out) if isinstance(layer, ALIF) else None,
        layer_norm=layer.norm is not None,
        graded=GradedPotential(layer.slope, layer.surrogate_kind) if isinstance(layer, Graded) else None,
    )


def _synapses(node: Node, wiring: Wiring) -> Dense | Convolution:
    synapses = node.layer.synapses
    weight, bias = _copied(synapses.weight), _copied(synapses.bias)
    if isinstance(synapses, ConvolutionalSynapses):
        kernels = weight.reshape(synapses.channels, synapses.in_shape.channels, synapses.kernel, synapses.kernel)
        shapes = synapses.in_shape, Shape(*synapses.out_shape)
        return Convolution(
            kernels, bias, *shapes, synapses.stride, synapses.padding, synapses.channels_last, synapses.codes
        )
    others = [wiring.size(source) for source in (*node.sources, *node.delayed)]
    blocks = weight.split([*others, weight.shape[-1] - sum(others)], -1)
    n = len(node.sources)
    return Dense(blocks[:n], bias, blocks[n:-1], blocks[-1] if node.layer.recurrent else None)


def _readout(layer: LI, sources: tuple[int, ...], outputs: slice) -> Readout:
    weight, bias = _copied(layer.weight[outputs]), _copied(layer.bias[outputs])
    return Readout(sources, weight, bias, _each(layer.decay, layer.n_in))


def _draw_classic(network: TraceNetwork) -> Blueprint:
    """Return the description of traceTorch's network, v_t = m v_{t-1} + W x_t, with normalised weights W / (1-m)."""
    stages = []
    for i, layer in enumerate(network.layers):
        weight = _normalised(layer)
        stages.append(
            Neurons(
                sources=(i - 1 if i else INPUT,),
                synapses=Dense((weight,), torch.zeros_like(weight[:, 0])),
                membrane_decay=_each(layer.membrane_decay, layer.n_out),
                threshold=_each(layer.threshold, layer.n_out),
                reset="soft",
            )
        )
    top = network.readout
    weight = _normalised(top)
    sources = (len(stages) - 1 if stages else INPUT,)
    decays = torch.zeros_like(weight[0]), _each(top.membrane_decay, top.n_out)
    n_in = int(network.layers[0].n_in if network.layers else top.n_in)
    readout = Readout(sources, weight, torch.zeros_like(weight[:, 0]), *decays)
    return Blueprint(tuple(stages), readout, n_in, 1)


def _normalised(layer: TraceLIF | TraceLIS) -> Tensor:
    layer.membrane_decay.refresh()
    return _copied(layer.weight / layer.membrane_decay.complement.unsqueeze(-1))


def _each(constrained: Constrained, n: int) -> Tensor:
    """Return one current value per neuron, [n]."""
    return _copied(constrained.refresh().expand(n))


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
