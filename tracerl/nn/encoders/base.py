"""The base class of encoders: the shape of the features and the standardisation of observations."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tracerl.config import checks
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule, shape_in_words
from tracerl.nn.normalizers import ObservationNormalizer
from tracerl.nn.random import UniformStream

Shape = tuple[int, ...]


def stacked(copies: int, shape: Shape) -> Shape:
    """Return the shape of some copies of an observation: concatenated vectors, or images along a new first axis."""
    return (copies * shape[0],) if len(shape) == 1 else (copies, *shape)


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of an encoder, as given in a yaml file; ``build`` makes the encoder.

    Attributes:
        normalize: standardise each feature by its running mean and deviation.
        clip: bound of a standardised feature, in standard deviations.
        always_clips: observations that are not standardised are clipped too, in their own units.
    """

    normalize: bool
    clip: float
    always_clips: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checks.flag("normalize", self.normalize)
        checks.positive("clip", self.clip)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return {} if self.normalize or self.always_clips else {"clip": "with normalize=false"}

    def build(self, shape: Shape, ticks: int, lifetimes: Lifetimes) -> "Encoder":
        """Make the encoder; a ConfigError if it needs more ticks.

        Args:
            shape: shape of one observation, before it is flattened.
            ticks: ticks of the network per env step.
            lifetimes: maker of tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} must have build")

    def build_held(self, shape: Shape, lifetimes: Lifetimes) -> "Encoder":
        """Make the encoder for an agent without ticks; a ConfigError if the encoder is temporal."""
        encoder = self.build(shape, 1, lifetimes)
        if encoder.temporal:
            problem = f"must not be {name_of(encoder)}: this agent has no ticks for temporal features"
            raise checks.ConfigError("encoder", problem)
        return encoder


class Encoder(StateModule):
    """Base of encoders, which map an observation to the features that enter the network.

    Attributes:
        name: name of the encoder on the command line.
        shape: shape of the features at one tick; they are returned flattened, row-major.
        n_out: number of features at one tick.
        temporal: whether the features have a row for each tick; else they are constant over all ticks.
        layout: axes of the features after the lifetimes axis: (ticks, n_out) if temporal, else (n_out,).
        dtype: dtype of the features and of the agent.
        divisor: what the agent has divided observations by: 255 for images of bytes that are not standardised, else 1.
    """

    name: str
    divisor = 1.0

    def __init__(
        self,
        shape: Shape,
        n_standardised: int,
        settings: EncoderSettings,
        lifetimes: Lifetimes,
        ticks: int | None = None,
    ) -> None:
        """Initialise the normaliser.

        Args:
            shape: shape of the features at one tick.
            n_standardised: size of the normaliser's input.
            settings: settings of the encoder.
            lifetimes: maker of tensors.
            ticks: rows of temporal features; None: the features are constant over all ticks.
        """
        super().__init__()
        self.shape, self.n_out = shape, math.prod(shape)
        self.temporal = ticks is not None
        self.layout = (self.n_out,) if ticks is None else (ticks, self.n_out)
        self.dtype = lifetimes.dtype
        self.clip = settings.clip
        normalizer = ObservationNormalizer(n_standardised, settings.clip, lifetimes) if settings.normalize else None
        self.normalizer = normalizer

    def forward(self, observation: Tensor, first: bool | Tensor = False) -> Tensor:
        """Encode one observation, updating the encoder's state in place.

        Args:
            observation: flattened, float64, [*lifetimes, n_in].
            first: whether it is the first of an episode; a bool, or a bool tensor [*lifetimes].

        Returns:
            The features, [*lifetimes, n_out]; if temporal, [*lifetimes, ticks, n_out].
        """
        raise NotImplementedError(f"{type(self).__name__} must have forward")

    def begin(self, observation: Tensor) -> Tensor:
        """Encode the first observation of an episode; see ``forward``.

        Raises:
            ConfigError: the features are no tensor of the declared shape.
        """
        features = self(observation, first=True)
        wanted = (*observation.shape[:-1], *self.layout)
        if isinstance(features, Tensor) and features.shape == wanted:
            return features
        problem = f"must return a torch tensor of the shape {wanted}, got {shape_in_words(features)}"
        raise checks.ConfigError("encoder", problem)

    def standardise(self, observation: Tensor) -> Tensor:
        """Return the observation, standardised under ``normalize``: float64, [*lifetimes, n]."""
        return observation if self.normalizer is None else self.normalizer(observation)

    def bounded(self, observation: Tensor) -> Tensor:
        """Return the result of ``standardise`` clipped to [-clip, clip]: float64, [*lifetimes, n]."""
        return self.standardise(observation).clamp(-self.clip, self.clip)


def name_of(encoder: Encoder) -> str:
    """Return the name of an encoder; that of its class where it has the name of the class that it inherits from."""
    return encoder.name if "name" in vars(type(encoder)) else type(encoder).__name__


def bernoulli_spikes(probability: Tensor, ticks: int, stream: UniformStream) -> Tensor:
    """Draw independent spikes at each tick, from ticks times n numbers of the stream: bool, [*lifetimes, ticks, n].

    ``probability`` is that of a spike at one tick, in [0, 1], float64, [*lifetimes, n].
    """
    n = probability.shape[-1]
    uniform: Tensor = stream.draw_many(ticks * n).unflatten(-1, (ticks, n))
    return uniform < probability.unsqueeze(-2)
