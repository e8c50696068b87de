"""A description of a network as numbers and edges, independent of a format.

All tensors are of one lifetime, [n], in the dtype of the agent. Neurons are normalised as in ``tracerl.nn.functional``:
u_t = m v_{t-1} + (1-m) I_t.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from tracerl.nn.functional import Surrogate
from tracerl.nn.layers.convolution import Shape


@dataclass(frozen=True)
class Dense:
    """Dense synapses: I_t = sum over sources of W x_t + sum over delayed sources of W z_{t-1} + b."""

    weights: tuple[Tensor, ...]  # one matrix per source of the same tick, each [n, n_source]
    bias: Tensor  # [n]
    delayed: tuple[Tensor, ...] = ()  # one matrix per source of the previous tick, each [n, n_source]
    own: Tensor | None = (
        None  # recurrent weights of the layer's spikes of the previous tick, [n, n]; None: not recurrent
    )


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
    surrogate: Surrogate  # ``arctan`` or ``triangle``


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
class Blueprint:
    """A whole network."""

    stages: tuple[Neurons | Pool, ...]  # each after its sources
    readout: Readout | None  # last layer; None for a network that ends with spikes
    n_in: int  # inputs per tick
    ticks: int  # ticks per env step; the output of the last tick counts

    @property
    def neurons(self) -> list[Neurons]:
        """The layers of spiking neurons, in order."""
        return [stage for stage in self.stages if isinstance(stage, Neurons)]
