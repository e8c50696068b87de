"""A description of a network as numbers and edges, independent of a format.

All tensors are of one lifetime, [n], in the dtype of the agent. Neurons are normalised as in ``tracerl.nn.functional``:
u_t = m v_{t-1} + (1-m) I_t.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tracerl.nn import layers
from tracerl.nn.encoders import Encoder
from tracerl.nn.exportable import Part, check_known
from tracerl.nn.functional import Surrogate
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.convolution import Shape
from tracerl.nn.networks import Network
from tracerl.nn.networks.tracetorch import TraceNetwork
from tracerl.nn.wiring import INPUT, Node, Wiring


@dataclass(frozen=True)
class Dense:
    """Dense synapses: I_t = sum over sources of W x_t + sum over delayed sources of W z_{t-1} + b."""

    weights: tuple[Tensor, ...]  # one matrix per source of the same tick, each [n, n_source]
    bias: Tensor  # [n]
    delayed: tuple[Tensor, ...] = ()  # one matrix per source of the previous tick, each [n, n_source]
    own: Tensor | None = None  # recurrent weights of the layer's spikes of the previous tick, [n, n]


@dataclass(frozen=True)
class Convolution:
    """Synapses of a two-dimensional convolution."""

    weight: Tensor  # [channels, in_channels, kernel, kernel]
    bias: Tensor  # [channels]
    in_shape: Shape  # channels, height, width
    out_shape: Shape  # channels, height, width of the currents
    stride: int  # pixels
    padding: int  # pixels of zeros around the image
    channels_last: bool  # whether the flat input is laid out as (height, width, channels)
    codes: int  # number of images in the flat input, each with an equal share of the channels


class GradedPotential(NamedTuple):
    """The output of neurons without spikes: the integral of a surrogate of their potential."""

    slope: float  # slope at the threshold
    surrogate: Surrogate


@dataclass(frozen=True)
class Neurons:
    """A layer of neurons with its synapses; see ``tracerl.nn.layers`` for the equations."""

    sources: tuple[int, ...]  # indices of the source stages, or ``INPUT``
    synapses: Dense | Convolution  # map the sources to the currents
    membrane_decay: Tensor  # m per tick, [n]
    threshold: Tensor  # theta: a neuron spikes if u_t >= theta, [n]
    reset: Literal["soft", "hard"]  # ``soft``: subtract theta. ``hard``: return to 0.
    delayed: tuple[int, ...] = ()  # indices of source stages with spikes of the previous tick
    synapse_decay: Tensor | None = None  # a per tick, for decaying currents, [n]
    adaptation: float = 0.0  # beta, the increase of the threshold under steady firing
    adaptation_decay: Tensor | None = None  # rho per tick, for adaptive thresholds, [n]
    layer_norm: bool = False  # whether currents are standardised over the neurons
    graded: GradedPotential | None = None  # output of neurons without spikes; None for spiking neurons
    ternary: bool = False  # whether a neuron spikes -1 if u_t <= -theta

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.threshold)

    @property
    def synapse_count(self) -> int:
        """Number of weights without biases. Shared weights of a convolution count once."""
        if isinstance(self.synapses, Convolution):
            return self.synapses.weight.numel()
        own = () if self.synapses.own is None else (self.synapses.own,)
        return sum(weight.numel() for weight in (*self.synapses.weights, *self.synapses.delayed, *own))


@dataclass(frozen=True)
class Pool:
    """Pooling of squares of an image."""

    sources: tuple[int, ...]  # index of the source stage
    in_shape: Shape  # channels, height, width
    out_shape: Shape  # channels, height, width of the pooled image
    size: int  # side of a square, pixels
    kind: Literal["average", "max"]  # ``average`` or ``max``


@dataclass(frozen=True)
class Readout:
    """A readout with leaky integrators: y = V zbar + c, zbar_t = k zbar_{t-1} + (1-k) z_t."""

    sources: tuple[int, ...]  # indices of the source stages, concatenated
    weight: Tensor  # V, [n_out, n_in]
    bias: Tensor  # c, [n_out]
    input_decay: Tensor  # k per tick, [n_in]
    # decay per tick of integrators after the weights, [n_out]; None without them
    output_decay: Tensor | None = None


@dataclass(frozen=True)
class NetworkDescription:
    """A whole network."""

    stages: tuple[Neurons | Pool, ...]  # each after its sources
    readout: Readout | None  # last layer; None for a network that ends with spikes
    n_in: int  # inputs per tick
    ticks: int  # ticks per env step; the output of the last tick counts

    @property
    def neurons(self) -> list[Neurons]:
        """The layers of spiking neurons, in order."""
        return [stage for stage in self.stages if isinstance(stage, Neurons)]


def moments(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Return the current mean and standard deviation of observations, float64, [n]."""
    assert encoder.normalizer is not None
    found = encoder.normalizer.moments
    seen = float(found.count) > 1
    deviation = found.deviation() if seen else torch.ones_like(found.mean)
    return found.mean.to("cpu", copy=True), deviation.cpu()


def describe(part: Part) -> NetworkDescription:
    """Return the description of a network of one lifetime. Tensors are copies on the CPU.

    Raises:
        ConfigError: the network has a layer of another class than tracerl's own.
    """
    network = part.network
    check_known(network)
    if isinstance(network, TraceNetwork):
        return _describe_classic(network)
    assert isinstance(network, Network)
    wiring = network.wiring
    stages = tuple(_stage(node, wiring) for node in wiring.nodes)
    readout = _readout(network.readout, tuple(wiring.outputs), part.outputs)
    return NetworkDescription(stages, readout, wiring.n_in, network.ticks)


def _stage(node: Node, wiring: Wiring) -> Neurons | Pool:
    layer = node.layer
    if isinstance(layer, layers.Pooling):
        return Pool(node.sources, layer.in_shape, layer.out_shape, layer.size, layer.kind)
    assert isinstance(layer, layers.SpikingLayer)
    return Neurons(
        sources=node.sources,
        delayed=node.delayed,
        synapses=_synapses(node, wiring),
        membrane_decay=_each(layer.membrane_decay, layer.n_out),
        threshold=_threshold(layer),
        reset=layer.reset,
        synapse_decay=_each(layer.synapse_decay, layer.n_out) if isinstance(layer, layers.SynapticLIF) else None,
        adaptation=layer.adaptation if isinstance(layer, layers.ALIF) else 0.0,
        adaptation_decay=_each(layer.adaptation_decay, layer.n_out) if isinstance(layer, layers.ALIF) else None,
        layer_norm=layer.norm is not None,
        graded=GradedPotential(layer.slope, layer.surrogate_kind) if isinstance(layer, layers.Graded) else None,
        ternary=isinstance(layer, layers.Ternary),
    )


def _synapses(node: Node, wiring: Wiring) -> Dense | Convolution:
    synapses = node.layer.synapses
    weight, bias = _copied(synapses.weight), _copied(synapses.bias)
    if isinstance(synapses, layers.ConvolutionalSynapses):
        kernels = weight.reshape(synapses.channels, synapses.in_shape.channels, synapses.kernel, synapses.kernel)
        sizes = synapses.stride, synapses.padding, synapses.channels_last, synapses.codes
        return Convolution(kernels, bias, synapses.in_shape, Shape(*synapses.out_shape), *sizes)
    others = [wiring.size(source) for source in (*node.sources, *node.delayed)]
    blocks = weight.split([*others, weight.shape[-1] - sum(others)], -1)
    n = len(node.sources)
    return Dense(blocks[:n], bias, blocks[n:-1], blocks[-1] if node.layer.recurrent else None)


def _readout(layer: layers.LI, sources: tuple[int, ...], outputs: slice) -> Readout:
    weight, bias = _copied(layer.weight[outputs]), _copied(layer.bias[outputs])
    return Readout(sources, weight, bias, _each(layer.decay, layer.n_in))


def _describe_classic(network: TraceNetwork) -> NetworkDescription:
    """Return the description of traceTorch's network, v_t = m v_{t-1} + W x_t, with normalised weights W / (1-m)."""
    stages: list[Neurons] = []
    for i, layer in enumerate(network.layers):
        weight = _normalised(layer)
        synapses = Dense((weight,), torch.zeros_like(weight[:, 0]))
        decay, threshold = _each(layer.membrane_decay, layer.n_out), _each(layer.threshold, layer.n_out)
        stages.append(Neurons((i - 1 if i else INPUT,), synapses, decay, threshold, "soft"))
    top = network.readout
    weight = _normalised(top)
    sources = (len(stages) - 1 if stages else INPUT,)
    decays = torch.zeros_like(weight[0]), _each(top.membrane_decay, top.n_out)
    n_in = int(network.layers[0].n_in if network.layers else top.n_in)
    readout = Readout(sources, weight, torch.zeros_like(weight[:, 0]), *decays)
    return NetworkDescription(tuple(stages), readout, n_in, 1)


def _normalised(layer: layers.TraceLIF | layers.TraceLIS) -> Tensor:
    layer.membrane_decay.refresh()
    return _copied(layer.weight / layer.membrane_decay.complement.unsqueeze(-1))


def _threshold(layer: layers.SpikingLayer) -> Tensor:
    """Return theta with what a rate target has added to it, [n]."""
    theta = _each(layer.threshold, layer.n_out)
    return theta if layer.threshold_rise is None else theta + _copied(layer.threshold_rise)


def _each(constrained: Constrained, n: int) -> Tensor:
    """Return one current value per neuron, [n]."""
    return _copied(constrained.refresh().expand(n))


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
