"""Networks: hidden spiking layers under a leaky-integrator readout, their parameters in one flat buffer."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tracerl import checks
from tracerl.flat import FlatModule
from tracerl.layers import LI, LIF
from tracerl.layers.credit import PathCredit, ReadoutCredit
from tracerl.lives import Lives


class Sequential(FlatModule):
    """Hidden layers in a row under a readout.

    Attributes:
        layers: the hidden layers, bottom first.
        readout: the layer on top.
    """

    layers: list[LIF]

    def __init__(self, hidden: list[LIF], readout: LI, lives: Lives, ticks: int = 1) -> None:
        """Join the layers and give each hidden one its credit.

        Args:
            hidden: at least one layer, bottom first; each as wide as the next one's input.
            readout: the layer on top.
            lives: maker of tensors, the one the layers were made with.
            ticks: network ticks per env step; the input is held, the last tick's output is returned.
        """
        super().__init__()
        for i, layer in enumerate(hidden):
            if layer is hidden[-1]:
                layer.credit = ReadoutCredit(layer.n_out, layer.rows, lives)
            else:
                layer.credit = PathCredit(layer.n_out, layer.rows, len(hidden) - 1 - i, readout.n_out, lives)
        self.hidden = nn.ModuleList(hidden)
        self.readout = readout
        self.ticks = ticks
        self.layers = hidden  # as the ModuleList holds them, typed
        self.flatten(lives.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Advance one env step (``ticks`` ticks) on a held input, updating states and traces in place.

        Args:
            x: [*lives, n_in].

        Returns:
            The readout's y after the last tick, [*lives, n_out].
        """
        for _ in range(self.ticks):
            signal = x
            leaks = [layer.membrane_decay.value * layer.reset_gain for layer in self.layers[1:]]
            for layer in self.layers:
                signal = layer(signal)
            output: Tensor = self.readout(signal)
            self._trace(leaks)
        return output

    def _trace(self, leaks: list[Tensor]) -> None:
        """Feed every layer's credit with this tick's eligibility.

        Args:
            leaks: d u_t / d u_{t-1} of every hidden layer but the first, each [*lives, n].
        """
        decay = self.readout.decay.value
        top = self.layers[-1]
        assert isinstance(top.credit, ReadoutCredit)
        top.credit.update(top.eligibility(), decay)
        if len(self.layers) == 1:
            return
        path = self.readout.weight * (self.readout.decay.complement * top.input_gain()).unsqueeze(
            -2
        )  # [*lives, n_out, n]
        mean_leaks = [leak.mean(-1) for leak in leaks]
        for i in range(len(self.layers) - 2, -1, -1):
            layer = self.layers[i]
            path = path @ self.layers[i + 1].weight
            assert isinstance(layer.credit, PathCredit)
            layer.credit.update(layer.eligibility(), mean_leaks[i:], path, decay)
            path = path * layer.input_gain().unsqueeze(-2)

    def backward(self, learning_signal: Tensor) -> None:
        """Write the score of every parameter into ``score``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lives, n_out].
        """
        below = self.readout.backward(learning_signal)
        for layer in self.layers:
            # Not layer.backward, which would carry the signal on to its inputs, where nobody asks for it.
            assert layer.credit is not None
            layer.write_score(layer.credit.score(below if layer is self.layers[-1] else learning_signal))

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Return all membranes and traces to rest, in place, in the lives of the mask (bool, [*lives]) or in all."""
        for layer in self.layers:
            layer.reset_state(mask)
        self.readout.reset_state(mask)


@dataclass(frozen=True)
class Dense:
    """Settings of a dense network; ``build`` makes one.

    A setting written as a range ``[low, high]`` is drawn per neuron, a single number is shared by the layer.

    Attributes:
        hidden: neurons of each hidden layer, bottom first.
        membrane_decay: m per tick, in [0, 1).
        threshold: theta > 0, in units of the membrane.
        readout_decay: k per tick, in [0, 1).
        reset: ``soft`` or ``hard``.
        detach_reset: leave out the derivative of the spike in the reset; None: only where the reset is hard, which
            is unstable with it.
        surrogate: ``arctan`` or ``triangle``.
        slope: of the surrogate.
        weight_scale: hidden weights are drawn from N(0, weight_scale^2 / n_in).
        bias_scale: hidden biases are drawn from U(-bias_scale, bias_scale).
        output_scale: readout weights are drawn from N(0, output_scale^2 / n_in).
        ticks: network ticks per env step.
        learn_membrane_decay: make m a parameter.
        learn_threshold: make theta a parameter.
        learn_readout_decay: make k a parameter.
    """

    hidden: Any
    membrane_decay: Any
    threshold: Any
    readout_decay: Any
    reset: Any
    detach_reset: bool | None
    surrogate: Any
    slope: float
    weight_scale: float
    bias_scale: float
    output_scale: float
    ticks: int
    learn_membrane_decay: bool
    learn_threshold: bool
    learn_readout_decay: bool

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            ConfigError: naming the setting.
        """
        sizes = self.hidden
        if isinstance(sizes, (int, str)) or not sizes:
            raise checks.ConfigError("hidden", f"must be a list of layer widths such as [128], got {sizes!r}")
        for size in sizes:
            checks.whole("hidden", size, 1)
        for name in ("membrane_decay", "readout_decay"):
            checks.span(name, getattr(self, name), "a number in [0, 1)", 0.0, 1.0)
        checks.span("threshold", self.threshold, "a number above 0", 0.0, float("inf"), closed="()")
        checks.choice("reset", self.reset, ("soft", "hard"))
        if self.detach_reset is not None:
            checks.flag("detach_reset", self.detach_reset)
        checks.choice("surrogate", self.surrogate, ("arctan", "triangle"))
        checks.positive("slope", self.slope)
        for name in ("weight_scale", "bias_scale", "output_scale"):
            checks.non_negative(name, getattr(self, name))
        checks.whole("ticks", self.ticks, 1)
        for name in ("learn_membrane_decay", "learn_threshold", "learn_readout_decay"):
            checks.flag(name, getattr(self, name))

    def build(self, n_in: int, n_out: int, lives: Lives) -> Sequential:
        """Make a network of these settings.

        Args:
            n_in: inputs.
            n_out: outputs.
            lives: maker of tensors; its generators are advanced.
        """
        hidden = [self._layer(*sizes, lives) for sizes in zip([n_in, *self.hidden], self.hidden, strict=False)]
        readout = LI(
            self.hidden[-1],
            n_out,
            lives,
            decay=checks.span("readout_decay", self.readout_decay, "", 0.0, 1.0),
            weight_scale=self.output_scale,
            learn_decay=self.learn_readout_decay,
        )
        return Sequential(hidden, readout, lives, self.ticks)

    def _layer(self, n_in: int, n_out: int, lives: Lives) -> LIF:
        return LIF(
            n_in,
            n_out,
            lives,
            membrane_decay=checks.span("membrane_decay", self.membrane_decay, "", 0.0, 1.0),
            threshold=checks.span("threshold", self.threshold, "", 0.0, float("inf"), closed="()"),
            reset=self.reset,
            detach_reset=self.reset == "hard" if self.detach_reset is None else self.detach_reset,
            surrogate=self.surrogate,
            slope=self.slope,
            weight_scale=self.weight_scale,
            bias_scale=self.bias_scale,
            learn_membrane_decay=self.learn_membrane_decay,
            learn_threshold=self.learn_threshold,
        )
