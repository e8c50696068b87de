"""A test of memory length: a cue, blank steps, then the recall of the cue."""

from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.config import checks
from tracerl.config.forms import whole

from . import drawing
from .episodic import Episodic, Observation


class MemoryChain(Episodic):
    """A cue in the first step, ``length`` blank steps, then a recall signal at which the action must name the cue.

    After the experiment on memory length of bsuite (Osband et al. 2020, https://arxiv.org/abs/1908.03568). An episode
    has ``length`` + 2 steps, and only its last action counts. No observation after the first one depends on the cue, so
    the agent must keep it in its state.

    The reward of a correct action is 1, of a wrong one 0, so that the mean return is the share of correct actions:
    1/cues for a random agent, 1 for an optimal one. bsuite has rewards +1 and -1. Also left out from bsuite are the
    clock in every observation (here only the recall signal depends on the time) and cues of several bits.
    """

    def __init__(self, length: int = 8, cues: int = 2, render_mode: str | None = None) -> None:
        """Make the spaces.

        Args:
            length: blank env steps between the cue and the recall signal.
            cues: number of cues, each with one correct action; at least 2.
            render_mode: None, or ``rgb_array``: observation (recall signal at the right), last action and elapsed time.

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
        """Sample a cue and return it: float32, [cues + 1], the cue one-hot, then the recall signal, which is 0."""
        super().reset(seed=seed)
        self.cue = int(self.np_random.integers(self.cues))
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance; the last step returns the reward and ends the episode with a zero observation."""
        reward, over = self._advance(action, self.length + 2, self.cue)
        return self._observe(), reward, over, False, {}

    def _observe(self) -> Observation:
        observation = np.zeros(self.cues + 1, np.float32)
        if self.elapsed == 0:
            observation[self.cue] = 1.0
        elif self.elapsed == self.length + 1:
            observation[-1] = 1.0
        return observation

    def _fields(self) -> dict[str, Any]:
        return {"cue": whole(0, self.cues - 1), "elapsed": whole(0), **super()._fields()}

    def _draw(self) -> drawing.Picture:
        seen = drawing.tiles(drawing.shades(self._observe()[np.newaxis]))
        time = drawing.bar(self.elapsed / (self.length + 2), seen.shape[1])
        return drawing.stacked(seen, self._draw_answer(), time)
