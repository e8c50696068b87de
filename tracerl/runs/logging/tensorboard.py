"""Loggers of a run: TensorBoard, or none."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tracerl.config import checks
from tracerl.config.forms import fits, whole
from tracerl.lifetime.loop import Callback
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average, bootstrap_interval, interquartile_mean, median_reached
from tracerl.nn.views import Numbers, changing
from tracerl.runs.logging.custom_scalars import GUIDE, SPREAD, Chart, charts_of

if TYPE_CHECKING:
    from tracerl.runs.logging.images import Snapshots

_RESAMPLES = 1000  # bootstrap resamples per point of a curve; the summary uses twice as many


class ResumeOffset(NamedTuple):
    """The position in a log from which a later part of the run resumes."""

    file: str  # name of the event file
    size: int  # length of the file, bytes
    steps: int  # sum of the env steps of all lifetimes at the last point
    charts: Sequence[str] = ()  # titles of the charts declared so far


@dataclass(frozen=True)
class LoggedRun:
    """The data of a run that its logger needs."""

    folder: Path  # folder of the run
    settings: Mapping[str, Any] = field(default_factory=dict)  # hyperparameters by dotted name
    config: str = ""  # resolved config as yaml
    steps: int = 1  # env steps of each lifetime
    lifetimes: int = 1  # number of lifetimes; the spread of two or more is logged too
    # decays and thresholds of the initialised agent (``views.constants``); None: those at the first picture
    initial: Mapping[str, Numbers] | None = None
    # position in the log of an earlier part of the run: a ``ResumeOffset``, or a list of its fields
    resume_offset: Sequence[Any] | None = None
    # result of ``TensorBoardLog.capture`` in the earlier part, as arrays by name
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorBoard:
    """Log to TensorBoard; ``open`` starts the stream."""

    every: int  # env steps (per lifetime) between points of the curves
    # env steps between histograms, or a share of the run if below 1; None: no histograms
    histograms_every: float | None = None
    pictures_every: float | None = None  # the same for pictures
    picture_steps: int = 100  # consecutive env steps in a picture, at most ``pictures_every``

    def __post_init__(self) -> None:
        checks.whole("every", self.every, 1)
        for name in ("histograms_every", "pictures_every"):
            _check_period(name, getattr(self, name))
        checks.whole("picture_steps", self.picture_steps, 1)

    def open(self, run: LoggedRun) -> "TensorBoardLog":
        """Start or resume the event stream of a run."""
        return TensorBoardLog(self, run)


def _check_period(name: str, value: Any) -> None:
    is_share = isinstance(value, float) and 0 < value < 1
    if not (value is None or is_share or fits(whole(1), value)):
        problem = f"must be env steps, 1 or above, a share of the run between 0 and 1, or null, got {value!r}"
        raise checks.ConfigError(name, problem)


def _in_steps(period: float | None, steps: int) -> int:
    """Return a period in env steps. A period below 1 is a share of the run. None gives 0."""
    if period is None:
        return 0
    return int(period) if period >= 1 else max(1, int(period * steps))


def _snapshots(settings: TensorBoard, run: LoggedRun) -> "Snapshots | None":
    """Return the recorder of the pictures; None without pictures."""
    every = _in_steps(settings.pictures_every, run.steps)
    if not every:
        return None
    from tracerl.runs.logging.images import Snapshots  # imports Pillow

    try:
        return Snapshots(every, settings.picture_steps, run.initial, run.kept)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        print(f"warning: the unfinished picture is lost: {error!r}", file=sys.stderr)
        return Snapshots(every, settings.picture_steps, run.initial)


@dataclass(frozen=True)
class Silent:
    """Log nothing."""

    def open(self, run: LoggedRun) -> None:
        """Return None."""


class TensorBoardLog(Callback):
    """One event stream of a run: settings and config at the start, curves, histograms and pictures on schedules."""

    def __init__(self, settings: TensorBoard, run: LoggedRun) -> None:
        from tracerl.runs.logging.event_file import open_events  # imports TensorBoard, which is slow

        offset = None if run.resume_offset is None else ResumeOffset(*run.resume_offset)
        self.every = settings.every
        self._histograms_every = _in_steps(settings.histograms_every, run.steps)
        self._snapshots = _snapshots(settings, run)
        self._events, resumed = open_events(run.folder, offset and (offset.file, offset.size))
        self._time, self._steps = time.perf_counter(), offset.steps if offset else 0
        self._warned = self._warned_of_nonfinite = False
        self._charts, self._tags = list(offset.charts) if offset and resumed else [], set[str]()
        if resumed:
            return
        self._events.hyperparameters(run.settings)
        self._events.text("config", "```yaml\n" + run.config + "```")
        self._events.text("about_these_pages", GUIDE)

    def resume_offset(self) -> ResumeOffset:
        """Return the current position in the log."""
        return ResumeOffset(*self._events.offset(), self._steps, self._charts)

    def capture(self) -> dict[str, Any]:
        """Return the state of an unfinished picture as arrays by name; usually empty."""
        return {} if self._snapshots is None else self._snapshots.capture()

    def next_call(self, step: int) -> int:
        """Return the next env step after ``step`` at which data are logged; see ``Callback.next_call``."""
        due = [(step // self.every + 1) * self.every]
        if self._histograms_every:
            due.append(1 if step < 1 else (step // self._histograms_every + 1) * self._histograms_every)
        if self._snapshots is not None:
            due.append(self._snapshots.next_call(step))
        return min(due)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log the data due at this env step. ``docs/tags.md`` lists every tag.

        On a full disk data are lost with one warning, and the run continues. Non-finite numbers are logged with one
        warning. The divergence check of the loop decides whether the run ends.
        """
        step = steps_of_all(records)
        distributed = self._histograms_every > 0 and (step == 1 or step % self._histograms_every == 0)
        pictured = self._snapshots is not None and self._snapshots.next_call(step - 1) == step
        if step % self.every == 0 or not (distributed or pictured):  # an unscheduled call is at the last step
            self._points(step, records, agent)
        if distributed:
            self._try(lambda: self._events.histograms(changing(agent), step))
        if pictured:
            self._pictures(step, records, agent)

    def call_after_reset(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Replace the newest view of an unfinished picture; see ``Schedule.call_after_reset``."""
        if self._snapshots is not None:
            self._snapshots.replace_newest(agent)

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log the last points of the curves; see ``Schedule.call_at_end``."""
        self._points(steps_of_all(records), records, agent)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by tag in one event, and declare the charts of new tags."""
        self._try(lambda: self._events.scalars(values, step))
        if not values.keys() <= self._tags:
            self._tags |= values.keys()
            self._declare(charts_of(self._tags), step)

    def _points(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log a point of every curve in one event, and declare the charts of new tags."""
        steps = sum(record.step for record in records)
        if steps == self._steps:
            return
        values = dict(agent.diagnostics())
        self._warn_of_nonfinite(values, step)
        now = time.perf_counter()
        values["time/fps"] = (steps - self._steps) / (now - self._time)
        values.update(_rollout(records))
        values.update(_milestones(records))
        self._time, self._steps = now, steps
        self.scalars(values, step)

    def _warn_of_nonfinite(self, values: Mapping[str, float], step: int) -> None:
        """Warn once of numbers that are not finite."""
        odd = [f"{tag} is {value}" for tag, value in values.items() if not math.isfinite(value)]
        if odd and not self._warned_of_nonfinite:
            print(f"warning: the agent's {odd[0]} after {step:,} steps; the run continues", file=sys.stderr)
            self._warned_of_nonfinite = True

    def _declare(self, charts: Mapping[str, Sequence[Chart]], step: int) -> None:
        """Declare the charts if one of them is new."""
        titles = [chart.title for category in charts.values() for chart in category]
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
        """Log whether the run succeeded and close the file."""
        self._try(lambda: self._events.end_session(success))
        self._try(self._events.close)

    def _try(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write {self._events.path}: {error}; the run continues", file=sys.stderr)
            self._warned = True


def _rollout(records: Sequence[Record]) -> dict[str, float]:
    """Return recent returns by tag, with their spread for many lifetimes. Returns need an ended episode."""
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
    """Return the median env step at which lifetimes reached each milestone, and the share that did, by tag."""
    values = {}
    for i, milestone in enumerate(records[0].milestones):
        reached = [record.milestones[i].reached_at for record in records]
        middle = median_reached(reached)
        if middle is not None:
            values[f"milestones/{milestone.name}"] = float(middle)
        if len(records) > 1:
            values[f"milestones/{milestone.name}_lives"] = sum(step is not None for step in reached) / len(reached)
    return values
