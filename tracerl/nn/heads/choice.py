"""Which head goes with which action space."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.config.checks import ConfigError
from tracerl.nn.heads.base import Head
from tracerl.nn.heads.bernoulli import Bernoulli
from tracerl.nn.heads.categorical import Categorical, MultiCategorical
from tracerl.nn.heads.gaussian import Gaussian, check_bell
from tracerl.nn.lifetimes import Lifetimes

MakeHead = Callable[[Space[Any], Lifetimes], Head]  # from an action space to a distribution over it
SUPPORTED = "a Discrete, MultiDiscrete, MultiBinary or float Box"


def head_for(
    space: Space[Any],
    lifetimes: Lifetimes,
    make: MakeHead | None = None,
    max_std: float | None = None,
    clipped_log_prob: bool = False,
    mean_margin: float | None = None,
) -> Head:
    """Make the head of an action space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; of any shape and start.
        lifetimes: maker of tensors.
        make: makes another head, for whatever space; None: the one that goes with it.
        max_std: bound of a Gaussian's deviation, in halves of the action's range, where that is finite, for all its
            numbers together (the sum of them); None: none.
        clipped_log_prob: log pi of a Gaussian's action is that of what the env gets: at a bound, of all beyond it.
        mean_margin: how many deviations the mean of a Gaussian may lie beyond a bound of its action; None: any.

    Raises:
        ConfigError: another space, or an empty one; ``max_std`` is not above 0; ``clipped_log_prob`` is neither true
            nor false; ``mean_margin`` is below 0; or ``make`` makes no head.
    """
    check_bell(max_std, clipped_log_prob, mean_margin)
    if make is not None:
        head = make(space, lifetimes) if callable(make) else None
        if not isinstance(head, Head):
            raise ConfigError("head", f"must be null or _target_ of a head, with _partial_: true; got {make!r}")
        return head
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n), lifetimes, int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.size:
        return MultiCategorical(space, lifetimes)
    if isinstance(space, spaces.MultiBinary) and np.prod(space.shape):
        return Bernoulli(space, lifetimes)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating) and np.prod(space.shape):
        return Gaussian(space, lifetimes, max_std, clipped_log_prob, mean_margin)
    raise ConfigError("env", f"must have {SUPPORTED} action space for this agent, got {space}")
