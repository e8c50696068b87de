"""Contrast: each input beside its changes and beside its own past, over one time or several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape, stacked
from tracerl.nn.lifetimes import Lifetimes, clear_


@dataclass(frozen=True)
class Contrast(EncoderSettings):
    """Each input beside its differences from decaying traces, and beside decaying traces; ``build`` makes the encoder.

    Attributes:
        trace_decay: decay of the traces that are compared with, per env step, in [0, 1); 0 compares with the last
            observation. A list gives every input as many, an empty one none.
        memory_decay: decay of the traces that are handed on themselves, likewise.
    """

    trace_decay: float | Sequence[float]
    memory_decay: float | Sequence[float] = ()

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        for key, decays in (("trace_decay", self.trace_decays), ("memory_decay", self.memory_decays)):
            for decay in decays:
                checks.decay(key, decay)
        if not self.trace_decays and not self.memory_decays:
            raise checks.ConfigError(
                "trace_decay", "must be a decay, or memory_decay one: encoder=raw is without, got [] for both"
            )

    @property
    def trace_decays(self) -> list[float]:
        """Decays of the traces that are compared with."""
        return _several(self.trace_decay)

    @property
    def memory_decays(self) -> list[float]:
        """Decays of the traces that are handed on."""
        return _several(self.memory_decay)

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "ContrastEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return ContrastEncoder(shape, lifetimes, self)


def _several(decay: float | Sequence[float]) -> list[float]:
    """Return a list of decays, of which a number is one."""
    is_list = isinstance(decay, Sequence) and not isinstance(decay, str)
    return list(decay) if is_list else [decay]  # type: ignore[arg-type,list-item]


def decays_of(encoder: Encoder) -> tuple[list[float], list[float]]:
    """Return the decays of an encoder's traces, compared with and handed on; none of any but contrast."""
    return (encoder.trace_decays, encoder.memory_decays) if isinstance(encoder, ContrastEncoder) else ([], [])


class ContrastEncoder(Encoder):
    """Set each input beside its contrasts and its memory traces, over K and M times.

        contrast o_t - s_{t-1}   s_t = d s_{t-1} + (1-d) o_t, s_{-1} = o_0      before an episode: as if o_0 had lasted
        memory   s_t             s_t = d s_{t-1} + (1-d) o_t, s_{-1} = 0        before an episode: nothing

    A contrast with what was a few steps ago gives the network the velocities that an env hides. A memory trace
    (Eberhard et al. 2025, https://arxiv.org/abs/2503.15200) tells what was seen long ago and adds up what was seen
    piece by piece. Both are taken before standardising, so that all parts reach the network at the same scale: what a
    slow trace still holds of a single step is a hundredth of that step. The code has the shape of 1 + K + M
    observations (``stacked``): the observation, contrasts in the order of their decays, traces in the order of theirs.

    Attributes:
        trace: s_t, trace by trace, those of contrasts first, float64, [*lifetimes, (K + M) * n_in].
        trace_decays: K of them.
        memory_decays: M of them.
    """

    name = "contrast"
    trace: Tensor

    def __init__(self, shape: Shape, lifetimes: Lifetimes, settings: Contrast) -> None:
        """Start with nothing seen."""
        self.trace_decays, self.memory_decays = settings.trace_decays, settings.memory_decays
        n_in, decays = math.prod(shape), self.trace_decays + self.memory_decays
        super().__init__(stacked(1 + len(decays), shape), (1 + len(decays)) * n_in, settings, lifetimes)
        self.register_buffer("trace", lifetimes.zeros(len(decays) * n_in, dtype=torch.float64))
        self._n_traces, self._n_compared = len(decays), len(self.trace_decays) * n_in
        forgotten = [1 - decay for decay in decays for _ in range(n_in)]
        self._forgotten = torch.tensor(forgotten, dtype=torch.float64, device=lifetimes.device)  # [(K + M) * n_in]

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating traces and normaliser in place; see ``Encoder.forward``."""
        n = self._n_compared
        repeated = torch.cat([observation] * self._n_traces, -1)  # [*lifetimes, (K + M) * n_in]
        if isinstance(first, Tensor):
            clear_(self.trace, first)
            self.trace[..., :n].addcmul_(repeated[..., :n], first.unsqueeze(-1).to(observation.dtype))
        elif first:
            self.trace[..., :n].copy_(repeated[..., :n])
            self.trace[..., n:].zero_()
        contrast = repeated - self.trace
        self.trace.addcmul_(self._forgotten, contrast)
        code = torch.cat([observation, contrast[..., :n], self.trace[..., n:]], -1)
        return self.standardise(code).to(self.dtype)
