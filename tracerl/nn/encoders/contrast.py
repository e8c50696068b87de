"""Contrast encoder: each input, its differences from decaying traces, and decaying traces, over several timescales."""

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
    """Each input, its differences from decaying traces, and decaying traces; ``build`` makes the encoder.

    Attributes:
        trace_decay: decay per env step, in [0, 1), of the traces that are subtracted; 0 subtracts the previous
            observation. A list gives one trace per entry for every input; an empty list gives none.
        memory_decay: decay per env step of the traces that are features themselves; a number or a list as well.
        trace_scale: what contrasts and memory traces are multiplied by, after they are standardised; above 0. Features
            of a smaller scale have smaller currents at the start, and their weights are learned more slowly.
    """

    trace_decay: float | Sequence[float]
    memory_decay: float | Sequence[float] = ()
    trace_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive("trace_scale", self.trace_scale)
        for key, decays in (("trace_decay", self.trace_decays), ("memory_decay", self.memory_decays)):
            for decay in decays:
                checks.decay(key, decay)
        if not self.trace_decays and not self.memory_decays:
            problem = "must be set if memory_decay is not (encoder=raw has no traces), got [] for both"
            raise checks.ConfigError("trace_decay", problem)

    @property
    def trace_decays(self) -> list[float]:
        """Decays of the traces that are subtracted."""
        return _as_list(self.trace_decay)

    @property
    def memory_decays(self) -> list[float]:
        """Decays of the traces that are features."""
        return _as_list(self.memory_decay)

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "ContrastEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return ContrastEncoder(shape, lifetimes, self)


def _as_list(decay: float | Sequence[float]) -> list[float]:
    """Return the decays as a list, of one for a number."""
    is_list = isinstance(decay, Sequence) and not isinstance(decay, str)
    return list(decay) if is_list else [decay]  # type: ignore[arg-type,list-item]


def decays_of(encoder: Encoder) -> tuple[list[float], list[float]]:
    """Return the decays of the subtracted traces and of the trace features; empty for encoders other than contrast."""
    return (encoder.trace_decays, encoder.memory_decays) if isinstance(encoder, ContrastEncoder) else ([], [])


def scales_of(encoder: Encoder) -> Tensor:
    """Return what each standardised feature is multiplied by, float64, [n_out]; 1 for encoders other than contrast."""
    scales = torch.ones(encoder.n_out, dtype=torch.float64)
    if isinstance(encoder, ContrastEncoder):
        n_in = encoder.n_out // (1 + len(encoder.trace_decays + encoder.memory_decays))
        scales[n_in:] = encoder.trace_scale
    return scales


class ContrastEncoder(Encoder):
    """Concatenate each input with K contrasts and M memory traces.

        contrast o_t - s_{t-1}   s_t = d s_{t-1} + (1-d) o_t, s_{-1} = o_0      as if o_0 had been constant before
        memory   s_t             s_t = d s_{t-1} + (1-d) o_t, s_{-1} = 0        zero before the episode

    A contrast with the last few steps provides velocities that an env does not. A memory trace (Eberhard et al. 2025,
    https://arxiv.org/abs/2503.15200) summarises earlier observations. Both are computed before standardisation, so that
    all features have the same scale; the contribution of one step to a slow trace can be a hundredth of that step.
    Contrasts and traces are then multiplied by ``trace_scale``. The features have the shape of 1 + K + M observations
    (``stacked``): the observation, then the contrasts, then the traces, each in the order of their decays.

    Attributes:
        trace: s_t, trace by trace, those of the contrasts first, float64, [*lifetimes, (K + M) * n_in].
        trace_decays: K of them.
        memory_decays: M of them.
        trace_scale: what standardised contrasts and memory traces are multiplied by.
    """

    name = "contrast"
    trace: Tensor

    def __init__(self, shape: Shape, lifetimes: Lifetimes, settings: Contrast) -> None:
        self.trace_decays, self.memory_decays = settings.trace_decays, settings.memory_decays
        self.trace_scale = settings.trace_scale
        n_in, decays = math.prod(shape), self.trace_decays + self.memory_decays
        super().__init__(stacked(1 + len(decays), shape), (1 + len(decays)) * n_in, settings, lifetimes)
        self.register_buffer("trace", lifetimes.zeros(len(decays) * n_in, dtype=torch.float64))
        self._n_traces, self._n_compared = len(decays), len(self.trace_decays) * n_in
        complements = [1 - decay for decay in decays for _ in range(n_in)]
        self._complements = torch.tensor(complements, dtype=torch.float64, device=lifetimes.device)  # [(K + M) * n_in]
        self._scales = scales_of(self).to(lifetimes.device)

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
        self.trace.addcmul_(self._complements, contrast)
        features = torch.cat([observation, contrast[..., :n], self.trace[..., n:]], -1)
        return (self.standardise(features) * self._scales).to(self.dtype)
