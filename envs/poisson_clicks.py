"""Evidence accumulation: report which of two streams of clicks had more clicks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from tracerl.config import checks, forms
from tracerl.config.forms import whole

from . import drawing
from .episodic import Episodic, Observation

Clicks = np.ndarray[Any, np.dtype[np.bool_]]


class PoissonClicks(Episodic):
    """Left and right clicks, a silent gap, then a go cue at which the action must name the side with more clicks.

    The task of Brunton, Botvinick and Brody 2013 (Science 340, 95, https://doi.org/10.1126/science.1233912) in discrete
    time: each side clicks or not in every step, independently (Bernoulli), with the chances

        rate (1 + contrast) / 2  on the one side      rate (1 - contrast) / 2  on the other

    where the side and the contrast are sampled for every episode. An episode has ``evidence`` + ``gap`` + 1 steps.
    Actions before the cue have no effect. Action 0 is left, 1 is right.

    As in the paper, the reward is 1 for the side with more clicks, whatever the rates, and 0 for the other side. An
    agent that counts is always correct (return 1). Clicks are sampled again if both sides have equally many. The mean
    return of a random agent is 0.5.

    Noise adds or removes each click with its probability in the steps of evidence only, so observations stay binary and
    the gap stays silent. The reward depends on the clicks before noise. An agent that counts noisy clicks gets 0.95 on
    average with noise 0.05, 0.90 with 0.1 and 0.81 with 0.2, with defaults for other arguments.

    Left out from the paper: several clicks per step, adaptation, stereo clicks at the start, varying durations.
    """

    metadata: dict[str, Any] = {"render_modes": drawing.MODES, "render_fps": 10}

    def __init__(
        self,
        evidence: int = 20,
        gap: int = 5,
        rate: float = 0.4,
        contrast: float | Sequence[float] = (0.2, 0.8),
        noise: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        """Make the spaces.

        Args:
            evidence: env steps with clicks, at least 1.
            gap: silent env steps before the go cue.
            rate: clicks per env step over both sides, in [0.01, 1].
            contrast: difference of the rates over their sum, in [0, 1], or a range [low, high] of a uniform
                distribution. 0: equal rates, 1: all clicks on one side.
            noise: probability that a click of a step and side is removed or added, in [0, 0.5].
            render_mode: None, or ``rgb_array``: all observations so far (left, right, cue) above the last action.

        Raises:
            ConfigError: naming the invalid argument.
        """
        self.evidence, self.gap = checks.whole("evidence", evidence, 1), checks.whole("gap", gap, 0)
        self.rate = checks.number("rate", rate, "a number in [0.01, 1]", 0.01, 1.0)
        self.contrast = checks.span("contrast", contrast, "a number in [0, 1]", 0.0, 1.0, closed="[]")
        self.noise = checks.number("noise", noise, "a number in [0, 0.5]", 0.0, 0.5)
        self.render_mode = drawing.checked_mode(render_mode)
        self.observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Sample an episode and return its first observation, float32, [3]: left click, right click, go cue."""
        super().reset(seed=seed)
        clicks = self._draw_clicks()
        self.counts = clicks.sum(0)
        heard = clicks ^ (self.np_random.random(clicks.shape) < self.noise)
        self.heard = np.zeros((self.evidence + self.gap + 2, 3), np.float32)  # the last row: after the end
        self.heard[: self.evidence, :2] = heard
        self.heard[-2, 2] = 1.0
        return self.heard[0].copy(), {}

    def _draw_clicks(self) -> Clicks:
        """Sample the clicks of an episode, with different counts of the two sides: [evidence, 2]."""
        contrast = self.np_random.uniform(*self.contrast) * self.np_random.choice((-1, 1))
        chances = self.rate * (1 + contrast * np.array([1, -1])) / 2
        while True:
            clicks: Clicks = self.np_random.random((self.evidence, 2)) < chances
            if clicks[:, 0].sum() != clicks[:, 1].sum():
                return clicks

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance; the last step returns the reward and ends the episode with a zero observation.

        The last step's info has ``clicks``: how many there were on the left and on the right.
        """
        reward, over = self._advance(action, len(self.heard) - 1, int(self.counts.argmax()))
        info = {"clicks": tuple(self.counts.tolist())} if over else {}
        return self.heard[self.elapsed].copy(), reward, over, False, info

    def _fields(self) -> dict[str, Any]:
        return {
            "counts": forms.array((2,), "iu"),
            "heard": forms.array((self.evidence + self.gap + 2, 3), "f"),
            "elapsed": whole(0, self.evidence + self.gap + 1),
            **super()._fields(),
        }

    def _draw(self) -> drawing.Picture:
        """Draw all observations so far, time to the right, and the last action."""
        colours = drawing.shades(self.heard[:-1].T)  # [3, steps, 3]
        colours[:, self.elapsed + 1 :] = drawing.BACKGROUND
        return drawing.stacked(drawing.tiles(colours, side=8), self._draw_answer(side=24))
