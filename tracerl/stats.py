"""What a life has earned so far, in constant memory."""

import math
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tracerl.checks import ConfigError

WINDOW = 100  # episodes: the widest window a milestone may ask for, and that of the reported return


@dataclass
class Milestone:
    """The env step at which the mean of the last ``window`` episode returns first reached ``threshold``.

    Attributes:
        name: as written in the env's yaml, e.g. ``w20>=475``.
        window: episodes averaged.
        threshold: mean return to reach.
        reached_at: env step, None until reached.
    """

    name: str
    window: int
    threshold: float
    reached_at: int | None = None

    @classmethod
    def parse(cls, name: str) -> "Milestone":
        """Read ``w<window>>=<return>``.

        Raises:
            ConfigError: it is not of that form.
        """
        match = re.fullmatch(r"w(\d+)>=(-?\d+(?:\.\d+)?)", str(name))
        if match is None or not 1 <= int(match[1]) <= WINDOW:
            raise ConfigError("milestones", f"must look like w20>=475 with a window of 1 to {WINDOW}, got {name!r}")
        return cls(str(name), int(match[1]), float(match[2]))


@dataclass
class Record:
    """Running statistics of one life.

    Attributes:
        milestones: those of the env, filled in as they are reached.
        step: env steps lived.
        episodes: episodes ended.
        returns: undiscounted returns of the last 100 episodes.
        lengths: their lengths in env steps.
        episode_return: return of the running episode so far.
        episode_length: its length so far.
    """

    milestones: Sequence[Milestone] = ()
    step: int = 0
    episodes: int = 0
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    episode_return: float = 0.0
    episode_length: int = 0

    def add(self, reward: float) -> None:
        """Count one env step and its reward."""
        self.step += 1
        self.episode_return += reward
        self.episode_length += 1

    def end_episode(self) -> None:
        """Close the running episode, and note milestones reached with it."""
        self.returns.append(self.episode_return)
        self.lengths.append(self.episode_length)
        self.episodes += 1
        self.episode_return, self.episode_length = 0.0, 0
        for milestone in self.milestones:
            if milestone.reached_at is None and self.mean_return(milestone.window) >= milestone.threshold:
                milestone.reached_at = self.step

    def mean_return(self, window: int = WINDOW, partial: bool = False) -> float:
        """Return the mean of the last ``window`` returns.

        Args:
            window: episodes, at most 100.
            partial: with fewer episodes than that, average what there is.

        Returns:
            NaN while there is nothing to average.
        """
        if not self.returns or (len(self.returns) < window and not partial):
            return math.nan
        return float(np.mean(list(self.returns)[-window:]))

    def mean_length(self) -> float:
        """Return the mean length of the last 100 episodes, in env steps; NaN before the first ended."""
        return float(np.mean(self.lengths)) if self.lengths else math.nan


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half, the outermost values that it cuts weighted by their share.

    Agarwal et al. 2021 (https://arxiv.org/abs/2108.13264), section 4.3.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    edges = np.arange(n + 1) / n
    weights = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return float(np.average(ordered, weights=weights))


def bootstrap_interval(values: Sequence[float], level: float = 0.95, resamples: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap interval of the interquartile mean, from a fixed seed.

    Args:
        values: one per life; at least two.
        level: coverage.
        resamples: bootstrap samples.
    """
    data = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(len(data), size=(resamples, len(data)))
    means = [interquartile_mean(data[pick]) for pick in picks]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
