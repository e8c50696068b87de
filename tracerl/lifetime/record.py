"""Statistics of lifetimes so far, in constant memory."""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.moved import keep_names
from tracerl.lifetime.statistics import Keep

WINDOW = 100  # episodes in the reported return, and in the widest window of a milestone
RATE_WINDOW = 10_000  # env steps in the reported reward rate
MARK_EVERY = 1_000  # env steps between two marks of the rewards of a lifetime


@dataclass
class Milestone:
    """The env step at which the mean of the last ``window`` episode returns first reached ``threshold``.

    Attributes:
        name: as written in the env's yaml, such as ``w20>=475``.
        window: number of episodes in the mean.
        threshold: mean return to reach.
        reached_at: env step; None until reached.
    """

    name: str
    window: int
    threshold: float
    reached_at: int | None = None

    @classmethod
    def parse(cls, name: str) -> "Milestone":
        """Parse ``w<window>>=<return>``; a ConfigError for another form."""
        match = re.fullmatch(r"w(\d+)>=(-?\d+(?:\.\d+)?)", str(name))
        if match is None or not 1 <= int(match[1]) <= WINDOW:
            raise ConfigError("milestones", f"must look like w20>=475 with a window of 1 to {WINDOW}, got {name!r}")
        return cls(str(name), int(match[1]), float(match[2]))


@dataclass
class Record:
    """Running statistics of one lifetime.

    Attributes:
        milestones: milestones of the env, updated as they are reached.
        lifetime: index among the lifetimes of the run.
        keep: called with every ended episode, if given: lifetime, env step of its end, return, length.
        step: env steps so far.
        episodes: number of ended episodes.
        returns: undiscounted returns of the last 100 episodes.
        lengths: their lengths in env steps.
        episode_return: return of the running episode so far.
        episode_length: its length so far.
        earned: sum of the returns of all ended episodes.
        marks: env steps and the rewards earned up to them, over the window of the reward rate.
        frozen: whether the lifetime ended early because its numbers diverged.
    """

    milestones: Sequence[Milestone] = ()
    lifetime: int = 0
    keep: Keep | None = None
    step: int = 0
    episodes: int = 0
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    episode_return: float = 0.0
    episode_length: int = 0
    earned: float = 0.0
    marks: deque[tuple[int, float]] = field(
        default_factory=lambda: deque([(0, 0.0)], maxlen=RATE_WINDOW // MARK_EVERY + 1)
    )
    frozen: bool = False

    def add(self, reward: float) -> None:
        """Count one env step and its reward."""
        self.step += 1
        self.episode_return += reward
        self.episode_length += 1

    def end_episode(self) -> None:
        """End the running episode, and update the milestones."""
        self.returns.append(self.episode_return)
        self.lengths.append(self.episode_length)
        self.episodes += 1
        self.earned += self.episode_return
        if self.keep is not None:
            self.keep(self.lifetime, self.step, self.episode_return, self.episode_length)
        self.episode_return, self.episode_length = 0.0, 0
        for milestone in self.milestones:
            if milestone.reached_at is None and self.mean_return(milestone.window) >= milestone.threshold:
                milestone.reached_at = self.step

    def mean_return(self, window: int = WINDOW, partial: bool = False) -> float:
        """Return the mean of the last ``window`` returns; NaN if fewer episodes ended.

        Args:
            window: number of episodes, at most 100.
            partial: with fewer episodes, average those; NaN if there are none.

        Raises:
            ConfigError: ``window`` is another number.
        """
        checks.whole("window", window, 1, WINDOW)
        there = len(self.returns)
        if there == 0 or (there < window and not partial):
            return math.nan
        counted = min(there, window)
        return sum(islice(self.returns, there - counted, None)) / counted

    def mean_length(self) -> float:
        """Return the mean length of the last 100 episodes, in env steps; NaN before the first ended."""
        return sum(self.lengths) / len(self.lengths) if self.lengths else math.nan

    def mark(self) -> None:
        """Store the rewards so far. The window of ``reward_rate`` begins at such a mark."""
        if self.step > self.marks[-1][0]:
            self.marks.append((self.step, self.earned + self.episode_return))

    def reward_rate(self) -> float:
        """Return the mean reward per env step of the last 10,000 steps, or of all if fewer; NaN before the first.

        This is the performance of a lifetime that ends no episode (Sutton and Barto 2018, section 10.3). The window
        begins at a mark, so its length is exact up to the distance of two marks.
        """
        since, before = self.marks[0]
        steps = self.step - since
        return (self.earned + self.episode_return - before) / steps if steps else math.nan


def capture_records(records: Sequence[Record]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the state of records as arrays: one per counter, and one per lifetime and deque."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name in _COUNTERS:
        found[name] = np.array([getattr(record, name) for record in records])
    reached = [[m.reached_at or 0 for m in record.milestones] for record in records]
    found["reached"] = np.array(reached, np.int64).reshape(len(records), -1)  # 0: not reached
    for i, record in enumerate(records):
        found[f"returns.{i}"], found[f"lengths.{i}"] = np.array(record.returns, float), np.array(record.lengths, int)
        found[f"marks.{i}"] = np.array(record.marks, float)
    return found


def restore_records(records: Sequence[Record], state: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Restore the state that ``capture_records`` returned. The milestones are those of the env."""
    for i, record in enumerate(records):
        for name in _COUNTERS:
            setattr(record, name, state[name][i].item())
        for milestone, step in zip(record.milestones, state["reached"][i].tolist(), strict=True):
            milestone.reached_at = step or None
        marks = [(int(step), earned) for step, earned in state[f"marks.{i}"].tolist()]
        record.returns = deque(state[f"returns.{i}"].tolist(), WINDOW)
        record.lengths, record.marks = deque(state[f"lengths.{i}"].tolist(), WINDOW), deque(marks, record.marks.maxlen)


_COUNTERS = ("step", "episodes", "episode_return", "episode_length", "earned", "frozen")


def steps_of_all(records: Sequence[Record]) -> int:
    """Return the env steps that all lifetimes have taken, without frozen ones."""
    going_on = [record.step for record in records if not record.frozen]
    return min(going_on) if going_on else max(record.step for record in records)


class Marker:
    """A callback that marks the rewards of each lifetime."""

    every = MARK_EVERY

    def call(self, records: Sequence[Record], agent: object) -> None:
        """Mark the rewards of each lifetime; see ``Callback.call``."""
        for record in records:
            record.mark()


class VectorStatistics:
    """Running statistics of many lifetimes. Steps and rewards are added for all at once; episodes end one by one.

    Attributes:
        steps: env steps so far, int64, [lifetimes].
        frozen: lifetimes that ended early, bool, [lifetimes].
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = list(records)
        self.steps = np.array([record.step for record in records], np.int64)
        self.frozen = np.array([record.frozen for record in records])
        self._returns = np.array([record.episode_return for record in records])
        self._lengths = np.array([record.episode_length for record in records], np.int64)

    def step(self) -> int:
        """Return the env steps that all lifetimes have taken, without frozen ones."""
        return int(self.steps.min() if not self.frozen.any() else self.steps[~self.frozen].min())

    def freeze(self, lifetime: int) -> None:
        """Mark a lifetime as ended."""
        self.frozen[lifetime] = self._records[lifetime].frozen = True

    def add(self, rewards: np.ndarray[Any, Any], counted: np.ndarray[Any, Any], ended: np.ndarray[Any, Any]) -> None:
        """Count one env step.

        Args:
            rewards: float64, [lifetimes].
            counted: lifetimes that took the step, bool, [lifetimes].
            ended: lifetimes whose episode ended with it, bool, [lifetimes].
        """
        self.steps += counted
        self._lengths += counted
        self._returns += np.where(counted, rewards, 0.0)
        for i in np.flatnonzero(ended).tolist():
            self._write(i)
            self._records[i].end_episode()
        self._returns[ended] = 0
        self._lengths[ended] = 0

    def records(self) -> list[Record]:
        """Return the records, brought up to date."""
        for i in range(len(self._records)):
            self._write(i)
        return self._records

    def _write(self, i: int) -> None:
        record = self._records[i]
        record.step, record.episode_length = int(self.steps[i]), int(self._lengths[i])
        record.episode_return = float(self._returns[i])


keep_names(globals(), Tally="VectorStatistics", lived_by_all="steps_of_all")
