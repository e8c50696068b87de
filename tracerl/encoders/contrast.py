"""Contrast: each input beside its change."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl import checks
from tracerl.encoders.base import Encoder, EncoderSettings, Shape
from tracerl.lives import Lives, clear_


@dataclass(frozen=True)
class Contrast(EncoderSettings):
    """Each input beside its difference from its own decaying trace; ``build`` makes the encoder.

    Attributes:
        trace_decay: forgetting of that trace per env step, in [0, 1); 0 compares with the last observation.
    """

    trace_decay: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        checks.decay("trace_decay", self.trace_decay)

    def build(self, shape: Shape, ticks: int, lives: Lives) -> "ContrastEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return ContrastEncoder(shape, lives, self)


class ContrastEncoder(Encoder):
    """Set each input beside its contrast o_t - s_{t-1}, with s_t = d s_{t-1} + (1-d) o_t and s = o at a first step.

    It gives the network the velocities that an env hides. Contrasts are taken before standardising, so that both
    halves reach the network at the same scale. The code's shape is (2, *shape of the observation).

    Attributes:
        trace: s_t, float64, [*lives, n_in].
    """

    name = "contrast"
    trace: Tensor

    def __init__(self, shape: Shape, lives: Lives, settings: Contrast) -> None:
        """Start with nothing seen."""
        n_in = math.prod(shape)
        super().__init__((2, *shape), 2 * n_in, settings, lives)
        self.trace_decay = settings.trace_decay
        self.register_buffer("trace", lives.zeros(n_in, dtype=torch.float64))

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating trace and normaliser in place; see ``Encoder.forward``."""
        if isinstance(first, Tensor):
            clear_(self.trace, first)
            self.trace.addcmul_(observation, first.unsqueeze(-1).to(observation.dtype))
        elif first:
            self.trace.copy_(observation)
        contrast = observation - self.trace
        self.trace.lerp_(observation, 1 - self.trace_decay)
        return self.standardise(torch.cat([observation, contrast], -1)).to(self.dtype)
