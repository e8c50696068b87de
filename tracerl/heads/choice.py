"""Which head goes with which action space."""

from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tracerl.checks import ConfigError
from tracerl.heads.base import Head
from tracerl.heads.bernoulli import Bernoulli
from tracerl.heads.categorical import Categorical, MultiCategorical
from tracerl.heads.gaussian import Gaussian
from tracerl.lives import Lives

SUPPORTED = "a Discrete, MultiDiscrete, MultiBinary or float Box"


def head_for(space: Space[Any], lives: Lives) -> Head:
    """Make the head of an action space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; of any shape and start.
        lives: maker of tensors.

    Raises:
        ConfigError: another space, or an empty one.
    """
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n), lives, int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.size:
        return MultiCategorical(space, lives)
    if isinstance(space, spaces.MultiBinary) and np.prod(space.shape):
        return Bernoulli(space, lives)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating) and np.prod(space.shape):
        return Gaussian(space, lives)
    raise ConfigError("env", f"must have {SUPPORTED} action space for this agent, got {space}")
