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
    """Synapses from all to all: I_t = sum over sources of W x_t, plus delayed ones of W z_{t-1}, plus b.

    Attributes:
        weights: one matrix per source of the same tick, each [n, n_source].
        delayed: one matrix per source of the tick before, each [n, n_source].
        own: of the layer's own spikes of the tick before, [n, n]; None: it does not hear itself.
        bias: [n].
    """

    weights: tuple[Tensor, ...]
    bias: Tensor
    delayed: tuple[Tensor, ...] = ()
    own: Tensor | None = None


@dataclass(frozen=True)
class Convolution:
    """Synapses that are a two-dimensional convolution.

    Attributes:
        weight: [channels, in_channels, kernel, kernel].
        bias: [channels].
        in_shape: channels, height, width.
        out_shape: the same of the currents.
        stride: pixels.
        padding: pixels of zeros around the image.
        channels_last: whether the flat input is laid out as (height, width, channels).
        codes: images that stand one behind the other in the flat input, each with an equal share of the channels.
    """

    weight: Tensor
    bias: Tensor
    in_shape: Shape
    out_shape: Shape
    stride: int
    padding: int
    channels_last: bool
    codes: int


class GradedPotential(NamedTuple):
    """How neurons without spikes hand on their potential: the integral of a surrogate.

    Attributes:
        slope: at the threshold.
        surrogate: ``arctan`` or ``triangle``.
    """

    slope: float
    surrogate: Surrogate


@dataclass(frozen=True)
class Neurons:
    """A layer of neurons behind its synapses; see ``tracerl.nn.layers`` for the equations.

    Attributes:
        sources: numbers of the stages received, or ``INPUT``.
        delayed: numbers of other stages of which the spikes of the tick before are received.
        synapses: from what is received to the currents.
        membrane_decay: m per tick, [n].
        threshold: theta: a neuron fires where u_t >= theta, [n].
        reset: ``soft``: subtract theta. ``hard``: return to 0.
        synapse_decay: a per tick, of currents that decay too, [n].
        adaptation: beta, by how much steady firing lifts the threshold.
        adaptation_decay: rho per tick, of thresholds that adapt, [n].
        layer_norm: whether currents are standardised over the neurons.
        graded: of neurons that do not spike; None of all others.
    """

    sources: tuple[int, ...]
    synapses: Dense | Convolution
    membrane_decay: Tensor
    threshold: Tensor
    reset: Literal["soft", "hard"]
    delayed: tuple[int, ...] = ()
    synapse_decay: Tensor | None = None
    adaptation: float = 0.0
    adaptation_decay: Tensor | None = None
    layer_norm: bool = False
    graded: GradedPotential | None = None

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
    """Squares of an image that become one number each.

    Attributes:
        sources: number of the stage received.
        in_shape: channels, height, width.
        out_shape: the same of the pooled image.
        size: side of a square, pixels.
        kind: ``average`` or ``max``.
    """

    sources: tuple[int, ...]
    in_shape: Shape
    out_shape: Shape
    size: int
    kind: Literal["average", "max"]


@dataclass(frozen=True)
class Readout:
    """Leaky integrators under, or over, the weights of the outputs: y = V zbar + c, zbar_t = k zbar_{t-1} + (1-k) z_t.

    Attributes:
        sources: numbers of the stages received, side by side.
        weight: V, [n_out, n_in].
        bias: c, [n_out].
        input_decay: k per tick, [n_in].
        output_decay: per tick, of integrators behind the weights, [n_out]; None where there are none.
    """

    sources: tuple[int, ...]
    weight: Tensor
    bias: Tensor
    input_decay: Tensor
    output_decay: Tensor | None = None


@dataclass(frozen=True)
class Blueprint:
    """A whole network.

    Attributes:
        stages: each after its sources.
        readout: on top; None of a network that ends with spikes.
        n_in: numbers received per tick.
        ticks: per env step; the output is that after the last.
    """

    stages: tuple[Neurons | Pool, ...]
    readout: Readout | None
    n_in: int
    ticks: int

    @property
    def neurons(self) -> list[Neurons]:
        """The layers of spiking neurons, in order."""
        return [stage for stage in self.stages if isinstance(stage, Neurons)]
