"""The smallest task that needs the observation: one step, one context, one right action."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Observation = np.ndarray[Any, np.dtype[np.float32]]


class ContextualBandit(gym.Env[Observation, np.int64]):
    """One step per episode: a context is shown, the action of the same number pays 1, any other 0.

    The return of a random agent is 1/contexts on average, that of a perfect one 1.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, contexts: int = 4, render_mode: None = None) -> None:
        """Make the spaces.

        Args:
            contexts: how many, each with one right action; at least 2.
            render_mode: only None: there is nothing to see.

        Raises:
            ValueError: fewer than two contexts.
        """
        if not isinstance(contexts, int) or contexts < 2:
            raise ValueError(f"contexts must be a whole number of 2 or above, got {contexts!r}")
        self.contexts, self.render_mode = contexts, render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (contexts,), np.float32)
        self.action_space = spaces.Discrete(contexts)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a context and show it, one-hot: float32, [contexts]."""
        super().reset(seed=seed)
        self.context = int(self.np_random.integers(self.contexts))
        return self._show(self.context), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Pay for the action and end the episode; the last observation is blank."""
        return self._show(None), float(action == self.context), True, False, {}

    def _show(self, context: int | None) -> Observation:
        observation = np.zeros(self.contexts, np.float32)
        if context is not None:
            observation[context] = 1.0
        return observation
