"""One trial of a search: a run with suggested settings, its reports and its value."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from optuna import TrialPruned
from optuna.trial import Trial

from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average
from tracerl.runs.execute import keep_traceback
from tracerl.runs.launch import RunEnded, RunOrigin, launch
from tracerl.search.results import ERROR
from tracerl.search.space import Space

PROCESS = "process"  # user attribute of a trial: id of its process


def _returns(records: Sequence[Record]) -> float:
    """Return the mean over lifetimes of the mean return of the last 100 episodes, as many as have ended."""
    return average(record.mean_return(partial=True) for record in records)


MEASURES: dict[str, Callable[[Sequence[Record]], float]] = {
    "return": _returns,  # at the end
    "area": _returns,  # averaged over the reports: the area under the learning curve
    "reward": lambda records: average(record.reward_rate() for record in records),  # per env step, of the last 10,000
}


class Reports:
    """A callback that reports the value of a run to its trial, and ends the run if the pruner says so.

    Attributes:
        every: env steps between two reports. The last report is at the last step, and does not prune.
        stopped: whether the run ends.
        value: newest value; NaN before the first.
        diverged: whether a lifetime has stopped because its numbers diverged.
    """

    def __init__(self, trial: Trial, objective: str, steps: int, every: int) -> None:
        self.every, self.stopped, self.value, self.diverged = every, False, math.nan, False
        self._trial, self._measure, self._steps = trial, MEASURES[objective], steps
        self._is_area, self._sum, self._reports, self._step = objective == "area", 0.0, 0, 0

    def call(self, records: Sequence[Record], agent: object) -> None:
        """Report once per step; see ``Callback.call``."""
        step = steps_of_all(records)
        if step <= self._step:
            return
        self._step, self.diverged = step, any(record.frozen for record in records)
        value = self._measure(records)
        if not math.isnan(value):  # no episode has ended
            self._sum, self._reports = self._sum + value, self._reports + 1
            self.value = self._sum / self._reports if self._is_area else value
            self._trial.report(self.value, step)
        self.stopped = self.diverged or (step < self._steps and self._trial.should_prune())


@dataclass(frozen=True)
class Objective:
    """The function that Optuna maximises.

    Attributes:
        space: the settings of the runs.
        folder: folder of the runs.
        measure: one of ``MEASURES``.
        steps: env steps per lifetime of a run.
        every: env steps between two reports.
        threads: of a run that does not set them; None: as many as the run takes by itself.
    """

    space: Space
    folder: Path
    measure: str
    steps: int
    every: int
    threads: int | None

    def __call__(self, trial: Trial) -> float:
        """Run a trial in its own folder and return its value.

        Raises:
            TrialPruned: the pruner ended it.
            KeyboardInterrupt: a signal ended it.
            Exception: it failed. The user attribute ``error`` of the trial has the reason.
        """
        trial.set_user_attr(PROCESS, os.getpid())
        try:
            return self._run(trial)
        except TrialPruned:
            raise
        except (Exception, KeyboardInterrupt) as error:
            trial.set_user_attr(ERROR, "interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
            raise

    def _run(self, trial: Trial) -> float:
        chosen = [axis.override(axis.suggest(trial)) for axis in self.space.axes]
        cfg, choices = self.space.compose(chosen)
        if self.threads is not None and cfg.threads is None:
            cfg.threads = self.threads
        reports = Reports(trial, self.measure, self.steps, self.every)
        folder = self.folder / str(trial.number)
        folder.mkdir(parents=True, exist_ok=True)
        origin = RunOrigin(folder, "--study", choices["agent"], self.space.overrides(chosen))
        with (folder / "output.txt").open("w", encoding="utf-8") as output:
            with redirect_stdout(output), redirect_stderr(output):
                try:
                    launch(cfg, origin, [reports])
                except Exception as error:
                    if not isinstance(error, RunEnded):  # its traceback is there already
                        keep_traceback(folder, error)
                    raise
        if reports.diverged:
            raise RunEnded("diverged: a lifetime stopped, because its numbers are not finite")
        if reports.stopped:
            raise TrialPruned
        if math.isnan(reports.value):
            raise RunEnded("no episode ended: --objective reward maximises the mean reward per env step")
        return reports.value
