"""Base class of envs with one rewarded action per episode, whose whole state is set by a reset."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from tracerl.config.forms import optional, real, whole
from tracerl.lifetime.env_state import fields

from . import drawing

Observation = np.ndarray[Any, np.dtype[np.float32]]


class Episodic(gym.Env[Observation, np.int64]):
    """An env whose state (``lifetime.env_state``) is the attributes that every reset sets.

    Attributes:
        elapsed: env steps of the episode.
        named: last action, or the one that counts; None before it.
        paid: its reward; None before the last step.
    """

    metadata: dict[str, Any] = {"render_modes": drawing.MODES, "render_fps": 4}
    action_space: spaces.Discrete

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Seed the generator, if given, and clear the action and its reward."""
        super().reset(seed=seed)
        self.elapsed = 0
        self.named: int | None = None
        self.paid: float | None = None

    def _advance(self, action: np.int64, length: int, correct: int) -> tuple[float, bool]:
        """Count a step; return its reward, 1 for the correct action in the last step, and whether this is the last."""
        self.elapsed += 1
        self.named = int(action)
        over = self.elapsed == length
        if over:
            self.paid = float(self.named == correct)
        return self.paid or 0.0, over

    def _fields(self) -> dict[str, Any]:
        """Return the attributes that a reset sets and that are part of the state, each with its check."""
        return {"named": optional(whole(0, int(self.action_space.n) - 1)), "paid": optional(real)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the episode; empty before the first reset."""
        return fields.read(self, self._fields())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``.

        Raises:
            ValueError: naming the entry that does not fit.
        """
        fields.write(self, state, self._fields(), late=self._fields())

    def render(self) -> drawing.Picture | None:
        """Draw the observation and the last action; None without a render mode."""
        return None if self.render_mode is None else self._draw()

    def _draw(self) -> drawing.Picture:
        raise NotImplementedError

    def _draw_answer(self, side: int = 32) -> drawing.Picture:
        return drawing.answer(int(self.action_space.n), self.named, self.paid, side)
