"""What agents read from a Gymnasium space, with errors that name the env."""

from typing import Any

from gymnasium import Space, spaces

from tracerl.checks import ConfigError


def observation_shape(space: Space[Any]) -> tuple[int, ...]:
    """Return the shape of an observation.

    Raises:
        ConfigError: not a Box, nor made one by ``tracerl.envs.observations.as_box``, as the command line does.
    """
    if not isinstance(space, spaces.Box):
        supported = "a Box, Discrete, MultiBinary or MultiDiscrete space, or a Dict or Tuple of these"
        raise ConfigError("env", f"must have observations of {supported} for this agent, got {space}")
    return space.shape


def discrete_actions(space: Space[Any]) -> tuple[int, int]:
    """Return the number of actions and the first one's number.

    Raises:
        ConfigError: not a Discrete space.
    """
    if not isinstance(space, spaces.Discrete):
        raise ConfigError("env", f"must have a Discrete action space for this agent, got {space}")
    return int(space.n), int(space.start)


def parts_of(space: Space[Any]) -> list[Space[Any]]:
    """Return the spaces that a space is made of."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.values())
    if isinstance(space, (spaces.Tuple, spaces.OneOf)):
        return list(space.spaces)
    if isinstance(space, spaces.Sequence):
        return [space.feature_space]
    if isinstance(space, spaces.Graph):
        return [part for part in (space.node_space, space.edge_space) if part is not None]
    return []
