"""Keep weights on a grid while they are learned: stochastic rounding after every update."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.networks import Network, ScoredNetwork
from tracerl.nn.random import WEIGHT, UniformStream
from tracerl.nn.rounding import largest_integer, weight_groups

Array = np.ndarray[Any, Any]
RANGE = 1.5  # of the integers, in units of the largest initial weight of a layer or, if larger, of LEAST
LEAST = 2.0  # in units of 1 / sqrt(inputs)


class StochasticRounding(StateModule):
    """Round the weights of a network to integers of N bits times a fixed scale per layer.

        w = s q,  q in {-(2^(N-1) - 1), ..., 2^(N-1) - 1}
        q <- floor(w / s) + 1 with probability w / s - floor(w / s), else floor(w / s)

    The expectation of the rounded weight is the weight (Gupta et al. 2015, https://arxiv.org/abs/1502.02551, section
    3), so that updates far below s are not lost. A weight beyond the ends of the grid becomes the end.

    As in that paper the numbers have a fixed point: s is a power of two, and w / s and s q are exact in float32. It is
    the smallest one with which the integers reach 1.5 max(largest initial |w|, 2 / sqrt(inputs)). The second number is
    for a readout that starts at zero. A scale does not follow the weights, since all would have to be rounded again.
    The groups of weights with one scale are those of ``round_weights``, which therefore has nothing to round. Biases,
    decays and thresholds are not rounded.

    A weight moves by at least s, so that an update d with |d| < s adds a variance of |d| (s - |d|). Over many updates
    the weights diffuse, with few bits faster than they learn.

    Attributes:
        scale: s of each group of weights, float64, [*lifetimes, groups].
        stream: one number per weight and update.
        largest: 2^(N-1) - 1.
        outputs: the outputs whose weights share a scale.
        spans: the weights as ranges of the network's ``flat``: start, size and group of each, one after another.
    """

    scale: Tensor

    def __init__(self, network: ScoredNetwork, outputs: Sequence[slice], bits: int, lifetimes: Lifetimes) -> None:
        """Choose the scales for the present weights of a network and round them.

        Args:
            network: the network, before its state is packed.
            outputs: the outputs whose weights share a scale.
            bits: N, from 2 to 16.
            lifetimes: of the network.

        Raises:
            ConfigError: ``bits`` is out of range, or the network has no spiking layers.
        """
        super().__init__()
        self.largest = largest_integer(checks.weight_bits("weight_bits", bits))
        if not isinstance(network, Network):
            raise ConfigError("deploy.rounding", f"must be export for a {type(network).__name__}, got learning")
        places, groups = _places(network, outputs)
        self.spans = _spans(places, groups)
        self._places, self._groups = (torch.from_numpy(part).to(lifetimes.device) for part in (places, groups))
        self.stream = UniformStream(lifetimes, WEIGHT)
        self.register_buffer("scale", lifetimes.zeros(int(groups.max()) + 1, dtype=torch.float64))
        self.outputs = tuple(outputs)
        self.begin(network)

    @torch.no_grad()
    def begin(self, network: Network) -> None:
        """Choose the scales for the present weights and round them, in place: for initial weights from elsewhere."""
        for group, weight in enumerate(weight_groups(network, self.outputs)):
            span = RANGE * weight.abs().amax((-2, -1)).double().clamp(min=LEAST * weight.shape[-1] ** -0.5)
            self.scale[..., group] = _power_of_two(span / self.largest)
        self(network.flat)

    def forward(self, flat: Tensor) -> None:
        """Round the weights within all parameters of the network, [*lifetimes, n], in place."""
        scale, uniform = self.scale[..., self._groups], self.stream.draw_many(len(self._places))
        exact = flat[..., self._places].double() / scale
        low = exact.floor()
        rounded = (low + (uniform < exact - low)).clamp_(-self.largest, self.largest)
        flat[..., self._places] = rounded.mul_(scale).to(flat.dtype)


def _places(network: Network, outputs: Sequence[slice]) -> tuple[Array, Array]:
    """Return the place in ``flat`` of every weight, in ascending order, and its group: int64, [weights]."""
    flat, lead = network.flat, network.flat.dim() - 1
    each = torch.arange(flat.shape[-1])
    places = [
        each.as_strided(weight.shape[lead:], weight.stride()[lead:], weight.storage_offset() - flat.storage_offset())
        for weight in weight_groups(network, outputs)
    ]
    found = np.concatenate([place.flatten().numpy() for place in places])
    groups = np.repeat(np.arange(len(places)), [place.numel() for place in places])
    order = found.argsort()
    return found[order], groups[order]


def _spans(places: Array, groups: Array) -> list[int]:
    """Return the start, the size and the group of every range of adjacent places of one group."""
    new = np.flatnonzero((np.diff(places) != 1) | (np.diff(groups) != 0)) + 1
    starts = np.concatenate([[0], new])
    sizes = np.diff([*starts, len(places)])
    return [int(number) for row in zip(places[starts], sizes, groups[starts], strict=True) for number in row]


def _power_of_two(least: Tensor) -> Tensor:
    """Return the smallest powers of two that are not below numbers above 0: float64."""
    mantissa, exponent = np.frexp(least.cpu().numpy())
    return torch.as_tensor(np.ldexp(1.0, exponent - (mantissa == 0.5)), device=least.device)
