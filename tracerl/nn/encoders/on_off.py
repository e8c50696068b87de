"""On/off split: each input and its negative, both rectified, like the on and off cells of the retina."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape, stacked
from tracerl.nn.lifetimes import Lifetimes


def on_off(x: Tensor) -> Tensor:
    """Return max(x, 0) concatenated with max(-x, 0), for x [..., n]: [..., 2 n].

    Kuffler 1953, "Discharge patterns and functional organization of mammalian retina"
    (https://doi.org/10.1152/jn.1953.16.1.37), describes the cells; the rectified split is the usual idealisation.
    """
    return torch.cat([x, -x], -1).relu_()


def on_off_rates(x: Tensor, gain: float, tonic_rate: float) -> Tensor:
    """Return the spike rates of both halves of the split and of a constant input.

    Args:
        x: [..., n].
        gain: spikes per tick and unit of x, at most one per tick.
        tonic_rate: of the constant input, spikes per tick; it acts as a bias.

    Returns:
        min(1, gain max(x, 0)), min(1, gain max(-x, 0)), tonic_rate: probability of a spike per tick, [..., 2 n + 1].
    """
    tonic = torch.full_like(x[..., :1], tonic_rate)
    return torch.cat([on_off(x).mul_(gain).clamp_(max=1.0), tonic], -1)


@dataclass(frozen=True)
class OnOff(EncoderSettings):
    """Each input and its negative, both rectified; ``build`` makes the encoder."""

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "OnOffEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return OnOffEncoder(shape, lifetimes, self)


class OnOffEncoder(Encoder):
    """Return the on/off split of the observation: non-negative currents, half of them 0.

    A neuron can so weight values above and below a feature's mean separately. The features have the shape of two
    observations (``stacked``).
    """

    name = "on_off"

    def __init__(self, shape: Shape, lifetimes: Lifetimes, settings: OnOff) -> None:
        super().__init__(stacked(2, shape), math.prod(shape), settings, lifetimes)

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation; see ``Encoder.forward``."""
        return on_off(self.standardise(observation)).to(self.dtype)
