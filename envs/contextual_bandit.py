"""A contextual bandit with one step per episode: the smallest task that needs the observation."""

from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.config import checks
from tracerl.config.forms import whole

from . import drawing
from .episodic import Episodic, Observation


class ContextualBandit(Episodic):
    """One step per episode: the action with the index of the context has reward 1, any other 0.

    The mean return of a random agent is 1/contexts, that of an optimal one 1.
    """

    def __init__(self, contexts: int = 4, render_mode: str | None = None) -> None:
        """Make the spaces.

        Args:
            contexts: number of contexts, each with one correct action; at least 2.
            render_mode: None, or ``rgb_array``: the observation above the chosen action.

        Raises:
            ConfigError: fewer than two contexts, or another render mode.
        """
        self.contexts = checks.whole("contexts", contexts, 2)
        self.render_mode = drawing.checked_mode(render_mode)
        self.observation_space = spaces.Box(0.0, 1.0, (contexts,), np.float32)
        self.action_space = spaces.Discrete(contexts)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Sample a context and return it one-hot: float32, [contexts]."""
        super().reset(seed=seed)
        self.context = int(self.np_random.integers(self.contexts))
        return self._show(self.context), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Return the reward of the action and end the episode. The last observation is zero."""
        self.named, self.paid = int(action), float(action == self.context)
        return self._show(None), self.paid, True, False, {}

    def _show(self, context: int | None) -> Observation:
        observation: Observation = (np.arange(self.contexts) == context).astype(np.float32)
        return observation

    def _fields(self) -> dict[str, Any]:
        return {"context": whole(0, self.contexts - 1), **super()._fields()}

    def _draw(self) -> drawing.Picture:
        seen = self._show(self.context if self.named is None else None)
        return drawing.stacked(drawing.tiles(drawing.shades(seen[np.newaxis])), self._draw_answer())
