"""A sequence of hidden layers: the network, and the settings of one with dense layers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracerl.config import checks
from tracerl.nn.layers import LI
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.base import CreditKind, Network
from tracerl.nn.networks.neurons import Neurons
from tracerl.nn.wiring import INPUT, Node


class Sequential(Network):
    """A sequence of hidden layers and a readout; see ``Network``."""

    def __init__(
        self, hidden: Sequence[Any], readout: LI, lifetimes: Lifetimes, ticks: int = 1, credit: CreditKind = "otpe"
    ) -> None:
        """Join the layers.

        Args:
            hidden: at least one layer, first layer first; each as wide as the next one's input.
            readout: the last layer.
            lifetimes: maker of tensors, the one the layers were made with.
            ticks: network ticks per env step; the last tick's output is returned.
            credit: see ``Network``.
        """
        nodes = [Node(layer, (i - 1 if i else INPUT,)) for i, layer in enumerate(hidden)]
        super().__init__(nodes, [len(hidden) - 1], readout, hidden[0].n_in, lifetimes, ticks, credit)


@dataclass(frozen=True, kw_only=True)
class Dense(Neurons):
    """Settings of a sequence of dense layers; ``build`` makes the network.

    Attributes:
        hidden: neurons of each hidden layer, first layer first.
    """

    hidden: Any

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_widths(self.hidden)
        super().__post_init__()

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Network:
        """Make a network of these settings.

        Args:
            shape: of the input.
            n_out: number of outputs.
            lifetimes: maker of tensors; its generators are advanced.
        """
        widths = [math.prod(shape), *self.hidden]
        hidden = [self.dense(*sizes, lifetimes) for sizes in zip(widths, self.hidden, strict=False)]
        return Sequential(hidden, self.readout(widths[-1], n_out, lifetimes), lifetimes, self.ticks, self.credit)


def check_widths(sizes: Any) -> None:
    """Check the widths of hidden layers.

    Raises:
        ConfigError: naming ``hidden``.
    """
    if not isinstance(sizes, (list, tuple)) or not sizes:
        raise checks.ConfigError("hidden", f"must be a list of layer widths such as [128], got {sizes!r}")
    for size in sizes:
        checks.whole("hidden", size, 1)
