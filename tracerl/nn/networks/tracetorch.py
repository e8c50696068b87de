"""Networks of traceTorch's layers: a sequence of spiking layers and a softmax readout."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tracerl.config import checks
from tracerl.nn.layers import TraceLIF, TraceLIS
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class TraceNetwork(StateModule):
    """Layers that pass spikes forward and gradients with respect to average spikes backward.

    Attributes:
        layers: the spiking layers, first layer first.
        readout: the last layer.
    """

    layers: list[TraceLIF]

    def __init__(self, hidden: list[TraceLIF], readout: TraceLIS) -> None:
        """Join the layers; each is as wide as the next one's input."""
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.readout = readout
        self.layers = hidden  # the ModuleList's layers, with their type

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick, updating states and traces in place.

        Args:
            x: spikes or currents, [*lifetimes, n_in].

        Returns:
            The probabilities of the outputs, [*lifetimes, n_out].
        """
        for layer in self.layers:
            x = layer(x)
        probabilities: Tensor = self.readout(x)
        return probabilities

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Overwrite the ``.grad`` of every parameter with its gradient.

        Args:
            learning_signal: see ``TraceLIS.backward``, [*lifetimes, n_out].

        Returns:
            The gradient with respect to the average inputs, [*lifetimes, n_in].
        """
        signal = self.readout.backward(learning_signal)
        for layer in reversed(self.layers):
            signal = layer.backward(signal)
        return signal

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membranes and traces, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        for layer in self.layers:
            layer.reset_state(mask)
        self.readout.reset_state(mask)


@dataclass(frozen=True)
class TraceDense:
    """Settings of a network of traceTorch's layers; ``build`` makes one.

    Attributes:
        hidden: neurons of each spiking layer, first layer first; may be empty.
        membrane_decay: initial m per tick, in [0, 1), of every layer.
        threshold: initial theta > 0, in units of the membrane.
        input_trace_decay: initial a per tick, in [0, 1), of every layer.
        learn_weight: make W a parameter.
        learn_membrane_decay: make m a parameter.
        learn_threshold: make theta a parameter.
        learn_input_trace_decay: make a a parameter.
        exact_trace_decay: see ``TraceLayer``.
        zero_rate_at_rest: see ``rate_window``.
        log_prob_signal: see ``TraceLIS``.
    """

    hidden: Any
    membrane_decay: float
    threshold: float
    input_trace_decay: float
    learn_weight: bool
    learn_membrane_decay: bool
    learn_threshold: bool
    learn_input_trace_decay: bool
    exact_trace_decay: bool
    zero_rate_at_rest: bool
    log_prob_signal: bool

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if not isinstance(self.hidden, (list, tuple)):
            raise checks.ConfigError("hidden", f"must be a list of layer widths such as [64], got {self.hidden!r}")
        for size in self.hidden:
            checks.whole("hidden", size, 1)
        checks.decay("membrane_decay", self.membrane_decay)
        checks.positive("threshold", self.threshold)
        checks.decay("input_trace_decay", self.input_trace_decay)
        for name in ("learn_weight", "learn_membrane_decay", "learn_threshold", "learn_input_trace_decay"):
            checks.flag(name, getattr(self, name))
        for name in ("exact_trace_decay", "zero_rate_at_rest", "log_prob_signal"):
            checks.flag(name, getattr(self, name))

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        of_neurons = "threshold", "learn_threshold", "zero_rate_at_rest"
        return {} if self.hidden else dict.fromkeys(of_neurons, "without hidden layers")

    def build(self, n_in: int, n_out: int, lifetimes: Lifetimes) -> TraceNetwork:
        """Make a network of these settings.

        Args:
            n_in: number of inputs.
            n_out: number of outputs.
            lifetimes: maker of tensors; its generators are advanced.
        """
        sizes = [n_in, *self.hidden]
        shared: dict[str, Any] = {
            "membrane_decay": self.membrane_decay,
            "input_trace_decay": self.input_trace_decay,
            "exact_trace_decay": self.exact_trace_decay,
            "learn_weight": self.learn_weight,
            "learn_membrane_decay": self.learn_membrane_decay,
            "learn_input_trace_decay": self.learn_input_trace_decay,
        }
        spiking: dict[str, Any] = {
            "threshold": self.threshold,
            "learn_threshold": self.learn_threshold,
            "zero_rate_at_rest": self.zero_rate_at_rest,
        }
        pairs = zip(sizes, self.hidden, strict=False)
        hidden = [TraceLIF(below, n, lifetimes, **spiking, **shared) for below, n in pairs]
        return TraceNetwork(
            hidden, TraceLIS(sizes[-1], n_out, lifetimes, log_prob_signal=self.log_prob_signal, **shared)
        )
