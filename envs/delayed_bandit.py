"""A contextual bandit that pays late: needs credit over time."""

from typing import Any

import numpy as np

from .contextual_bandit import ContextualBandit, Observation


class DelayedBandit(ContextualBandit):
    """A contextual bandit whose first action is paid for after ``delay`` blank steps.

    What is done in the blank steps changes nothing, and nothing seen in them tells which action was taken: only a trace
    of the past can connect the reward with it. Returns are those of ``ContextualBandit``.
    """

    def __init__(self, contexts: int = 4, delay: int = 5, render_mode: None = None) -> None:
        """Make the spaces.

        Args:
            contexts: how many, each with one right action; at least 2.
            delay: blank env steps between the choice and its reward; an episode lasts ``delay`` + 1 steps.
            render_mode: only None: there is nothing to see.

        Raises:
            ValueError: fewer than two contexts, or a negative delay.
        """
        super().__init__(contexts, render_mode)
        if not isinstance(delay, int) or delay < 0:
            raise ValueError(f"delay must be a whole number of 0 or above, got {delay!r}")
        self.delay = delay

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a context and show it; see ``ContextualBandit.reset``."""
        self.elapsed, self.earned = 0, 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Remember whether the first action was right; pay for it in the last step."""
        if self.elapsed == 0:
            self.earned = float(action == self.context)
        over = self.elapsed == self.delay
        self.elapsed += 1
        return self._show(None), self.earned if over else 0.0, over, False, {}
