"""Base class of envs whose whole state is set by a reset."""

from typing import Any

import gymnasium as gym
import numpy as np

from tracerl.lifetime.env_state import fields

Observation = np.ndarray[Any, np.dtype[np.float32]]


class Episodic(gym.Env[Observation, np.int64]):
    """An env whose state (``lifetime.env_state``) is the attributes that every reset sets."""

    def _fields(self) -> fields.Fields:
        """Return the attributes that a reset sets, each with its check."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the episode; empty before the first reset."""
        return fields.read(self, self._fields())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``.

        Raises:
            ValueError: naming the entry that does not fit.
        """
        fields.write(self, state, self._fields(), late=self._fields())
