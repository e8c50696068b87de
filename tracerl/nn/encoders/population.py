"""Population code: each input is encoded by neurons with Gaussian receptive fields."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.encoders.base import Encoder, EncoderSettings, Shape, bernoulli_spikes, stacked
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import CODE, UniformStream


@dataclass(frozen=True)
class Population(EncoderSettings):
    """Gaussian receptive fields over each input; ``build`` makes the encoder.

    Attributes:
        clip: the fields cover [-clip, clip]; inputs are clipped to it. In standard deviations, or in the observation's
            own units where it is not standardised.
        fields: number per input, at least 3.
        beta: distance of two neighbouring centres divided by the standard deviation of a field; larger is narrower.
        spikes: Bernoulli spikes at each tick, with the activations as probabilities; else the activations themselves.
    """

    fields: int
    beta: float
    spikes: bool
    always_clips: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("fields", self.fields, 3)
        checks.positive("beta", self.beta)
        checks.flag("spikes", self.spikes)

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "PopulationEncoder":
        """Make the encoder; see ``EncoderSettings.build``."""
        return PopulationEncoder(shape, ticks, lifetimes, self)


class PopulationEncoder(Encoder):
    """Activate m fields per input by the distance of the input from their centres in [-clip, clip].

        c_i = -clip + (i - 3/2) s, i = 1 .. m        s = 2 clip / (m - 2)        a_i = exp(-(x - c_i)^2 beta^2 / 2 s^2)

    Bohte, Kok and La Poutre 2002, "Error-backpropagation in temporally encoded networks of spiking neurons"
    (https://doi.org/10.1016/S0925-2312(01)00658-0), who convert activations to spike times and use beta from 1 to 2;
    here activations are currents or spike probabilities. The features have the shape of m observations (``stacked``):
    the activations of all inputs' first fields, then of their second fields, and so on.

    Attributes:
        centres: c_i, the same for every input, float64, [m, 1].
    """

    name = "population"

    def __init__(self, shape: Shape, ticks: int, lifetimes: Lifetimes, settings: Population) -> None:
        temporal = ticks if settings.spikes else None
        super().__init__(stacked(settings.fields, shape), math.prod(shape), settings, lifetimes, temporal)
        spacing = 2 * settings.clip / (settings.fields - 2)
        place = torch.arange(settings.fields, dtype=torch.float64, device=lifetimes.device).unsqueeze(-1)
        self.centres = (place - 0.5) * spacing - settings.clip
        self.sharpness = 0.5 * (settings.beta / spacing) ** 2
        self.stream = UniformStream(lifetimes, CODE) if settings.spikes else None

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating normaliser and stream in place; see ``Encoder.forward``."""
        distance = self.bounded(observation).unsqueeze(-2) - self.centres  # [*lifetimes, m, n_in]
        activation = distance.square_().mul_(-self.sharpness).exp_().flatten(-2)
        if self.stream is not None:
            activation = bernoulli_spikes(activation, self.layout[0], self.stream)
        return activation.to(self.dtype)
