"""The schedule and contents of a run's checkpoints, and resuming from one."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import ScheduledCallback, next_multiple
from tracerl.lifetime.protocol import Agent, ManyAgents, Stateful, is_stateful, reset_episode
from tracerl.lifetime.record import Record, capture_records, restore_records, steps_of_all
from tracerl.lifetime.runners import EnvRunner
from tracerl.lifetime.statistics import average
from tracerl.runs import saved
from tracerl.runs.checkpoint import BadCheckpoint, Checkpoint, names, newest_good, prune, read, write
from tracerl.runs.checkpoint.store import discard
from tracerl.runs.lock import callback_interval
from tracerl.runs.resume import check_same_settings
from tracerl.runs.run_info import RunInfo
from tracerl.runs.saved import CHECKPOINTS, SUMMARY
from tracerl.runs.versions import changed

if TYPE_CHECKING:
    from tracerl.runs.evaluations import Evaluations

# Errors of agents, envs and torch for a state of another shape or kind.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError)
Parts = Mapping[str, Mapping[str, Any]]  # tensors or arrays by part and name


@dataclass(frozen=True)
class CheckpointSettings:
    """The schedule and retention of checkpoints; see ``configs/run.yaml``."""

    every: int | None  # env steps of a lifetime between two checkpoints; None: use ``minutes``
    minutes: float | None  # minutes between two checkpoints; None with ``every`` None: no checkpoints at all
    keep_last: int  # number of newest checkpoints to keep
    keep_best: int  # number of checkpoints with the highest mean return to keep besides
    # ``return``: mean return of the last 100 episodes of learning. ``evaluation``: of an evaluation at that step
    best_by: str = "return"

    def __post_init__(self) -> None:
        if self.every is not None:
            checks.whole("every", self.every, 1)
        if self.minutes is not None:
            checks.positive("minutes", self.minutes)
        checks.whole("keep_last", self.keep_last, 1)
        checks.whole("keep_best", self.keep_best, 0)
        checks.choice("best_by", self.best_by, ("return", "evaluation"))

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect; see ``tracerl.config.ignored``."""
        if not self.wanted:
            return dict.fromkeys(("keep_last", "keep_best", "best_by"), "without checkpoints")
        return {} if self.every is None else {"minutes": "with checkpoint.every"}

    @property
    def wanted(self) -> bool:
        """Whether any is to be made."""
        return self.every is not None or self.minutes is not None


class Checkpoints(ScheduledCallback):
    """Write a checkpoint on a schedule, on a signal to end, at the end of the run, and after the env has failed.

    Where the best go by evaluations, one is also written after each evaluation that is better than all before in this
    part of the run. Only checkpoints of evaluated agents have a score then.

    On a full disk the checkpoint is lost with one warning, the run continues, and earlier checkpoints are kept.
    """

    first_at_end = True  # before callbacks that change the agent or the files at the end

    def __init__(
        self,
        settings: CheckpointSettings,
        folder: Path,
        steps: int,
        runner: EnvRunner,
        interrupted: Callable[[], bool],
        describe: Callable[[], Mapping[str, Any]],
        others: Callable[[], Parts] = dict,
        evaluations: "Evaluations | None" = None,
        written: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self.every = settings.every or callback_interval(steps)
        self._settings, self._root, self._steps = settings, folder / CHECKPOINTS, steps
        self._runner, self._interrupted, self._describe = runner, interrupted, describe
        self._others, self._due, self._best = others, 0, -math.inf
        self._written = written  # called with the folder of each new checkpoint
        self._evaluations = evaluations if settings.best_by == "evaluation" else None
        self._made, self._made_at, self._warned = -1, time.monotonic(), False

    def next_call(self, step: int) -> int:
        """Return the next step of the schedule or of an evaluation; see ``ScheduledCallback.next_call``."""
        self._due = next_multiple(step, self.every)
        if self._evaluations is None:
            return self._due
        return min(self._due, next_multiple(step, self._evaluations.every))

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write a checkpoint if one is due; see ``ScheduledCallback.call``."""
        step = steps_of_all(records)
        due = step >= self._steps or self._interrupted() or (self._settings.every is not None and step >= self._due)
        score = self._score(step, records)
        is_best = self._evaluations is not None and self._settings.keep_best > 0 and score > self._best
        if step == self._made or not (due or is_best or self._late()):
            return
        self._write(step, records, agent, score)

    def _write(
        self, step: int, records: Sequence[Record], agent: Agent | ManyAgents, score: float, failed: bool = False
    ) -> None:
        assert is_stateful(agent)
        try:
            path = self._make(step, records, agent, score, failed)
            self._made, self._made_at, self._best = step, time.monotonic(), max(self._best, score)
        except OSError as error:
            if not self._warned:
                problem = f"cannot write a checkpoint in {self._root}: {error}"
                print(f"warning: {problem}" + ("" if failed else "; the run continues"), file=sys.stderr)
            self._warned = True
            return
        self._written(path)

    def call_at_failure(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write a checkpoint without the state of an env that has failed: a run resumed there begins a new episode."""
        step = steps_of_all(records)
        if step not in (0, self._made):
            self._write(step, records, agent, self._score(step, records), failed=True)

    def _score(self, step: int, records: Sequence[Record]) -> float:
        """Return what the best are chosen by; minus infinity without an evaluation at this step."""
        if self._evaluations is not None:
            return self._evaluations.score(step)
        return average(record.mean_return(partial=True) for record in records)

    def _late(self) -> bool:
        return time.monotonic() - self._made_at > 60 * (self._settings.minutes or math.inf)

    def _failed(self) -> dict[str, Any]:
        """Return what is kept of an env that has failed."""
        return {"env": None, "statistics": self._runner.statistics()}

    def _make(self, step: int, records: Sequence[Record], agent: Stateful, score: float, failed: bool) -> Path:
        from tracerl.lifetime.env_state import split

        arrays, plain = split(self._failed() if failed else self._runner.capture())
        mine: Parts = {"agent": agent.capture(), "world": arrays, "records": capture_records(records)}
        info = {**self._describe(), "world": plain, "score": score if math.isfinite(score) else None}
        path = write(self._root, step, {**mine, **self._others()}, info)
        prune(self._root, self._settings.keep_last, self._settings.keep_best)
        return path


def find(folder: Path, resume: bool | str, settings: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint to resume a run from; None to start it.

    Args:
        folder: folder of the run.
        resume: False: start. True, ``auto`` or the folder: use the newest valid checkpoint. A checkpoint: use it.
        settings: settings of the run by dotted name.

    Raises:
        ConfigError: no existing checkpoint is valid, or the settings differ.
    """
    if resume is False:
        return None
    if names_checkpoint(folder, resume):
        try:
            found: Checkpoint | None = read(Path(str(resume)))
        except BadCheckpoint as error:
            raise ConfigError("resume", f"must name a sound checkpoint: {error}") from error
    else:
        found, passed_over = newest_good(folder / CHECKPOINTS)
        for message in passed_over:
            print(f"warning: {message}", file=sys.stderr)
        if found is None and passed_over:
            raise ConfigError("resume", f"finds no sound checkpoint in {folder / CHECKPOINTS}: {passed_over[-1]}")
    if found is not None:
        check_same_settings(RunInfo.of(found).settings, settings, folder)
    return found


def names_checkpoint(folder: Path, resume: bool | str) -> bool:
    """Return whether ``resume`` is a checkpoint, and not the folder of the run, a bool or ``auto``."""
    return isinstance(resume, str) and resume != "auto" and os.path.abspath(resume) != os.path.abspath(folder)


def forget_later(folder: Path, step: int) -> None:
    """Remove the checkpoints and the summary of later steps, which a run that goes back to a checkpoint has left.

    They would be the newest ones, and a resume would continue from them.
    """
    if int(saved.summary(folder).get("steps") or 0) > step:
        (folder / SUMMARY).unlink(missing_ok=True)
    root = folder / CHECKPOINTS
    discard(root, [path for path in names.checkpoints(root) if (names.step_of(path.name) or 0) > step])


def restore_run(
    checkpoint: Checkpoint, agent: Stateful, runner: EnvRunner, records: Sequence[Record], steps: int
) -> dict[str, Any]:
    """Restore new agents, env runners and records from a checkpoint, and print the step.

    If the state of the env does not fit (see ``EnvRunner.restore``) and steps are left, a new episode begins, and the
    agent drops the old one.

    Returns:
        State of the run's files: ``episodes``, ``log``, ``kept`` (of the log), ``seconds``, ``resumed``, and that of
        its ``callbacks``.

    Raises:
        ConfigError: the checkpoint does not fit the settings.
    """
    from tracerl.lifetime.env_state import join

    info, parts = RunInfo.of(checkpoint), checkpoint.parts
    try:
        agent.restore(parts["agent"])
        of_records = {name: tensor.numpy() for name, tensor in parts["records"].items()}
        _check_records(records, of_records)
        restore_records(records, of_records)
        arrays = {name: tensor.numpy() for name, tensor in parts["world"].items()}
        kept = runner.restore({**join(arrays, info.world), "step": checkpoint.step, "steps": steps})
        for lifetime, problem in (info.diverged or {}).items():
            runner.divergence.problems[checks.whole("diverged", int(lifetime), 0, len(records) - 1)] = problem
    except _UNFIT as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError("resume", f"cannot use the checkpoint at step {checkpoint.step:,}: {why}") from error
    new_episode = not kept and checkpoint.step < steps
    if new_episode:
        reset_episode(agent)
        for record in records:
            record.episode_return, record.episode_length = 0.0, 0
    print(f"resumed at step {checkpoint.step:,}" + (", with a new episode" if new_episode else ""), flush=True)
    if others := changed({**checkpoint.manifest["versions"], **(info.env_packages or {})}):
        problem = "the numbers can differ from those of a run without a break"
        print(f"warning: {problem}: {'; '.join(others)}", file=sys.stderr)
    kept_of_log = {name: tensor.numpy() for name, tensor in parts.get("log", {}).items()}
    resumed = [*info.resumed, {"step": checkpoint.step, "new_episode": new_episode}]
    files = {"episodes": info.episodes, "log": info.log, "kept": kept_of_log}
    return {**files, "seconds": info.seconds, "resumed": resumed, "callbacks": info.callbacks or {}}


def _check_records(records: Sequence[Record], state: Mapping[str, Any]) -> None:
    """Raise a ValueError if a state does not fit the records."""
    for name, mine in capture_records(records).items():
        if name not in state:
            raise ValueError(f"records.{name} is missing")
        theirs, of_lifetime = state[name], "." in name  # the first axis counts episodes or marks
        ours = mine.dtype, mine.ndim, mine.shape[of_lifetime:]
        if (theirs.dtype, theirs.ndim, theirs.shape[of_lifetime:]) != ours:
            came = f"{theirs.dtype} {list(theirs.shape)}"
            raise ValueError(f"records.{name} must be {mine.dtype} {list(mine.shape)}, got {came}")
