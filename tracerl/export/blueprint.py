"""A network as numbers and edges, whoever shall compute it: what every format is written from and read into.

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
    """Synapses from all to all: I_t = sum over sources of W x_t, plus delayed ones of W z_{t-1}, plus b."""

    weights: tuple[Tensor, ...]  # one matrix per source of the same tick, each [n, n_source]
    bias: Tensor  # [n]
    delayed: tuple[Tensor, ...] = ()  # one matrix per source of the tick before, each [n, n_source]
    own: Tensor | None = None  # of the layer's own spikes of the tick before, [n, n]; None: it does not hear itself


@dataclass(frozen=True)
class Convolution:
    """Synapses that are a two-dimensional convolution."""

    weight: Tensor  # [channels, in_channels, kernel, kernel]
    bias: Tensor  # [channels]
    in_shape: Shape  # channels, height, width
    out_shape: Shape  # the same of the currents
    stride: int  # pixels
    padding: int  # pixels of zeros around the image
    channels_last: bool  # whether the flat input is laid out as (height, width, channels)
    codes: int  # images that stand one behind the other in the flat input, each with an equal share of the channels


class GradedPotential(NamedTuple):
    """How neurons without spikes hand on their potential: the integral of a surrogate."""

    slope: float  # at the threshold
    surrogate: Surrogate  # ``arctan`` or ``triangle``


@dataclass(frozen=True)
class Neurons:
    """A layer of neurons behind its synapses; see ``tracerl.nn.layers`` for the equations."""

    sources: tuple[int, ...]  # numbers of the stages received, or ``INPUT``
    synapses: Dense | Convolution  # from what is received to the currents
    membrane_decay: Tensor  # m per tick, [n]
    threshold: Tensor  # theta: a neuron fires where u_t >= theta, [n]
    reset: Literal["soft", "hard"]  # ``soft``: subtract theta. ``hard``: return to 0.
    delayed: tuple[int, ...] = ()  # numbers of other stages of which the spikes of the tick before are received
    synapse_decay: Tensor | None = None  # a per tick, of currents that decay too, [n]
    adaptation: float = 0.0  # beta, by how much steady firing lifts the threshold
    adaptation_decay: Tensor | None = None  # rho per tick, of thresholds that adapt, [n]
    layer_norm: bool = False  # whether currents are standardised over the neurons
    graded: GradedPotential | None = None  # of neurons that do not spike; None of all others

    @property
    def n(self) -> int:
        """How many neurons there are."""
        return len(self.threshold)

    @property
    def synapse_count(self) -> int:
        """How many weights there are, biases not counted; those of a convolution once, though positions share them."""
        if isinstance(self.synapses, Convolution):
            return self.synapses.weight.numel()
        own = () if self.synapses.own is None else (self.synapses.own,)
        return sum(weight.numel() for weight in (*self.synapses.weights, *self.synapses.delayed, *own))


@dataclass(frozen=True)
class Pool:
    """Squares of an image that become one number each."""

    sources: tuple[int, ...]  # number of the stage received
    in_shape: Shape  # channels, height, width
    out_shape: Shape  # the same of the pooled image
    size: int  # side of a square, pixels
    kind: Literal["average", "max"]  # ``average`` or ``max``


@dataclass(frozen=True)
class Readout:
    """Leaky integrators below or above the weights of outputs: y = V zbar + c, zbar_t = k zbar_{t-1} + (1-k) z_t."""

    sources: tuple[int, ...]  # numbers of the stages received, side by side
    weight: Tensor  # V, [n_out, n_in]
    bias: Tensor  # c, [n_out]
    input_decay: Tensor  # k per tick, [n_in]
    # per tick, of integrators behind the weights, [n_out]; None where there are none
    output_decay: Tensor | None = None


@dataclass(frozen=True)
class Blueprint:
    """A whole network."""

    stages: tuple[Neurons | Pool, ...]  # each after its sources
    readout: Readout | None  # on top; None of a network that ends with spikes
    n_in: int  # numbers received per tick
    ticks: int  # per env step; the output is that after the last

    @property
    def neurons(self) -> list[Neurons]:
        """The layers of spiking neurons, in order."""
        return [stage for stage in self.stages if isinstance(stage, Neurons)]
