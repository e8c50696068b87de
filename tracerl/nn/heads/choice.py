"""The action head for each kind of action space."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.heads.base import Head
from tracerl.nn.heads.bernoulli import Bernoulli
from tracerl.nn.heads.categorical import Categorical, MultiCategorical
from tracerl.nn.heads.discretized import Discretized
from tracerl.nn.heads.gaussian import Gaussian, GaussianSettings
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.spaces import one_line

MakeHead = Callable[[Space[Any], Lifetimes], Head]  # from an action space to a distribution over it
SUPPORTED = "a Discrete, MultiDiscrete, MultiBinary or float Box"


@dataclass(frozen=True, kw_only=True)
class HeadSettings(GaussianSettings):
    """Settings of the head for any supported action space; ``build`` makes the head.

    Attributes:
        bins: number of values that a number of a Box can have, 2 or more, without the settings of a Gaussian; None: a
            Gaussian. See ``Discretized``, also for the next.
        spacing: exponent that spaces the values; 1: evenly.
    """

    bins: int | None = None
    spacing: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins is not None:
            checks.whole("bins", self.bins, 2)
        checks.positive("spacing", self.spacing)

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect on the head that was made; see ``tracerl.config.ignored``."""
        if isinstance(head, Gaussian):
            return {"spacing": "without bins"}
        names = [field.name for field in fields(self)]
        if isinstance(head, Discretized):
            return {name: "with bins" for name in names if name not in ("bins", "spacing", "bonus_components")}
        return dict.fromkeys(names, "with discrete actions")

    def build(self, space: Space[Any], lifetimes: Lifetimes) -> Head:
        """Make the head; a ConfigError if the space is not supported or is empty.

        Args:
            space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; of any shape and start.
            lifetimes: maker of tensors.
        """
        if isinstance(space, spaces.Discrete):
            return Categorical(int(space.n), lifetimes, int(space.start))
        if isinstance(space, spaces.MultiDiscrete) and space.nvec.size:
            return MultiCategorical(space, lifetimes)
        if isinstance(space, spaces.MultiBinary) and np.prod(space.shape):
            return Bernoulli(space, lifetimes)
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating) and np.prod(space.shape):
            if self.bins is not None:
                return Discretized(space, lifetimes, self.bins, self.spacing, self.bonus_components)
            return Gaussian(space, lifetimes, self)
        raise ConfigError("env", f"must have {SUPPORTED} action space for this agent, got {one_line(space)}")


def head_for(space: Space[Any], lifetimes: Lifetimes, settings: HeadSettings | MakeHead | None = None) -> Head:
    """Make the head of an action space; a ConfigError if the space or the settings do not make one.

    Args:
        space: action space.
        lifetimes: maker of tensors.
        settings: settings of the default head of the space, or a callable that makes another head; None: the defaults.
            A key that its ConfigError names is one of ``head``, or ``env``.
    """
    make = HeadSettings() if settings is None else settings
    make = make.build if isinstance(make, HeadSettings) else make
    try:
        head = make(space, lifetimes) if callable(make) else None
    except ConfigError as error:
        if error.key.split(".")[0] in ("env", "head"):
            raise
        raise error.under("head") from error
    if not isinstance(head, Head):
        raise ConfigError("head", f"must be null or _target_ of a head, with _partial_: true; got {settings!r}")
    if not isinstance(getattr(head, "n_outputs", None), Integral):
        raise ConfigError("head", f"must have n_outputs, a whole number: {type(head).__name__} has none")
    for name in ("sample", "score", "chosen"):
        if getattr(type(head), name) is getattr(Head, name):
            raise ConfigError("head", f"must have the method {name}: {type(head).__name__} has none of its own")
    return head
