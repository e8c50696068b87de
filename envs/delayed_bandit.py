"""A contextual bandit that pays late: needs credit over time."""

from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.config.forms import whole
from tracerl.lifetime.env_state import fields

from . import drawing
from .contextual_bandit import ContextualBandit
from .episodic import Observation


class DelayedBandit(ContextualBandit):
    """A contextual bandit whose first action is paid for after ``delay`` blank steps.

    What is done in the blank steps changes nothing, and nothing seen in them tells which action was taken: only a trace
    of the past can connect the reward with it. Returns are those of ``ContextualBandit``.
    """

    def __init__(self, contexts: int = 4, delay: int = 5, render_mode: str | None = None) -> None:
        """Make the spaces.

        Args:
            contexts: how many, each with one right action; at least 2.
            delay: blank env steps between the choice and its reward; an episode lasts ``delay`` + 1 steps.
            render_mode: None, or ``rgb_array``: what is seen above the first action, over the time that has passed.

        Raises:
            ConfigError: fewer than two contexts, a negative delay, or another render mode.
        """
        super().__init__(contexts, render_mode)
        self.delay = checks.whole("delay", delay, 0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a context and show it; see ``ContextualBandit.reset``."""
        self.elapsed = 0
        return super().reset(seed=seed, options=options)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Remember the first action; pay for it in the last step."""
        if self.elapsed == 0:
            self.named = int(action)
        over = self.elapsed == self.delay
        self.elapsed += 1
        if over:
            self.paid = float(self.named == self.context)
        return self._show(None), self.paid or 0.0, over, False, {}

    def _fields(self) -> fields.Fields:
        return {**super()._fields(), "elapsed": whole(0, self.delay + 1)}

    def _draw(self) -> drawing.Picture:
        picture = super()._draw()
        return drawing.stacked(picture, drawing.bar(self.elapsed / (self.delay + 1), picture.shape[1]))
