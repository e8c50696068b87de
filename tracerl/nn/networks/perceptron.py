"""The network without spikes: a sequence of rectified hidden layers and a linear readout."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from tracerl.config import checks
from tracerl.nn.layers.rectified import Linear, Rectified, RectifiedConvolution
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.scored import ScoredNetwork
from tracerl.nn.networks.sequential import check_widths
from tracerl.nn.networks.stages import Convolutions


class Perceptron(ScoredNetwork):
    """A perceptron as in streaming deep RL (Elsayed et al. 2024, https://arxiv.org/abs/2410.14606).

        h_l = leaky_relu(norm(W_l h_{l-1} + b_l))        y = V h + c

    The lower layers may be convolutions. The gradient is computed explicitly, without an autograd graph, and has the
    lifetimes axis. The last input is the only state that is kept between env steps.

    Attributes:
        in_a_row: the hidden layers, first layer first.
        readout: the last layer.
    """

    def __init__(
        self, hidden: Sequence[Rectified | RectifiedConvolution], readout: Linear, lifetimes: Lifetimes
    ) -> None:
        """Join the layers.

        Args:
            hidden: at least one layer, first layer first; each as wide as the next one's input.
            readout: the last layer.
            lifetimes: maker of tensors, the one the layers were made with.
        """
        super().__init__()
        self.hidden, self.readout = nn.ModuleList(hidden), readout
        self.in_a_row = list(hidden)
        self.flatten(lifetimes.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return y of an input; see ``ScoredNetwork.forward``."""
        for layer in self.in_a_row:
            x = layer(x)
        output: Tensor = self.readout(x)
        return output

    def recompute(self) -> Tensor:
        """Return y of the last input under the present parameters, [*lifetimes, n_out]."""
        bottom = self.in_a_row[0]
        return self.forward(bottom.inputs[..., : bottom.n_in])

    def backward(self, learning_signal: Tensor) -> None:
        """Write the gradient of every parameter; see ``ScoredNetwork.backward``."""
        signal = self.readout.backward(learning_signal)
        for layer in reversed(self.in_a_row):
            signal = layer.backward(signal)

    def parts(self, name: str) -> dict[str, nn.Module]:
        """Return the hidden layers and the readout; see ``ScoredNetwork.parts``."""
        return {f"{name}_{i}": layer for i, layer in enumerate(self.in_a_row)} | {f"{name}_readout": self.readout}


@dataclass(frozen=True)
class PerceptronSettings:
    """Settings of a perceptron; ``build`` makes one.

    Attributes:
        hidden: units of each dense hidden layer, first layer first.
        sparsity: share of each unit's incoming weights that are initially zero, in [0, 1).
        channels: of the convolutional layers below them, as in ``Convolutions``; empty: none.
        kernel: of these layers, as in ``Convolutions``.
        stride: of these layers, as in ``Convolutions``.
    """

    hidden: Sequence[int]
    sparsity: float
    channels: Any
    kernel: Any
    stride: Any

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_widths(self.hidden)
        checks.decay("sparsity", self.sparsity)
        if self._convolutions is not None:  # checked when made
            return
        for name, given in (("kernel", self.kernel), ("stride", self.stride)):
            for value in given if isinstance(given, (list, tuple)) else [given]:
                checks.whole(name, value, 1)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return dict.fromkeys(("kernel", "stride"), "without channels") if self._convolutions is None else {}

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Perceptron:
        """Make a perceptron of these settings.

        Args:
            shape: of the observations; see ``Convolutions.stages`` for images.
            n_out: number of outputs.
            lifetimes: maker of tensors; its generators are advanced.

        Raises:
            ConfigError: naming the setting that does not fit observations of that shape.
        """
        initial = self.sparsity, lifetimes
        stages = self._convolutions.stages(shape) if self._convolutions else []
        hidden: list[Any] = [RectifiedConvolution(stage.synapses(lifetimes), *initial) for stage in stages]
        widths = [hidden[-1].n_out if hidden else math.prod(shape), *self.hidden]
        hidden += [Rectified(*pair, *initial) for pair in pairwise(widths)]
        fan_in = min([layer.affine.shape[-2] - 1 for layer in hidden[1:]] + [widths[-1]])
        if round(self.sparsity * fan_in) == fan_in:  # all weights of a layer above the first would be zero
            problem = f"must be low enough to keep one of {fan_in} weights of a unit, got {self.sparsity!r}"
            raise checks.ConfigError("sparsity", problem)
        return Perceptron(hidden, Linear(widths[-1], n_out, *initial), lifetimes)

    @property
    def _convolutions(self) -> Convolutions | None:
        return None if self.channels in ([], ()) else Convolutions(self.channels, self.kernel, self.stride)


def check_spiking(network: Any) -> None:
    """Raise a ConfigError where the settings of a network are those of a perceptron, for an agent that spikes."""
    if isinstance(network, PerceptronSettings):
        problem = "must have spiking neurons for this agent, got the perceptron of agent=stream_q"
        raise checks.ConfigError("network", problem)
