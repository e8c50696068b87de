"""Base of the project's worlds whose whole state is what a reset sets."""

from typing import Any

import gymnasium as gym
import numpy as np

from tracerl.lifetime.env_state import fields

Observation = np.ndarray[Any, np.dtype[np.float32]]


class Episodic(gym.Env[Observation, np.int64]):
    """An env that says what its state is (``lifetime.env_state``): attributes that every reset sets, and no others."""

    def _fields(self) -> fields.Fields:
        """Return the attributes that a reset sets, each with what it may be."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what the episode has drawn and what has been done in it; nothing before the first reset."""
        return fields.read(self, self._fields())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            ValueError: naming what does not fit.
        """
        fields.write(self, state, self._fields(), late=self._fields())
