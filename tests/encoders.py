"""Helpers that build an encoder in float64 and pass observations to it."""

from typing import Any

import torch

from tracerl.nn.encoders import Encoder, EncoderSettings
from tracerl.nn.lifetimes import Lifetimes

PLAIN = dict(normalize=False, clip=2.0)
SCALED = dict(normalize=True, clip=2.0)


def build(settings: EncoderSettings, n: int, ticks: int = 1, seed: int | list[int] = 0) -> Encoder:
    return settings.build((n,), ticks, Lifetimes(seed, torch.float64))


def encode(encoder: Encoder, *values: Any, first: bool = False) -> torch.Tensor:
    return encoder(torch.tensor(values, dtype=torch.float64), first=first)
