"""Round weights to the integers that a neuromorphic chip holds."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.exportable import Part
from tracerl.nn.networks import Network


def largest_integer(bits: int) -> int:
    """Return the largest integer of so many bits whose negative has as many: 2^(bits-1) - 1."""
    return int(2 ** (bits - 1) - 1)


@torch.no_grad()
def round_(weight: Tensor, bits: int) -> None:
    """Round weights to the nearest of 2^bits - 1 equidistant values around 0, in place.

        w = s q,  q = round(w / s) in {-(2^(bits-1) - 1), ..., 2^(bits-1) - 1},  s = max |w| / (2^(bits-1) - 1)

    This is symmetric uniform quantisation with one scale per layer (Jacob et al. 2018,
    https://arxiv.org/abs/1712.05877, section 2.1, with the zero point 0). Ties go to the even integer.

    Args:
        weight: of one layer, of any shape.
        bits: of a signed integer, 2 or above.
    """
    scale = weight.abs().max().double() / largest_integer(bits)
    if scale > 0:
        weight.copy_((weight.double() / scale).round() * scale)


@torch.no_grad()
def round_weights(part: Part, bits: int, key: str = "weight_bits") -> None:
    """Round the weights of a network, in place: each layer with a scale of its own, and the rows of its outputs.

    The weights of all inputs of a layer, its own spikes included, share one scale. Biases, decays and thresholds are
    left as they are: a chip adds them to the membrane, whose registers are wider than a weight. Weights that learning
    has rounded to so many bits or fewer are integers already, and are left too.

    Args:
        part: the network of an agent of one lifetime.
        bits: bits per weight, from 2 to 16.
        key: name of the setting in an error.

    Raises:
        ConfigError: ``bits`` is out of range, or the network is traceTorch's, whose weights are scaled when exported.
    """
    checks.weight_bits(key, bits)
    network = part.network
    if not isinstance(network, Network):
        raise ConfigError(key, f"must be null for {type(network).__name__}, whose weights are scaled by 1 / (1 - m)")
    if part.weight_bits is not None and part.weight_bits <= bits:
        return
    for weight in weight_groups(network, [part.outputs]):
        round_(weight, bits)


def weight_groups(network: Network, outputs: Sequence[slice]) -> Iterator[Tensor]:
    """Yield the weights that share a scale, as views of the parameters, [*lifetimes, n_out, n_in].

    Args:
        network: of one lifetime or of many.
        outputs: of the readout; one group each.
    """
    for layer in network.layers:
        weight: Tensor = layer.synapses.weight  # type: ignore[attr-defined]
        yield weight
    for rows in outputs:
        yield network.readout.weight[..., rows, :]
