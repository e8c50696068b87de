"""Contrast: each input beside its changes, over one time or several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl import checks
from tracerl.encoders.base import Encoder, EncoderSettings, Shape, stacked
from tracerl.lives import Lives, clear_


@dataclass(frozen=True)
class Contrast(EncoderSettings):
    """Each input beside its difference from its own decaying traces; ``build`` makes the encoder.

    Attributes:
        trace_decay: forgetting of that trace per env step, in [0, 1); 0 compares with the last observation. A list
            gives every input as many traces.
    """

    trace_decay: float | Sequence[float]

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        decays = self.trace_decays
        if not decays:
            raise checks.ConfigError("trace_decay", "must be a number in [0, 1), or a list of at least one, got []")
        for decay in decays:
            checks.decay("trace_decay", decay)

    @property
    def trace_decays(self) -> list[float]:
        """The decays, one of each trace."""
        several = isinstance(self.trace_decay, Sequence) and not isinstance(self.trace_decay, str)
        return list(self.trace_decay) if several else [self.trace_decay]  # type: ignore[arg-type,list-item]

    def build(self, shape: Shape, ticks: int, lives: Lives) -> "ContrastEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return ContrastEncoder(shape, lives, self)


class ContrastEncoder(Encoder):
    """Set each input beside its contrasts o_t - s_{t-1}, with s_t = d s_{t-1} + (1-d) o_t and s = o at a first step.

    A trace that forgets within a few steps gives the network the velocities that an env hides; one that forgets slowly
    tells what was seen long ago, as the traces of Eberhard et al. 2025 do (https://arxiv.org/abs/2503.15200).
    Contrasts are taken before standardising, so that all parts reach the network at the same scale. With K traces the
    code has the shape of 1 + K observations (``stacked``): the observation, then contrasts in the order of the decays.

    Attributes:
        trace: s_t, trace by trace, float64, [*lives, K * n_in].
        trace_decays: K of them.
    """

    name = "contrast"
    trace: Tensor

    def __init__(self, shape: Shape, lives: Lives, settings: Contrast) -> None:
        """Start with nothing seen."""
        n_in, self.trace_decays = math.prod(shape), settings.trace_decays
        traces = len(self.trace_decays)
        super().__init__(stacked(1 + traces, shape), (1 + traces) * n_in, settings, lives)
        self.register_buffer("trace", lives.zeros(traces * n_in, dtype=torch.float64))
        forgotten = [1 - decay for decay in self.trace_decays for _ in range(n_in)]
        self._forgotten = torch.tensor(forgotten, dtype=torch.float64, device=lives.device)  # [K * n_in]

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating traces and normaliser in place; see ``Encoder.forward``."""
        repeated = torch.cat([observation] * len(self.trace_decays), -1)  # [*lives, K * n_in]
        if isinstance(first, Tensor):
            clear_(self.trace, first)
            self.trace.addcmul_(repeated, first.unsqueeze(-1).to(observation.dtype))
        elif first:
            self.trace.copy_(repeated)
        contrast = repeated - self.trace
        self.trace.addcmul_(self._forgotten, contrast)
        return self.standardise(torch.cat([observation, contrast], -1)).to(self.dtype)
