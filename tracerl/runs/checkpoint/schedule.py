"""Checkpoints of a run: when they are made, what goes in, and how a run goes on from one."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import Callback
from tracerl.lifetime.protocol import Agent, ManyAgents, Stateful
from tracerl.lifetime.record import Record, capture_records, restore_records, steps_of_all
from tracerl.lifetime.runners import EnvRunner
from tracerl.lifetime.statistics import average
from tracerl.runs.checkpoint import BadCheckpoint, Checkpoint, newest_good, prune, read, write
from tracerl.runs.lock import look_every
from tracerl.runs.resume import refuse_other
from tracerl.runs.run_info import RunInfo
from tracerl.runs.saved import CHECKPOINTS

FOLDER = CHECKPOINTS  # in the run's folder
Parts = Mapping[str, Mapping[str, Any]]  # tensors or arrays by part and name


@dataclass(frozen=True)
class CheckpointSettings:
    """When checkpoints are made and which stay; see ``configs/run.yaml``."""

    every: int | None  # env steps of a lifetime between two; None: by time
    minutes: float | None  # between two; None as well as ``every``: none at all, not even at the end
    keep_last: int  # how many of the newest stay
    keep_best: int  # how many of those with the highest mean return stay beside them

    def __post_init__(self) -> None:
        if self.every is not None:
            checks.whole("every", self.every, 1)
        if self.minutes is not None:
            checks.positive("minutes", self.minutes)
        checks.whole("keep_last", self.keep_last, 1)
        checks.whole("keep_best", self.keep_best, 0)

    @property
    def wanted(self) -> bool:
        """Whether any is to be made."""
        return self.every is not None or self.minutes is not None


class Checkpoints(Callback):
    """Make a checkpoint on a schedule, when the run is asked to end, and at its end.

    A full disk costs the checkpoint and one warning, not the run; the earlier ones stay.
    """

    def __init__(
        self,
        settings: CheckpointSettings,
        folder: Path,
        steps: int,
        runner: EnvRunner,
        interrupted: Callable[[], bool],
        describe: Callable[[], Mapping[str, Any]],
        others: Callable[[], Parts] = dict,
    ) -> None:
        self.every = settings.every or look_every(steps)
        self._settings, self._root, self._steps = settings, folder / FOLDER, steps
        self._runner, self._interrupted, self._describe = runner, interrupted, describe
        self._others = others
        self._made, self._made_at, self._warned = -1, time.monotonic(), False

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Make one, if it is time; see ``Callback.call``."""
        step = steps_of_all(records)
        ending = step >= self._steps or self._interrupted()
        if step == self._made or not (ending or self._settings.every or self._late()):
            return
        assert isinstance(agent, Stateful)
        try:
            self._make(step, records, agent)
            self._made, self._made_at = step, time.monotonic()
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write a checkpoint in {self._root}: {error}; the run goes on", file=sys.stderr)
            self._warned = True

    def _late(self) -> bool:
        return time.monotonic() - self._made_at > 60 * (self._settings.minutes or math.inf)

    def _make(self, step: int, records: Sequence[Record], agent: Stateful) -> None:
        from tracerl.lifetime.env_state import split

        arrays, plain = split(self._runner.capture())
        mine: Parts = {"agent": agent.capture(), "world": arrays, "records": capture_records(records)}
        score = average(record.mean_return(partial=True) for record in records)
        info = {**self._describe(), "world": plain, "score": None if math.isnan(score) else score}
        write(self._root, step, {**mine, **self._others()}, info)
        prune(self._root, self._settings.keep_last, self._settings.keep_best)


def find(folder: Path, resume: bool | str, settings: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint that a run in a folder goes on from; None where it begins.

    Args:
        folder: of the run.
        resume: false: begin. True, ``auto`` or the folder itself: the newest that is sound. A checkpoint: that one.
        settings: of the run, by dotted name.

    Raises:
        ConfigError: there are checkpoints and none can be read, or it is of a run with other settings.
    """
    if resume is False:
        return None
    if isinstance(resume, str) and resume != "auto" and Path(resume) != folder:
        try:
            found: Checkpoint | None = read(Path(resume))
        except BadCheckpoint as error:
            raise ConfigError("resume", f"must name a sound checkpoint: {error}") from error
    else:
        found, passed_over = newest_good(folder / FOLDER)
        for message in passed_over:
            print(f"warning: {message}", file=sys.stderr)
        if found is None and passed_over:
            raise ConfigError("resume", f"finds no sound checkpoint in {folder / FOLDER}: {passed_over[-1]}")
    if found is not None:
        refuse_other(RunInfo.of(found).settings, settings, folder)
    return found


def take_up(
    checkpoint: Checkpoint, agent: Stateful, runner: EnvRunner, records: Sequence[Record], steps: int
) -> dict[str, Any]:
    """Bring agent, env runner and records, all newly built, to the state of a checkpoint, and print so.

    Where the env could not be kept and there are ``steps`` to come, a new episode begins, of which the agent is told.

    Returns:
        What the files of the run need to go on: ``episodes``, ``log``, ``kept`` (of the log), ``seconds``, ``resumed``.

    Raises:
        ConfigError: the checkpoint is of a run of other settings.
    """
    info = RunInfo.of(checkpoint)
    try:
        kept = _take_up(checkpoint, info.world, agent, runner, records)
    except _UNFIT as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError("resume", f"cannot use the checkpoint at step {checkpoint.step:,}: {why}") from error
    anew = not kept and checkpoint.step < steps
    if anew:
        agent.abandon()
        for record in records:
            record.episode_return, record.episode_length = 0.0, 0
    print(f"resumed at step {checkpoint.step:,}" + (", with a new episode" if anew else ""), flush=True)
    kept_of_log = {name: tensor.numpy() for name, tensor in checkpoint.parts.get("log", {}).items()}
    resumed = [*info.resumed, {"step": checkpoint.step, "new_episode": anew}]
    files = {"episodes": info.episodes, "log": info.log, "kept": kept_of_log}
    return {**files, "seconds": info.seconds, "resumed": resumed}


# What agents, envs and torch raise where they are given a state that is not theirs.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError)


def _take_up(
    checkpoint: Checkpoint, state: dict[str, Any], agent: Stateful, runner: EnvRunner, records: Sequence[Record]
) -> bool:
    from tracerl.lifetime.env_state import join

    parts = checkpoint.parts
    agent.restore(parts["agent"])
    of_records = {name: tensor.numpy() for name, tensor in parts["records"].items()}
    _check_records(records, of_records)
    restore_records(records, of_records)
    arrays = {name: tensor.numpy() for name, tensor in parts["world"].items()}
    return runner.restore({**join(arrays, state), "step": checkpoint.step})


def _check_records(records: Sequence[Record], state: Mapping[str, Any]) -> None:
    """Raise a ValueError where a state is not that of as many records."""
    for name, mine in capture_records(records).items():
        if name not in state:
            raise ValueError(f"records.{name} is missing")
        theirs, of_lifetime = state[name], "." in name  # whose first axis is of episodes or marks
        if (
            theirs.dtype != mine.dtype
            or theirs.ndim != mine.ndim
            or theirs.shape[of_lifetime:] != mine.shape[of_lifetime:]
        ):
            came = f"{theirs.dtype} {list(theirs.shape)}"
            raise ValueError(f"records.{name} must be {mine.dtype} {list(mine.shape)}, got {came}")
