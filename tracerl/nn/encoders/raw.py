"""Raw current: the observation itself."""

import math
from dataclasses import dataclass

from torch import Tensor

from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape
from tracerl.nn.lifetimes import Lifetimes


@dataclass(frozen=True)
class Raw(EncoderSettings):
    """The observation itself; ``build`` makes the encoder."""

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "RawEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return RawEncoder(shape, lifetimes, self)


class RawEncoder(Encoder):
    """Return the observation in its own shape, standardised under ``normalize``."""

    name = "raw"

    def __init__(self, shape: Shape, lifetimes: Lifetimes, settings: Raw) -> None:
        super().__init__(shape, math.prod(shape), settings, lifetimes)

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation; see ``Encoder.forward``."""
        return self.standardise(observation).to(self.dtype)
