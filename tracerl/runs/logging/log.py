"""The log of a run: which numbers are logged and when. Loggers write them: ``tensorboard``, ``csv_file``, ..."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.forms import fits, whole
from tracerl.lifetime.diagnostics import diagnostics_of, numbers_of, problem_of
from tracerl.lifetime.loop import ScheduledCallback, next_multiple
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average, count_reached, interquartile_mean, interval, median_reached
from tracerl.nn.views import changing
from tracerl.runs.logging.custom_scalars import SPREAD
from tracerl.runs.logging.writers import LoggedRun, Logger, Writers
from tracerl.runs.logging.writers import LogWriter as LogWriter  # loggers of users import it from here

if TYPE_CHECKING:
    from tracerl.runs.logging.images import Snapshots

_RESAMPLES = 1000  # bootstrap resamples per point of a curve; the summary uses twice as many


@dataclass(frozen=True)
class LogSchedule:
    """When a log is written."""

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


def _check_period(name: str, value: Any) -> None:
    is_share = isinstance(value, float) and 0 < value < 1
    if not (value is None or is_share or fits(whole(1), value)):
        problem = f"must be env steps, 1 or above, a share of the run between 0 and 1, or null, got {value!r}"
        raise ConfigError(name, problem)


def _in_steps(period: float | None, steps: int) -> int:
    """Return a period in env steps. A period below 1 is a share of the run. None gives 0."""
    if period is None:
        return 0
    return int(period) if period >= 1 else max(1, int(period * steps))


def _snapshots(schedule: LogSchedule, run: LoggedRun) -> "Snapshots | None":
    """Return the recorder of the pictures; None without pictures."""
    every = _in_steps(schedule.pictures_every, run.steps)
    if not every:
        return None
    from tracerl.runs.logging.images import Snapshots  # imports Pillow

    try:
        return Snapshots(every, schedule.picture_steps, run.initial, run.kept)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        print(f"warning: the unfinished picture is lost: {error!r}", file=sys.stderr)
        return Snapshots(every, schedule.picture_steps, run.initial)


class RunLog(ScheduledCallback):
    """The log of a run: curves, histograms and pictures on schedules, written by every logger.

    All loggers share one schedule, because the diagnostics of an agent are averages since they were last read.
    """

    def __init__(self, schedule: LogSchedule, run: LoggedRun, loggers: Mapping[str, Logger]) -> None:
        """Begin or resume the logs of all loggers.

        Raises:
            ConfigError: a logger has a setting that cannot be used, or returns no ``LogWriter``.
            LoggerFailed: a logger raised another error.
        """
        self.every = schedule.every
        self._histograms_every = _in_steps(schedule.histograms_every, run.steps)
        self._snapshots = _snapshots(schedule, run)
        before = run.resume_offset or {"steps": 0, "offsets": {}}
        self._others = {name: at for name, at in before["offsets"].items() if name not in loggers}
        self._writers = Writers(run, loggers, before["offsets"])
        self._time, self._steps, self._warned_of_nonfinite = time.perf_counter(), int(before["steps"]), False
        self._warned_of_diagnostics = False

    def resume_offset(self) -> dict[str, Any]:
        """Return where the log resumes: env steps of all lifetimes at the last point, and the offset of each logger."""
        return {"steps": self._steps, "offsets": {**self._others, **self._writers.offsets()}}

    def capture(self) -> dict[str, Any]:
        """Return the state of an unfinished picture as arrays by name; usually empty."""
        return {} if self._snapshots is None else self._snapshots.capture()

    def places(self) -> list[str]:
        """Return the commands and addresses that show the log."""
        return self._writers.places()

    def next_call(self, step: int) -> int:
        """Return the next env step after ``step`` at which data are logged; see ``ScheduledCallback.next_call``."""
        due = [next_multiple(step, self.every)]
        if self._histograms_every:
            due.append(1 if step < 1 else next_multiple(step, self._histograms_every))
        if self._snapshots is not None:
            due.append(self._snapshots.next_call(step))
        return min(due)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log the data due at this env step. ``docs/tags.md`` lists every tag.

        A failed write, such as on a full disk, is one warning, and the run continues; see ``LogWriter``.
        Non-finite numbers are logged with one warning. The divergence check of the loop decides whether the run ends.
        """
        step = steps_of_all(records)
        distributed = self._histograms_every > 0 and (step == 1 or step % self._histograms_every == 0)
        pictured = self._snapshots is not None and self._snapshots.next_call(step - 1) == step
        if step % self.every == 0 or not (distributed or pictured):  # an unscheduled call is at the last step
            self._points(step, records, agent)
        if distributed:
            arrays = changing(agent)
            self._writers.write("histograms", lambda writer: writer.histograms(dict(arrays), step))
        if pictured:
            assert self._snapshots is not None
            found = self._snapshots.call(step, records, agent)
            if found:
                self._writers.write("images", lambda writer: writer.images(dict(found), step))

    def call_after_reset(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Replace the newest view of an unfinished picture; see ``Schedule.call_after_reset``."""
        if self._snapshots is not None:
            self._snapshots.replace_newest(agent)

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log the last points of the curves; see ``Schedule.call_at_end``."""
        self._points(steps_of_all(records), records, agent)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by tag at an env step."""
        self._writers.write("scalars", lambda writer: writer.scalars(dict(values), step))

    def _points(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Log a point of every curve."""
        steps = sum(record.step for record in records)
        if steps == self._steps:
            return
        values = self._diagnostics(agent, step)
        self._warn_of_nonfinite(values, step)
        now = time.perf_counter()
        values["time/fps"] = (steps - self._steps) / (now - self._time)
        values.update(_rollout(records))
        values.update(_milestones(records))
        self._time, self._steps = now, steps
        self.scalars(values, step)

    def _diagnostics(self, agent: Agent | ManyAgents, step: int) -> dict[str, float]:
        """Return the agent's numbers by tag, with one warning of what is none."""
        found = diagnostics_of(agent)
        problem = problem_of(found)
        if problem is not None and not self._warned_of_diagnostics:
            print(f"warning: the agent's {problem} after {step:,} steps; the run continues", file=sys.stderr)
            self._warned_of_diagnostics = True
        return numbers_of(found)

    def _warn_of_nonfinite(self, values: Mapping[str, float], step: int) -> None:
        """Warn once of numbers that are not finite."""
        odd = [f"{tag} is {value}" for tag, value in values.items() if not math.isfinite(value)]
        if odd and not self._warned_of_nonfinite:
            print(f"warning: the agent's {odd[0]} after {step:,} steps; the run continues", file=sys.stderr)
            self._warned_of_nonfinite = True

    def close(self, success: bool, summary: Mapping[str, Any] | None = None) -> None:
        """Log the summary and whether the run succeeded, and close all logs."""
        self._writers.write("close", lambda writer: writer.close(success, summary or {}))


def _rollout(records: Sequence[Record]) -> dict[str, float]:
    """Return recent returns by tag, with their spread for many lifetimes. Returns need an ended episode."""
    values = {"rollout/reward_rate": average(record.reward_rate() for record in records)}
    returns = [record.mean_return(partial=True) for record in records if record.episodes]
    if not returns:
        return values
    values["rollout/ep_rew_mean"] = average(returns)
    values["rollout/ep_len_mean"] = average(record.mean_length() for record in records)
    low, high = interval(returns, resamples=_RESAMPLES)
    if low is not None and high is not None:
        values.update(zip(SPREAD, (interquartile_mean(returns), low, high), strict=True))
    elif len(returns) == len(records) > 1:  # a chart of three curves needs the points of all three at the same steps
        values[SPREAD[0]] = interquartile_mean(returns)
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
            values[f"milestones/{milestone.name}_lives"] = count_reached(reached) / len(reached)
    return values
