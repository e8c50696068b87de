"""Latency code: one spike per input; a larger input spikes earlier."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape, stacked
from tracerl.nn.lifetimes import Lifetimes


@dataclass(frozen=True)
class Latency(EncoderSettings):
    """The time to the first spike within an env step; ``build`` makes the encoder.

    Attributes:
        clip: magnitude that spikes at the first tick; larger magnitudes are clipped to it. In standard deviations, or
            in the observation's own units where it is not standardised.
    """

    always_clips: ClassVar[bool] = True

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "LatencyEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        if ticks < 2:
            problem = f"must be 2 or above for the encoder latency, whose spikes differ in time, got {ticks}"
            raise checks.ConfigError("network.ticks", problem)
        return LatencyEncoder(shape, ticks, lifetimes, self)


class LatencyEncoder(Encoder):
    """Emit one spike per input, in its on half where x >= 0, else in its off half, at a tick that decreases with |x|.

        tick = min(floor((1 - min(|x|, clip) / clip) ticks), ticks - 1)

    After Thorpe, Delorme and Van Rullen 2001, "Spike-based strategies for rapid processing"
    (https://doi.org/10.1016/S0893-6080(01)00083-1), who encode intensity as latency. The features have the shape of two
    observations (``stacked``), one row per tick.
    """

    name = "latency"

    def __init__(self, shape: Shape, ticks: int, lifetimes: Lifetimes, settings: Latency) -> None:
        super().__init__(stacked(2, shape), math.prod(shape), settings, lifetimes, ticks)
        self._ticks = torch.arange(ticks, dtype=torch.float64, device=lifetimes.device).unsqueeze(-1)  # [ticks, 1]

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating the normaliser in place; see ``Encoder.forward``."""
        x = self.bounded(observation)
        ticks = self.layout[0]
        tick = (1 - x.abs() / self.clip).mul_(ticks).floor_().clamp_(max=ticks - 1)
        now = tick.unsqueeze(-2) == self._ticks  # [*lifetimes, ticks, n]
        on = (x >= 0).unsqueeze(-2)
        return torch.cat([now & on, now & ~on], -1).to(self.dtype)
