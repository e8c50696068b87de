"""Loggers: where a lifetime's numbers go."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tracerl.config import checks
from tracerl.lifetime.loop import Callback
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average, bootstrap_interval, interquartile_mean, median_reached
from tracerl.nn.views import Numbers, changing
from tracerl.runs.logging.custom_scalars import GUIDE, SPREAD, Category, charts_of

if TYPE_CHECKING:
    from tracerl.runs.logging.images import Snapshots

_RESAMPLES = 1000  # of a point of the curve; the summary takes twice as many


class Place(NamedTuple):
    """Where a log stands, for a later part of the run to go on from."""

    file: str  # name of the event file
    size: int  # of it, in bytes
    steps: int  # env steps of all lifetimes together at its last point
    charts: Sequence[str] = ()  # titles of the charts declared so far


@dataclass(frozen=True)
class LoggedRun:
    """What a run tells its logger about itself."""

    folder: Path  # of the run
    settings: Mapping[str, Any] = field(default_factory=dict)  # hyperparameters by dotted name
    config: str = ""  # the resolved config as yaml
    steps: int = 1  # env steps of each lifetime
    lifetimes: int = 1  # how many lifetimes there are: of two or more, their spread is logged too
    # decays and thresholds of the newly initialised agent (``view.constants``); None: those at the first look.
    born: Mapping[str, Numbers] | None = None
    # where an earlier part of the run left off, to go on from: a ``Place``, or a list of its parts
    place: Sequence[Any] | None = None
    # what ``TensorBoardLog.capture`` returned there, as arrays by name.
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorBoard:
    """Log to TensorBoard; ``open`` starts the stream."""

    every: int  # env steps (per lifetime) between points of the curves
    # env steps between histograms, a share of the run where it is below 1; None: none
    histograms_every: float | None = None
    pictures_every: float | None = None  # the same of pictures
    picture_steps: int = 100  # consecutive env steps in a picture, no more than lie between two

    def __post_init__(self) -> None:
        checks.whole("every", self.every, 1)
        for name in ("histograms_every", "pictures_every"):
            _check_period(name, getattr(self, name))
        checks.whole("picture_steps", self.picture_steps, 1)

    def open(self, run: LoggedRun) -> "TensorBoardLog":
        """Start the event stream of a run, or go on with it."""
        return TensorBoardLog(self, run)


def _check_period(name: str, value: Any) -> None:
    if value is None or (isinstance(value, float) and 0 < value < 1):
        return
    if not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        problem = f"must be env steps, 1 or above, a share of the run between 0 and 1, or null, got {value!r}"
        raise checks.ConfigError(name, problem)


def _in_steps(period: float | None, steps: int) -> int:
    """Return a period in env steps; below 1 it is a share of the run's; 0: none."""
    if period is None:
        return 0
    return int(period) if period >= 1 else max(1, int(period * steps))


def _snapshots(settings: TensorBoard, run: LoggedRun) -> "Snapshots | None":
    """Return what takes the pictures, if any are to be taken."""
    every = _in_steps(settings.pictures_every, run.steps)
    if not every:
        return None
    from tracerl.runs.logging.images import Snapshots  # imports Pillow

    try:
        return Snapshots(every, settings.picture_steps, run.born, run.kept)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        print(f"warning: the picture that was being taken is lost: {error!r}", file=sys.stderr)
        return Snapshots(every, settings.picture_steps, run.born)


@dataclass(frozen=True)
class Silent:
    """Log nothing."""

    def open(self, run: LoggedRun) -> None:
        """Return None."""


class TensorBoardLog(Callback):
    """One event stream of a run: curves, histograms and pictures on schedules, settings and config at its start."""

    def __init__(self, settings: TensorBoard, run: LoggedRun) -> None:
        from tracerl.runs.logging.event_file import (
            open_events,  # imports TensorBoard, which runs that log nothing need not wait for
        )

        place = None if run.place is None else Place(*run.place)
        self.every = settings.every
        self._histograms_every = _in_steps(settings.histograms_every, run.steps)
        self._snapshots = _snapshots(settings, run)
        self._events, goes_on = open_events(run.folder, place and (place.file, place.size))
        self._time, self._steps = time.perf_counter(), place.steps if place else 0
        self._warned = self._told = False
        self._charts, self._tags = list(place.charts) if place and goes_on else [], set[str]()
        if goes_on:
            return
        self._events.hyperparameters(run.settings)
        self._events.text("config", "```yaml\n" + run.config + "```")
        self._events.text("about_these_pages", GUIDE)

    def place(self) -> Place:
        """Return where the log stands."""
        return Place(*self._events.place(), self._steps, self._charts)

    def capture(self) -> dict[str, Any]:
        """Return what a picture that is being taken is made of so far, as arrays by name; usually nothing."""
        return {} if self._snapshots is None else self._snapshots.capture()

    def next_call(self, step: int) -> int:
        """Return the env step after ``step`` at which something is due; see ``lifetime.next_call``."""
        due = [(step // self.every + 1) * self.every]
        if self._histograms_every:
            due.append(1 if step < 1 else (step // self._histograms_every + 1) * self._histograms_every)
        if self._snapshots is not None:
            due.append(self._snapshots.next_call(step))
        return min(due)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write what is due at this env step; every tag is in ``docs/tags.md``.

        A full disk costs what was to be written and one warning, not the run. Whether numbers diverge is for the
        divergence check of the loop to decide: one that is not finite is written as it is, with one warning.
        """
        step = steps_of_all(records)
        distributed = self._histograms_every > 0 and (step == 1 or step % self._histograms_every == 0)
        pictured = self._snapshots is not None and self._snapshots.next_call(step - 1) == step
        if step % self.every == 0 or not (distributed or pictured):  # a step that was not asked for is the last
            self._points(step, records, agent)
        if distributed:
            self._try(lambda: self._events.histograms(changing(agent), step))
        if pictured:
            self._pictures(step, records, agent)

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write the last points of the curves; see ``Schedule.call_at_end``."""
        self._points(steps_of_all(records), records, agent)

    def _points(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write a point of every curve in one event, and declare the charts that have something to show from now on."""
        steps = sum(record.step for record in records)
        if steps == self._steps:
            return
        values = dict(agent.diagnostics())
        self._tell_of_nonfinite(values, step)
        now = time.perf_counter()
        values["time/fps"] = (steps - self._steps) / (now - self._time)
        values.update(_rollout(records))
        values.update(_milestones(records))
        self._time, self._steps = now, steps
        self._try(lambda: self._events.scalars(values, step))
        if values.keys() != self._tags:
            self._tags = set(values)
            self._declare(charts_of(values), step)

    def _tell_of_nonfinite(self, values: Mapping[str, float], step: int) -> None:
        """Warn once of numbers that are not finite."""
        odd = [f"{tag} is {value}" for tag, value in values.items() if not math.isfinite(value)]
        if odd and not self._told:
            print(f"warning: the agent's {odd[0]} after {step:,} steps; the run goes on", file=sys.stderr)
            self._told = True

    def _declare(self, charts: Sequence[Category], step: int) -> None:
        """Declare charts, if there are more of them than before."""
        titles = [chart.title for category in charts for chart in category.charts]
        if not set(titles) <= set(self._charts):
            self._charts = titles
            self._try(lambda: self._events.layout(charts, step))

    def _pictures(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        from tracerl.recording.images import png

        assert self._snapshots is not None
        found = self._snapshots.call(step, records, agent)
        if found:
            pngs = {tag: (png(picture, exact=False), *picture.shape[1::-1]) for tag, picture in found.items()}
            self._try(lambda: self._events.images(pngs, step))

    def close(self, success: bool) -> None:
        """Mark how the run ended and close the file."""
        self._try(lambda: self._events.end_session(success))
        self._try(self._events.close)

    def _try(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write {self._events.path}: {error}; the run goes on", file=sys.stderr)
            self._warned = True


def _rollout(records: Sequence[Record]) -> dict[str, float]:
    """Return recent returns, by tag; of many lifetimes, with their spread. No returns before an episode ended."""
    values = {"rollout/reward_rate": average(record.reward_rate() for record in records)}
    returns = [record.mean_return(partial=True) for record in records if record.episodes]
    if not returns:
        return values
    values["rollout/ep_rew_mean"] = average(returns)
    values["rollout/ep_len_mean"] = average(record.mean_length() for record in records)
    if len(returns) > 1:
        spread = interquartile_mean(returns), *bootstrap_interval(returns, resamples=_RESAMPLES)
        values.update(zip(SPREAD, spread, strict=True))
    return values


def _milestones(records: Sequence[Record]) -> dict[str, float]:
    """Return when each milestone was reached, by tag: the median over lifetimes, and the share of those that did."""
    values = {}
    for i, milestone in enumerate(records[0].milestones):
        reached = [record.milestones[i].reached_at for record in records]
        middle = median_reached(reached)
        if middle is not None:
            values[f"milestones/{milestone.name}"] = float(middle)
        if len(records) > 1:
            values[f"milestones/{milestone.name}_lives"] = sum(step is not None for step in reached) / len(reached)
    return values
