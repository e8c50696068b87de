"""What agents read from a Gymnasium space, with errors that name the env."""

import math
from typing import Any

from gymnasium import Space, spaces

from tracerl.checks import ConfigError


def observation_size(space: Space[Any]) -> int:
    """Return how many numbers an observation holds once flattened.

    Raises:
        ConfigError: not a Box.
    """
    if not isinstance(space, spaces.Box):
        raise ConfigError("env", f"must have a Box observation space for this agent, got {space}")
    return math.prod(space.shape)


def code_shape(space: Space[Any], size: int) -> tuple[int, ...]:
    """Return the shape of an encoder's code: the observations' own, where its size is theirs, else that of a vector."""
    own = space.shape
    return own if own is not None and math.prod(own) == size else (size,)


def discrete_actions(space: Space[Any]) -> tuple[int, int]:
    """Return the number of actions and the first one's number.

    Raises:
        ConfigError: not a Discrete space.
    """
    if not isinstance(space, spaces.Discrete):
        raise ConfigError("env", f"must have a Discrete action space for this agent, got {space}")
    return int(space.n), int(space.start)
