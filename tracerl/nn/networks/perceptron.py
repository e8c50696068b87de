"""The network without spikes: a sequence of rectified hidden layers and a linear readout."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from tracerl.config import checks
from tracerl.nn.layers.rectified import Linear, Rectified
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.scored import ScoredNetwork
from tracerl.nn.networks.sequential import check_widths


class Perceptron(ScoredNetwork):
    """A perceptron as in streaming deep RL (Elsayed et al. 2024, https://arxiv.org/abs/2410.14606).

        h_l = leaky_relu(norm(W_l h_{l-1} + b_l))        y = V h + c

    The gradient is computed explicitly, without an autograd graph, and has the lifetimes axis. The last input is the
    only state that is kept between env steps.

    Attributes:
        in_a_row: the hidden layers, first layer first.
        readout: the last layer.
    """

    def __init__(self, widths: Sequence[int], n_out: int, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw sparse weights, with biases at zero.

        Args:
            widths: of the input and of each hidden layer, first layer first.
            n_out: number of outputs.
            sparsity: share of each unit's incoming weights that are initially zero, in [0, 1).
            lifetimes: maker of tensors; its generators are advanced.
        """
        super().__init__()
        self.hidden = nn.ModuleList(Rectified(*pair, sparsity, lifetimes) for pair in pairwise(widths))
        self.readout = Linear(widths[-1], n_out, sparsity, lifetimes)
        self.in_a_row: list[Rectified] = list(self.hidden)  # type: ignore[arg-type]
        self.flatten(lifetimes.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return y of an input; see ``ScoredNetwork.forward``."""
        for layer in self.in_a_row:
            x = layer(x)
        output: Tensor = self.readout(x)
        return output

    def recompute(self) -> Tensor:
        """Return y of the last input under the present parameters, [*lifetimes, n_out]."""
        return self.forward(self.in_a_row[0].inputs[..., :-1])

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
        hidden: units of each hidden layer, first layer first.
        sparsity: share of each unit's incoming weights that are initially zero, in [0, 1).
    """

    hidden: Sequence[int]
    sparsity: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_widths(self.hidden)
        checks.decay("sparsity", self.sparsity)
        if any(round(self.sparsity * size) == size for size in self.hidden):  # the next layer would have zero weights
            problem = f"must be low enough to keep one of {min(self.hidden)} hidden units, got {self.sparsity!r}"
            raise checks.ConfigError("sparsity", problem)

    def build(self, n_in: int, n_out: int, lifetimes: Lifetimes) -> Perceptron:
        """Make a perceptron of these settings; ``lifetimes``' generators are advanced."""
        return Perceptron([n_in, *self.hidden], n_out, self.sparsity, lifetimes)
