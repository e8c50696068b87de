"""A wrapper that hides parts of the observation, so that the state must be inferred from the past."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.env_state import fields

Array = np.ndarray[Any, Any]


def feature_box(env: gym.Env[Any, Any], key: str) -> spaces.Box:
    """Return the observation space of an env; raise a ConfigError of a key if it is no Box of one axis."""
    space = env.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ConfigError(key, f"needs observations that are a Box of one axis, got {space}")
    return space


class MaskedObservation(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Drop some numbers of a one-axis Box observation. Hidden numbers are removed, not set to 0.

    CartPole without its two velocities is the common example: an agent without memory cannot distinguish a falling pole
    from a rising one. ``gymnasium.wrappers.TransformObservation`` does the same with a function and a space, which
    cannot be written in yaml.

    Attributes:
        kept: indices of the remaining numbers, int64, ascending.
    """

    def __init__(self, env: gym.Env[Any, Any], hidden: Sequence[int]) -> None:
        """Shrink the observation space.

        Args:
            env: env with observations of n numbers.
            hidden: indices of the numbers to drop, each from 0 to n - 1; at least one, not all.

        Raises:
            ConfigError: the observation is no one-axis Box; an index is out of range or repeated; no number remains.
        """
        space = feature_box(env, "MaskedObservation")
        n = space.shape[0]
        if isinstance(hidden, str) or not isinstance(hidden, Sequence) or not hidden:
            raise ConfigError("hidden", f"must be a list of indices such as [1, 3], got {hidden!r}")
        for index in hidden:
            checks.whole("hidden", index, 0, n - 1)
        if len(set(hidden)) < len(hidden):
            raise ConfigError("hidden", f"must name each index once, got {list(hidden)}")
        if len(hidden) == n:
            raise ConfigError("hidden", f"must leave at least one of the {n} numbers, got {list(hidden)}")
        gym.utils.RecordConstructorArgs.__init__(self, hidden=list(hidden))
        gym.ObservationWrapper.__init__(self, env)
        self.kept: Array = np.setdiff1d(np.arange(n), hidden)
        self.observation_space = spaces.Box(space.low[self.kept], space.high[self.kept], dtype=space.dtype.type)

    def state_dict(self) -> dict[str, Any]:
        """Return an empty dict: the wrapper has no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Check that the state is empty.

        Raises:
            ValueError: the state is not empty.
        """
        fields.write(self, state, {})

    def observation(self, observation: Array) -> Array:
        """Return the remaining numbers: [n - hidden], of the same dtype."""
        shown: Array = observation[self.kept]
        return shown
