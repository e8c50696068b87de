"""What every encoder has in common: the shape of its code and the standardising of observations."""

import math
from dataclasses import dataclass

from torch import Tensor

from tracerl.config import checks
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.normalizers import ObservationNormalizer

Shape = tuple[int, ...]


def stacked(codes: int, shape: Shape) -> Shape:
    """Return the shape of so many codes of an observation.

    Codes of a vector are a longer vector; of an image they are as many images, on a first axis of their own.
    """
    return (codes * shape[0],) if len(shape) == 1 else (codes, *shape)


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of an encoder, as a yaml names them; ``build`` makes the encoder.

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

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "Encoder":
        """Make the encoder.

        Args:
            shape: of one observation, before it is flattened.
            ticks: of the network per env step.
            lifetimes: maker of tensors.

        Raises:
            ConfigError: the encoder cannot do with so few ticks.
        """
        raise NotImplementedError

    def build_held(self, shape: Shape, lifetimes: Lifetimes) -> "Encoder":
        """Make the encoder for an agent without ticks; see ``build``.

        Raises:
            ConfigError: its code is in time.
        """
        encoder = self.build(shape, 1, lifetimes)
        if encoder.temporal:
            raise checks.ConfigError(
                "encoder", f"must not be {encoder.name}: this agent has no ticks for a code in time"
            )
        return encoder


class Encoder(StateModule):
    """Turn an observation into the code that enters the network. Part of the agent and of its state.

    Attributes:
        name: of the encoder on the command line.
        shape: of the code at one tick, which is handed on flattened, row-major.
        n_out: size of the code at one tick.
        temporal: the code has a row for each tick; else one code is held over all ticks.
        layout: axes of the code behind those of the lifetimes: (n_out,) where it is held, (ticks, n_out) where
            temporal.
        dtype: of the code, that of the agent.
    """

    name: str

    def __init__(
        self,
        shape: Shape,
        n_standardised: int,
        settings: EncoderSettings,
        lifetimes: Lifetimes,
        ticks: int | None = None,
    ) -> None:
        """Start with nothing seen.

        Args:
            shape: of the code at one tick.
            n_standardised: numbers that the normaliser, where there is one, takes in.
            settings: of the encoder.
            lifetimes: maker of tensors.
            ticks: rows of a temporal code; None for a held one.
        """
        super().__init__()
        self.shape, self.n_out = shape, math.prod(shape)
        self.temporal = ticks is not None
        self.layout = (self.n_out,) if ticks is None else (ticks, self.n_out)
        self.dtype = lifetimes.dtype
        self.clip = settings.clip
        self.normalizer = (
            ObservationNormalizer(n_standardised, settings.clip, lifetimes) if settings.normalize else None
        )

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating the encoder's state in place.

        Args:
            observation: flattened, float64, [*lifetimes, n_in].
            first: whether it is the first of an episode; a bool, or a bool tensor [*lifetimes].

        Returns:
            The code, [*lifetimes, n_out]; where it is temporal, [*lifetimes, ticks, n_out].
        """
        raise NotImplementedError

    def standardise(self, observation: Tensor) -> Tensor:
        """Return the observation, standardised where the settings ask for it: float64, [*lifetimes, n]."""
        return observation if self.normalizer is None else self.normalizer(observation)

    def bounded(self, observation: Tensor) -> Tensor:
        """Return the same within [-clip, clip], whether standardised or not: float64, [*lifetimes, n]."""
        return self.standardise(observation).clamp(-self.clip, self.clip)
