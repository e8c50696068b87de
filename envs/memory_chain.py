"""A test of memory length: a cue, blank steps, then the question which cue it was."""

from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.config import checks
from tracerl.config.forms import optional, real, whole
from tracerl.lifetime.env_state import fields

from . import drawing
from .episodic import Episodic, Observation


class MemoryChain(Episodic):
    """A cue in the first step, ``length`` blank steps, a recall signal: the action that answers it names the cue.

    After the experiment on memory length of bsuite (Osband et al. 2020, https://arxiv.org/abs/1908.03568). An episode
    lasts ``length`` + 2 steps; only its last action counts. No observation after the first one says which cue it was:
    only the agent's own state can.

    The right answer pays 1, a wrong one 0, so that a mean return is the share of right answers: 1/cues for a random
    agent, 1 for one with memory. bsuite pays +1 and -1. Left out from bsuite: the clock in every observation (here
    only the recall signal depends on the time), and cues of several bits of which one is asked for.
    """

    metadata: dict[str, Any] = {"render_modes": drawing.MODES, "render_fps": 4}

    def __init__(self, length: int = 8, cues: int = 2, render_mode: str | None = None) -> None:
        """Make the spaces.

        Args:
            length: blank env steps between the cue and the recall signal.
            cues: how many, each with one right action; at least 2.
            render_mode: None, or ``rgb_array``: what is seen, the recall signal on the right, above the newest action,
                over the time that has passed.

        Raises:
            ConfigError: a negative length, fewer than two cues, or another render mode.
        """
        self.length = checks.whole("length", length, 0)
        self.cues = checks.whole("cues", cues, 2)
        self.render_mode = drawing.checked_mode(render_mode)
        self.observation_space = spaces.Box(0.0, 1.0, (cues + 1,), np.float32)
        self.action_space = spaces.Discrete(cues)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a cue and show it: float32, [cues + 1], the cue one-hot, then the recall signal, which is 0."""
        super().reset(seed=seed)
        self.cue, self.elapsed = int(self.np_random.integers(self.cues)), 0
        self.named: int | None = None
        self.paid: float | None = None
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance; pay for the action that answers the recall signal and end the episode with a blank observation."""
        self.elapsed += 1
        self.named = int(action)
        over = self.elapsed == self.length + 2
        if over:
            self.paid = float(self.named == self.cue)
        return self._observe(), self.paid or 0.0, over, False, {}

    def _observe(self) -> Observation:
        observation = np.zeros(self.cues + 1, np.float32)
        if self.elapsed == 0:
            observation[self.cue] = 1.0
        elif self.elapsed == self.length + 1:
            observation[-1] = 1.0
        return observation

    def _fields(self) -> fields.Fields:
        return {
            "cue": whole(0, self.cues - 1),
            "elapsed": whole(0),
            "named": optional(whole(0, self.cues - 1)),
            "paid": optional(real),
        }

    def render(self) -> drawing.Picture | None:
        """Draw what is seen, what was named last and the time passed; None without a render mode."""
        if self.render_mode is None:
            return None
        seen = drawing.tiles(drawing.shades(self._observe()[np.newaxis]))
        time = drawing.bar(self.elapsed / (self.length + 2), seen.shape[1])
        return drawing.stacked(seen, drawing.answer(self.cues, self.named, self.paid), time)
