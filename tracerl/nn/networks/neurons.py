"""Settings shared by all kinds of networks: neurons, synapses, readout and credit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracerl.config import checks
from tracerl.nn import functional as F
from tracerl.nn.layers import ALIF, LI, LIF, DenseSynapses, Graded, LayerSettings, SpikingLayer, SynapticLIF, Ternary
from tracerl.nn.layers.synapses import Synapses
from tracerl.nn.lifetimes import Lifetimes

NEURONS = ("lif", "alif", "synaptic", "ternary", "graded")
_DECAYS = ("membrane_decay", "readout_decay", "adaptation_decay", "synapse_decay")


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """Settings of the neurons of a network.

    A setting given as a range ``[low, high]`` is drawn per neuron; a single number is shared by the layer.

    Attributes:
        neuron: ``lif``; ``alif``: with an adaptive threshold; ``synaptic``: with decaying synaptic currents;
            ``ternary``: with spikes of -1 below the negative threshold too; ``graded``: with the integral of the
            surrogate at the potential as output, in place of spikes.
        membrane_decay: m per tick, in [0, 1).
        threshold: theta > 0, in units of the membrane.
        readout_decay: k per tick, in [0, 1).
        adaptation: beta, increase of the threshold under constant firing (``alif``).
        adaptation_decay: rho per tick, in [0, 1) (``alif``).
        synapse_decay: a per tick, in [0, 1) (``synaptic``).
        reset: ``soft`` or ``hard``.
        detach_reset: leave out the derivative of the spike in the reset; None: only for a hard reset, for which the
            derivative is unstable.
        surrogate: ``arctan``, ``triangle`` or, for graded neurons, ``rectifier``, the leaky ReLU, or
            ``centered_rectifier``, the same less its mean for standard normal input.
        slope: of the surrogate.
        recurrent: whether the neurons of a layer receive the spikes of the layer at the previous tick.
        layer_norm: standardise the currents of a layer over its neurons.
        rate_target: spikes per neuron and tick above which a neuron's threshold rises, in (0, 1); None: it does not.
            Graded neurons have no spikes, and no target.
        weight_scale: hidden weights are drawn from N(0, weight_scale^2 / inputs).
        recurrent_scale: weights of the n spikes of the previous tick are drawn from N(0, recurrent_scale^2 / n).
        bias_scale: hidden biases are drawn from U(-bias_scale, bias_scale).
        sparsity: share of each neuron's weights that are initially zero, in [0, 1).
        output_scale: readout weights are drawn from N(0, output_scale^2 / inputs).
        ticks: network ticks per env step.
        credit: ``otpe``, ``presynaptic``, ``mixed``, ``exact`` or ``auto``; see ``Network``.
        feedback: ``symmetric``, ``random`` or ``adaptive``: the feedback weights of the readout; see ``LI``.
        feedback_decay: share of readout and feedback weights that is subtracted at each update (``adaptive``).
        learn_membrane_decay: make m a parameter.
        learn_threshold: make theta a parameter.
        learn_readout_decay: make k a parameter.
    """

    neuron: Any
    membrane_decay: Any
    threshold: Any
    readout_decay: Any
    adaptation: float
    adaptation_decay: Any
    synapse_decay: Any
    reset: Any
    detach_reset: bool | None
    surrogate: Any
    slope: float
    recurrent: bool
    layer_norm: bool
    weight_scale: float
    recurrent_scale: float
    bias_scale: float
    sparsity: float
    output_scale: float
    ticks: int
    credit: Any
    feedback: Any
    feedback_decay: float
    learn_membrane_decay: bool
    learn_threshold: bool
    learn_readout_decay: bool
    rate_target: float | None = None

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            ConfigError: naming the setting.
        """
        checks.choice("neuron", self.neuron, NEURONS)
        for name in _DECAYS:
            checks.span(name, getattr(self, name), "a number in [0, 1)", 0.0, 1.0)
        checks.span("threshold", self.threshold, "a number above 0", 0.0, float("inf"), closed="()")
        checks.choice("reset", self.reset, ("soft", "hard"))
        if self.detach_reset is not None:
            checks.flag("detach_reset", self.detach_reset)
        checks.choice("surrogate", self.surrogate, ("arctan", "triangle", *F.RECTIFIERS))
        if self.surrogate in F.RECTIFIERS and self.neuron != "graded":
            expected = f"may be {self.surrogate} for neuron=graded only"
            raise checks.ConfigError("surrogate", f"{expected}, got neuron={self.neuron}")
        checks.positive("slope", self.slope)
        if self.rate_target is not None:
            expected = "a number above 0 and below 1, or null"
            checks.number("rate_target", self.rate_target, expected, 0.0, 1.0, closed="()")
        for name in ("adaptation", "weight_scale", "recurrent_scale", "bias_scale", "output_scale"):
            checks.non_negative(name, getattr(self, name))
        checks.decay("sparsity", self.sparsity)
        checks.whole("ticks", self.ticks, 1)
        checks.choice("credit", self.credit, ("otpe", "presynaptic", "mixed", "exact", "auto"))
        checks.choice("feedback", self.feedback, ("symmetric", "random", "adaptive"))
        checks.decay("feedback_decay", self.feedback_decay)
        flags = "learn_membrane_decay", "learn_threshold", "learn_readout_decay"
        for name in ("recurrent", "layer_norm", *flags):
            checks.flag(name, getattr(self, name))
        for name in flags[:2]:
            if self.credit in ("presynaptic", "mixed") and getattr(self, name):
                expected = f"must be false where credit is {self.credit}, which has no trace for it"
                raise checks.ConfigError(name, expected)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        found, neuron = dict[str, str](), f"with neuron={self.neuron}"
        if self.neuron != "alif":
            found |= dict.fromkeys(("adaptation", "adaptation_decay"), neuron)
        if self.neuron != "synaptic":
            found["synapse_decay"] = neuron
        if self.neuron == "graded":
            found |= dict.fromkeys(("reset", "detach_reset", "rate_target"), neuron)
        if not self.recurrent:
            found["recurrent_scale"] = "with recurrent=false"
        if self.feedback != "adaptive":
            found["feedback_decay"] = f"with feedback={self.feedback}"
        return found

    def dense(self, n_in: int, n_out: int, lifetimes: Lifetimes, delayed: int = 0) -> SpikingLayer:
        """Make a layer in which every neuron receives every input and, where recurrent, every neuron of the layer.

        Args:
            n_in: number of inputs.
            n_out: number of neurons.
            lifetimes: maker of tensors.
            delayed: number of inputs, at the end, that are spikes of the previous tick.
        """
        own = n_out if self.recurrent else 0
        synapses = DenseSynapses(
            n_in + own,
            n_out,
            lifetimes,
            late=delayed + own,
            late_scale=self.recurrent_scale,
            weight_scale=self.weight_scale,
            bias_scale=self.bias_scale,
            sparsity=self.sparsity,
        )
        return self.checked_layer(synapses, lifetimes, self.recurrent)

    def checked_layer(self, synapses: Synapses, lifetimes: Lifetimes, recurrent: bool = False) -> SpikingLayer:
        """Return what ``layer`` makes; a ConfigError if it is no spiking layer."""
        made: Any = self.layer(synapses, lifetimes, recurrent)
        if not isinstance(made, SpikingLayer):
            problem = f"of {type(self).__name__} must return a tracerl.nn.layers.SpikingLayer, got {made!r:.200}"
            raise checks.ConfigError("network", f"cannot be built: layer {problem}")
        return made

    def layer(self, synapses: Synapses, lifetimes: Lifetimes, recurrent: bool = False) -> SpikingLayer:
        """Make a layer of these neurons with given synapses; override this method for other kinds of neurons."""
        settings = self.layer_settings(recurrent)
        if self.neuron == "alif":
            return ALIF(synapses, lifetimes, settings, self.adaptation, self._span("adaptation_decay"))
        if self.neuron == "synaptic":
            return SynapticLIF(synapses, lifetimes, settings, self._span("synapse_decay"))
        if self.neuron == "ternary":
            return Ternary(synapses, lifetimes, settings)
        if self.neuron == "graded":
            return Graded(synapses, lifetimes, settings)
        return LIF(synapses, lifetimes, settings)

    def layer_settings(self, recurrent: bool = False) -> LayerSettings:
        """Return the settings shared by layers of all kinds of neurons."""
        return LayerSettings(
            membrane_decay=self._span("membrane_decay"),
            threshold=checks.span("threshold", self.threshold, "", 0.0, float("inf"), closed="()"),
            reset=self.reset,
            detach_reset=self.reset == "hard" if self.detach_reset is None else self.detach_reset,
            surrogate=self.surrogate,
            slope=self.slope,
            learn_membrane_decay=self.learn_membrane_decay,
            learn_threshold=self.learn_threshold,
            recurrent=recurrent,
            layer_norm=self.layer_norm,
            rate_target=None if self.neuron == "graded" else self.rate_target,
        )

    def readout(self, n_in: int, n_out: int, lifetimes: Lifetimes) -> LI:
        """Make the readout."""
        return LI(
            n_in,
            n_out,
            lifetimes,
            decay=self._span("readout_decay"),
            weight_scale=self.output_scale,
            learn_decay=self.learn_readout_decay,
            feedback=self.feedback,
            feedback_decay=self.feedback_decay,
        )

    def description(self, shape: Sequence[int]) -> str | None:
        """Describe the network for images of a shape; None if it has no convolutions."""

    def _span(self, name: str) -> tuple[float, float]:
        return checks.span(name, getattr(self, name), "", 0.0, 1.0)
