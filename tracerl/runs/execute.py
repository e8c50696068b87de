"""Execute one run: its lifetimes, logs, progress bar, checkpoints and summary."""

import json
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config.checks import ConfigError, described
from tracerl.lifetime.callbacks import CallbackFailed, Events
from tracerl.lifetime.env_closing import close_env
from tracerl.lifetime.equal_rewards import reward_check
from tracerl.lifetime.first_steps import FirstStepsCheck
from tracerl.lifetime.loop import Diverged, EnvFailed, ScheduledCallback
from tracerl.lifetime.protocol import Agent, ManyAgents, is_stateful
from tracerl.lifetime.record import Marker, Record, steps_of_all
from tracerl.lifetime.runners import EnvRunner
from tracerl.lifetime.statistics import counted
from tracerl.runs.checkpoint import write
from tracerl.runs.checkpoint.schedule import Checkpoints, CheckpointSettings
from tracerl.runs.files import write_atomic
from tracerl.runs.lock import RunLock
from tracerl.runs.logging.episodes import EpisodeLog
from tracerl.runs.logging.progress import LongRunWarning, ProgressBar
from tracerl.runs.logging.writers import LoggerFailed
from tracerl.runs.signals import DeferredInterrupt
from tracerl.runs.summary import Outcome, seeds_in_words, summarize, write_json
from tracerl.runs.versions import of_envs

if TYPE_CHECKING:
    from tracerl.runs.evaluations import Evaluations
    from tracerl.runs.logging.log import RunLog

_ENDINGS = (EnvFailed, Diverged, CallbackFailed, LoggerFailed)  # failures that end a run and not the process


@dataclass(frozen=True)
class Setup:
    """The parts of a run."""

    about: Outcome  # env, agent, device and seed, for the summary
    agent: Agent | ManyAgents  # agent of one lifetime, or the agents of many
    runner: EnvRunner  # the envs of all lifetimes
    records: list[Record]  # one per lifetime, with the env's milestones
    steps: int  # env steps per lifetime
    folder: Path  # writable folder of the run
    log: "RunLog | None"  # what the loggers write, if there is one
    episodes: EpisodeLog  # log of every episode
    run_lock: RunLock  # lock on the folder; acquired and released by the caller
    interrupted: DeferredInterrupt  # records signals that end the run
    evaluations: "Evaluations | None"  # evaluations during the run
    events: Events  # the user's callbacks
    checkpoints: CheckpointSettings | None  # schedule of checkpoints; None: no checkpoints
    kept: Mapping[str, Any]  # contents of every checkpoint: settings by dotted name, config as yaml, overrides
    seconds: float = 0.0  # duration of earlier parts of the run
    resumed: Sequence[Mapping[str, Any]] = ()  # env step of each resume, and whether it began a new episode


def run(setup: Setup) -> dict[str, Any]:
    """Run the lifetimes and write ``summary.json``, also after a failure.

    A failing env, agent or part, diverging numbers and a call of ``sys.exit`` end the run, not the process. The summary
    holds the error, and ``error.txt`` the traceback. A signal is recorded until the summary is written.

    Raises:
        InUse: another run has taken over the folder. Nothing more is written.
        ConfigError: a part cannot be used, which its first step has shown. The summary is written.
    """
    with setup.interrupted:  # also while the files are closed
        return _execute(setup)


def _execute(setup: Setup) -> dict[str, Any]:
    title = f"{setup.about.env} {setup.about.agent} {seeds_in_words(setup.about.seed, len(setup.records))}"
    started = time.perf_counter()
    status, error = "failed", None
    try:
        with ProgressBar(title, setup.steps, setup.records) as progress:
            logs = [] if setup.log is None else [setup.log]
            # The marker runs before the other callbacks, the checkpoints after them.
            checks: list[ScheduledCallback] = [*reward_check(setup.agent), FirstStepsCheck()]
            others = [*checks, *logs, progress, LongRunWarning(setup.steps), setup.run_lock]
            others += [] if setup.evaluations is None else [setup.evaluations]
            others += [*setup.events.scheduled, setup.events]
            callbacks: list[ScheduledCallback] = [Marker(), *others, *_checkpoints(setup, started)]
            status = _take_steps(setup, callbacks)
    except KeyboardInterrupt:
        status = "interrupted"
        setup.events.end(status)
    except BaseException as failure:
        status = "diverged" if isinstance(failure, Diverged) else "failed"
        setup.events.end(status)
        error = describe(failure)
        if isinstance(failure, Exception) and not isinstance(failure, (*_ENDINGS, ConfigError)):
            error += _place(failure) + f" after {counted(max(record.step for record in setup.records), 'env step')}"
        if not setup.run_lock.lost:
            keep_traceback(setup.folder, failure)
        if isinstance(failure, (ConfigError, GeneratorExit)):
            raise  # other failures, such as sys.exit in the code of an agent, end the run, not the process
    finally:
        if setup.run_lock.lost:  # the folder belongs to another run now
            setup.episodes.discard()
            close_env(setup.runner)
        else:
            summary = _close(setup, status, error, setup.seconds + time.perf_counter() - started)
    setup.run_lock.check()
    return summary


def _take_steps(setup: Setup, callbacks: Sequence[ScheduledCallback]) -> str:
    """Take the env steps, with the callbacks of the user, and return how they ended.

    After an error in a callback, as after a signal, the env step is completed and a checkpoint is written. After an
    error of the env, a checkpoint of the last complete env step is written, without the state of the env.

    Raises:
        EnvFailed: the env raised an exception, or returned values outside its spaces.
        CallbackFailed: a callback raised an exception.
    """
    events, interrupted = setup.events, setup.interrupted
    events.start()
    if events.failure is None:
        try:
            ending = setup.runner.run(setup.agent, setup.steps, setup.records, callbacks, _ends(setup))
        except EnvFailed:
            _save_what_was_learned(setup, callbacks)
            raise
        status = "finished" if events.run.stopped is not None and not interrupted() else ending
        events.end("failed" if events.failure is not None else status)
    if events.failure is not None:
        raise events.failure
    if events.run.stopped is not None:
        taken = counted(events.run.step, "step")
        print(f"stopped by callbacks.{events.run.stopped} after {taken}", file=sys.stderr)
    return status


def _save_what_was_learned(setup: Setup, callbacks: Sequence[ScheduledCallback]) -> None:
    """Write a checkpoint of the last complete env step, after which the env has failed."""
    for callback in callbacks:
        if isinstance(callback, Checkpoints) and not setup.run_lock.lost:
            callback.call_at_failure(setup.records, setup.agent)
    if setup.events.failure is not None:  # the failure of the env ends the run
        print(f"warning: {describe(setup.events.failure)}", file=sys.stderr)


def _ends(setup: Setup) -> Callable[[], bool]:
    """Return a function that returns whether a signal or a callback ends the run."""
    interrupted, events = setup.interrupted, setup.events
    return lambda: interrupted() or events.stopping


def _checkpoints(setup: Setup, started: float) -> list[ScheduledCallback]:
    """Return the callback that writes checkpoints; none without a schedule."""
    if setup.checkpoints is None:
        return []
    always = {**setup.kept, "env_packages": of_envs()}

    def describe() -> dict[str, Any]:
        return {
            **always,
            "seconds": setup.seconds + time.perf_counter() - started,
            "episodes": setup.episodes.flush(),
            "log": None if setup.log is None else setup.log.resume_offset(),
            "resumed": setup.resumed,
            "callbacks": setup.events.capture(),
            "diverged": {str(lifetime): text for lifetime, text in setup.runner.divergence.problems.items()},
        }

    def others() -> dict[str, Mapping[str, Any]]:
        unwritten = {} if setup.log is None else setup.log.capture()
        return {"log": unwritten} if unwritten else {}

    folder, steps = setup.folder, setup.steps
    parts = setup.runner, _ends(setup), describe, others, setup.evaluations, setup.events.checkpoint
    return [Checkpoints(setup.checkpoints, folder, steps, *parts)]


def describe(failure: BaseException) -> str:
    """Return a failure and its cause, if any, in one line."""
    if not isinstance(failure, _ENDINGS):
        return described(failure)
    cause = failure.__cause__
    return str(failure) if cause is None or isinstance(failure, EnvFailed) else f"{failure}: {described(cause)}"


def _place(error: Exception) -> str:
    """Return in words where the user's own code raised an error or called what raised it; empty without such code."""
    others = sysconfig.get_paths()["stdlib"], "site-packages", "dist-packages"
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] != "tracerl" and not any(each in file for each in others):
            found = f" in {frame.f_code.co_qualname} ({Path(file).name}, line {line})"
    return found


def _close(setup: Setup, status: str, error: str | None, seconds: float) -> dict[str, Any]:
    """Close logs and envs and write the summary."""
    setup.episodes.close()
    outcome = replace(setup.about, wall_seconds=seconds, status=status, error=error)
    problems = setup.runner.divergence.problems
    summary = {**summarize(outcome, setup.records), "resumed": list(setup.resumed), "diverged_lives": problems}
    if problems:
        _save_diverged(setup, problems)
    try:
        write_json(setup.folder / "summary.json", summary)
    except OSError as failure:
        print(f"warning: cannot write {setup.folder / 'summary.json'}: {failure}", file=sys.stderr)
        print(f"the summary: {json.dumps(summary)}", file=sys.stderr)
    if setup.log is not None:
        setup.log.close(status == "finished", summary)
    if setup.evaluations is not None:
        close_env(setup.evaluations)
    close_env(setup.runner)
    return summary


def _save_diverged(setup: Setup, problems: Mapping[int, str]) -> None:
    """Write the state of the agent into ``diverged``, non-finite numbers included. A failed write is a warning."""
    if not is_stateful(setup.agent):
        return
    info = {"problems": {str(lifetime): text for lifetime, text in problems.items()}}
    try:
        write(setup.folder / "diverged", steps_of_all(setup.records), {"agent": setup.agent.capture()}, info)
    except OSError as problem:
        print(f"warning: cannot write {setup.folder / 'diverged'}: {problem}", file=sys.stderr)


def keep_traceback(folder: Path, failure: BaseException) -> None:
    """Write the traceback into the folder of the run. A failed write is a warning."""
    try:
        text = "".join(traceback.format_exception(failure))
        write_atomic(folder / "error.txt", text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        print(f"warning: cannot write {folder / 'error.txt'}: {problem}", file=sys.stderr)


def forget_traceback(folder: Path) -> None:
    """Remove the traceback of an earlier command, once the settings of this one are accepted."""
    (folder / "error.txt").unlink(missing_ok=True)
