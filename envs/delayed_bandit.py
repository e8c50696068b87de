"""A contextual bandit with delayed reward, a test of temporal credit assignment."""

from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.config.forms import whole

from . import drawing
from .contextual_bandit import ContextualBandit
from .episodic import Observation


class DelayedBandit(ContextualBandit):
    """A contextual bandit with the reward of the first action after ``delay`` blank steps.

    Actions in the blank steps have no effect, and their observations do not depend on the first action. Only a trace of
    the past can assign the reward to it. Returns are those of ``ContextualBandit``.
    """

    def __init__(self, contexts: int = 4, delay: int = 5, render_mode: str | None = None) -> None:
        """Make the spaces.

        Args:
            contexts: number of contexts, each with one correct action; at least 2.
            delay: blank env steps between the action and its reward. An episode has ``delay`` + 1 steps.
            render_mode: None, or ``rgb_array``: observation, first action and elapsed time.

        Raises:
            ConfigError: fewer than two contexts, a negative delay, or another render mode.
        """
        super().__init__(contexts, render_mode)
        self.delay = checks.whole("delay", delay, 0)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Store the first action, and return its reward in the last step."""
        if self.elapsed == 0:
            self.named = int(action)
        over = self.elapsed == self.delay
        self.elapsed += 1
        if over:
            self.paid = float(self.named == self.context)
        return self._show(None), self.paid or 0.0, over, False, {}

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "elapsed": whole(0, self.delay + 1)}

    def _draw(self) -> drawing.Picture:
        picture = super()._draw()
        return drawing.stacked(picture, drawing.bar(self.elapsed / (self.delay + 1), picture.shape[1]))
