"""Rate code: random spikes with a probability proportional to the input."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape, bernoulli_spikes, stacked
from tracerl.nn.encoders.on_off import on_off
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import CODE, UniformStream


@dataclass(frozen=True)
class Rate(EncoderSettings):
    """Bernoulli spikes of the on/off split input; ``build`` makes the encoder.

    Attributes:
        clip: magnitude that spikes at every tick; larger magnitudes are clipped to it. In standard deviations, or in
            the observation's own units where it is not standardised.
    """

    always_clips: ClassVar[bool] = True

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "RateEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return RateEncoder(shape, ticks, lifetimes, self)


class RateEncoder(Encoder):
    """Draw a spike of each half of the on/off split at each tick, independently: P(spike) = min(|x|, clip) / clip.

    The discrete-time Poisson neuron (Dayan and Abbott 2001, "Theoretical neuroscience", section 1.4). The features have
    the shape of two observations (``stacked``), one row per tick.
    """

    name = "rate"

    def __init__(self, shape: Shape, ticks: int, lifetimes: Lifetimes, settings: Rate) -> None:
        super().__init__(stacked(2, shape), math.prod(shape), settings, lifetimes, ticks)
        self.stream = UniformStream(lifetimes, CODE)

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating normaliser and stream in place; see ``Encoder.forward``."""
        probability = on_off(self.bounded(observation)).div_(self.clip)
        return bernoulli_spikes(probability, self.layout[0], self.stream).to(self.dtype)
