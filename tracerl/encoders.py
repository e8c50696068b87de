"""Input encoders: from an observation to the current that enters the network. Part of the agent and its state."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl import checks
from tracerl.lives import Lives, clear_
from tracerl.module import StateModule
from tracerl.scaling import ObservationNormalizer


@dataclass(frozen=True)
class Raw:
    """The observation itself; ``build`` makes the encoder.

    Attributes:
        normalize: standardise each feature by its running mean and deviation.
        clip: bound of a standardised feature, in standard deviations.
    """

    normalize: bool
    clip: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.flag("normalize", self.normalize)
        checks.positive("clip", self.clip)

    def build(self, n_in: int, lives: Lives) -> "RawEncoder":
        """Make the encoder for observations of that size."""
        return RawEncoder(n_in, lives, self)


@dataclass(frozen=True)
class Contrast(Raw):
    """Each input beside its difference from its own decaying trace; ``build`` makes the encoder.

    Attributes:
        trace_decay: forgetting of that trace per env step, in [0, 1); 0 compares with the last observation.
    """

    trace_decay: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        checks.decay("trace_decay", self.trace_decay)

    def build(self, n_in: int, lives: Lives) -> "ContrastEncoder":
        """Make the encoder for observations of that size."""
        return ContrastEncoder(n_in, lives, self)


class RawEncoder(StateModule):
    """Hand on the observation, standardised where the settings ask for it.

    Attributes:
        n_out: size of the code.
    """

    def __init__(self, n_out: int, lives: Lives, settings: Raw) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.n_out = n_out
        self.dtype = lives.dtype
        self.normalizer = ObservationNormalizer(n_out, settings.clip, lives) if settings.normalize else None

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating the encoder's state in place.

        Args:
            observation: float64, [*lives, n_in].
            first: whether it is the first of an episode; a bool, or a bool tensor [*lives].

        Returns:
            The current x_t, [*lives, n_out].
        """
        if self.normalizer is not None:
            observation = self.normalizer(observation)
        return observation.to(self.dtype)


class ContrastEncoder(RawEncoder):
    """Set each input beside its contrast o_t - s_{t-1}, with s_t = d s_{t-1} + (1-d) o_t and s = o at a first step.

    It gives the network the velocities that an env hides. Contrasts are taken before standardising, so that both
    halves reach the network at the same scale.

    Attributes:
        trace: s_t, float64, [*lives, n_in].
    """

    trace: Tensor

    def __init__(self, n_in: int, lives: Lives, settings: Contrast) -> None:
        """Start with nothing seen."""
        super().__init__(2 * n_in, lives, settings)
        self.trace_decay = settings.trace_decay
        self.register_buffer("trace", lives.zeros(n_in, dtype=torch.float64))

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating trace and normaliser in place; see ``RawEncoder.forward``."""
        if isinstance(first, Tensor):
            clear_(self.trace, first)
            self.trace.addcmul_(observation, first.unsqueeze(-1).to(observation.dtype))
        elif first:
            self.trace.copy_(observation)
        contrast = observation - self.trace
        self.trace.lerp_(observation, 1 - self.trace_decay)
        return super().forward(torch.cat([observation, contrast], -1), first)
