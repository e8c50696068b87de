"""The network without spikes: hidden layers of rectified units in a row under a linear readout."""

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
    """A perceptron as streaming deep RL has it (Elsayed et al. 2024, https://arxiv.org/abs/2410.14606).

        h_l = leaky_relu(norm(W_l h_{l-1} + b_l))        y = V h + c

    with its gradient written out, which needs no graph and carries the lifetimes axis. It keeps nothing from one env
    step to the next but its last input.

    Attributes:
        in_a_row: the hidden layers, bottom first.
        readout: the layer on top.
    """

    def __init__(self, widths: Sequence[int], n_out: int, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw sparse weights, with biases at zero.

        Args:
            widths: of the input and of each hidden layer, bottom first.
            n_out: outputs.
            sparsity: share of each unit's incoming weights that start at zero, in [0, 1).
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

    def look_again(self) -> Tensor:
        """Return y of the last input, [*lifetimes, n_out], by the parameters as they now are."""
        return self.forward(self.in_a_row[0].inputs[..., :-1])

    def backward(self, learning_signal: Tensor) -> None:
        """Write the score of every parameter; see ``ScoredNetwork.backward``."""
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
        hidden: units of each hidden layer, bottom first.
        sparsity: share of each unit's incoming weights that start at zero, in [0, 1).
    """

    hidden: Sequence[int]
    sparsity: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_widths(self.hidden)
        checks.decay("sparsity", self.sparsity)
        if any(round(self.sparsity * size) == size for size in self.hidden):  # nothing would get past that layer
            problem = f"must be low enough to keep one of {min(self.hidden)} hidden units, got {self.sparsity!r}"
            raise checks.ConfigError("sparsity", problem)

    def build(self, n_in: int, n_out: int, lifetimes: Lifetimes) -> Perceptron:
        """Make a perceptron of these settings; ``lifetimes``' generators are advanced."""
        return Perceptron([n_in, *self.hidden], n_out, self.sparsity, lifetimes)
