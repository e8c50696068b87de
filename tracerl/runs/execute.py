"""One run: lifetimes with everything around them - logs, progress, summary - apart from where settings come from."""

import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.lifetime.equal_rewards import reward_check
from tracerl.lifetime.loop import NOT_FAILURES, Callback, Diverged, EnvFailed
from tracerl.lifetime.protocol import Agent, ManyAgents, Stateful
from tracerl.lifetime.record import Marker, Record, steps_of_all
from tracerl.lifetime.runners import EnvRunner
from tracerl.runs.checkpoint import write
from tracerl.runs.checkpoint.schedule import Checkpoints, CheckpointSettings
from tracerl.runs.files import write_atomic
from tracerl.runs.lock import Presence
from tracerl.runs.logging.episodes import EpisodeLog
from tracerl.runs.logging.progress import ProgressBar
from tracerl.runs.signals import DeferredInterrupt
from tracerl.runs.summary import Outcome, seeds_in_words, summarize, write_json

if TYPE_CHECKING:
    from tracerl.runs.logging.tensorboard import TensorBoardLog


@dataclass(frozen=True)
class Setup:
    """What a run is made of."""

    about: Outcome  # env, agent, device and seed, for the summary
    agent: Agent | ManyAgents  # of one lifetime, or the agents of many
    runner: EnvRunner  # where the lifetimes take place
    records: list[Record]  # one per lifetime, with the env's milestones
    steps: int  # env steps per lifetime
    folder: Path  # of the run, writable
    log: "TensorBoardLog | None"  # of the run, if any
    episodes: EpisodeLog  # where every episode is written
    presence: Presence  # the sign that the run is going on; put up and taken away by the caller
    interrupted: DeferredInterrupt  # notes signals that ask the run to end
    checkpoints: CheckpointSettings | None  # when checkpoints are made; None: never
    # in every checkpoint: settings by dotted name, which are compared, config as yaml, overrides
    kept: Mapping[str, Any]
    seconds: float = 0.0  # that earlier parts of the run took
    # where the run was resumed: env step, and whether a new episode began there
    resumed: Sequence[Mapping[str, Any]] = ()


def run(setup: Setup) -> dict[str, Any]:
    """Run the lifetimes and write ``summary.json``, however they end.

    An env that fails, numbers that diverge and code that calls ``sys.exit`` end the run, not the process: the summary
    says so, and ``error.txt`` keeps the traceback.

    Raises:
        InUse: another run has taken the folder over; nothing more is written.
    """
    title = f"{setup.about.env} {setup.about.agent} {seeds_in_words(setup.about.seed, len(setup.records))}"
    started = time.perf_counter()
    status, error = "failed", None
    try:
        with setup.interrupted as interrupted, ProgressBar(title, setup.steps) as progress:
            logs = [] if setup.log is None else [setup.log]
            # A step is marked before others look at it, and kept when all have.
            looking = [*reward_check(setup.agent), *logs, progress, setup.presence]
            callbacks: list[Callback] = [Marker(), *looking, *_checkpoints(setup, started)]
            status = setup.runner.run(setup.agent, setup.steps, setup.records, callbacks, interrupted)
    except KeyboardInterrupt:
        status = "interrupted"
    except BaseException as failure:
        status = "diverged" if isinstance(failure, Diverged) else "failed"
        error = describe(failure)
        if not setup.presence.lost:
            keep_traceback(setup.folder, failure)
        if isinstance(failure, (Exception, GeneratorExit)) and not isinstance(failure, (EnvFailed, Diverged)):
            raise  # others, such as sys.exit in an agent's code, end the run, not the process
    finally:
        if setup.presence.lost:  # what is in the folder is another run's by now
            setup.episodes.discard()
            _let_go(setup.runner)
        else:
            summary = _close(setup, status, error, setup.seconds + time.perf_counter() - started)
    setup.presence.check()
    return summary


def _checkpoints(setup: Setup, started: float) -> list[Callback]:
    """Return the callback that makes checkpoints, if one shall."""
    if setup.checkpoints is None:
        return []
    always = {**setup.kept, "obstacle": setup.runner.unsupported_reason(), "env_packages": _env_packages()}

    def describe() -> dict[str, Any]:
        return {
            **always,
            "seconds": setup.seconds + time.perf_counter() - started,
            "episodes": setup.episodes.flush(),
            "log": None if setup.log is None else setup.log.place(),
            "resumed": setup.resumed,
        }

    def others() -> dict[str, Mapping[str, Any]]:
        unwritten = {} if setup.log is None else setup.log.capture()
        return {"log": unwritten} if unwritten else {}

    folder, steps, runner, interrupted = setup.folder, setup.steps, setup.runner, setup.interrupted
    return [Checkpoints(setup.checkpoints, folder, steps, runner, interrupted, describe, others)]


def _env_packages() -> dict[str, str]:
    """Return the versions of what envs may run on, where it is installed: another one may step another way."""
    found = {}
    for name in ("ale-py", "box2d", "MinAtar", "mujoco", "scikit-learn"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def describe(failure: BaseException) -> str:
    """Say in one line what went wrong and, where it has a cause, why."""
    if not isinstance(failure, (EnvFailed, Diverged)):
        return f"{type(failure).__name__}: {failure}"
    cause = failure.__cause__
    return str(failure) if cause is None else f"{failure}: {type(cause).__name__}: {cause}"


def _close(setup: Setup, status: str, error: str | None, seconds: float) -> dict[str, Any]:
    """Close logs and envs and write the summary."""
    setup.episodes.close()
    if setup.log is not None:
        setup.log.close(success=status == "finished")
    outcome = replace(setup.about, wall_seconds=seconds, status=status, error=error)
    problems = setup.runner.divergence.problems
    summary = {**summarize(outcome, setup.records), "resumed": list(setup.resumed), "diverged_lives": problems}
    if problems:
        _keep_evidence(setup, problems)
    try:
        write_json(setup.folder / "summary.json", summary)
    except OSError as failure:
        print(f"warning: cannot write {setup.folder / 'summary.json'}: {failure}", file=sys.stderr)
        print(f"the summary: {json.dumps(summary)}", file=sys.stderr)
    _let_go(setup.runner)
    return summary


def _keep_evidence(setup: Setup, problems: Mapping[int, str]) -> None:
    """Write the state of the agent, what is not finite included, into ``diverged``, where the disk allows."""
    if not isinstance(setup.agent, Stateful):
        return
    try:
        write(
            setup.folder / "diverged",
            steps_of_all(setup.records),
            {"agent": setup.agent.capture()},
            {"problems": {str(lifetime): text for lifetime, text in problems.items()}},
        )
    except OSError as problem:
        print(f"warning: cannot write {setup.folder / 'diverged'}: {problem}", file=sys.stderr)


def _let_go(runner: EnvRunner) -> None:
    """Close the envs; one that cannot be closed costs a warning, for everything is written by now."""
    try:
        runner.close()
    except NOT_FAILURES:
        raise
    except BaseException as failure:
        print(f"warning: the env failed to close: {type(failure).__name__}: {failure}", file=sys.stderr)


def keep_traceback(folder: Path, failure: BaseException) -> None:
    """Write the traceback into the run's folder, where the disk allows."""
    try:
        text = "".join(traceback.format_exception(failure))
        write_atomic(folder / "error.txt", text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        print(f"warning: cannot write {folder / 'error.txt'}: {problem}", file=sys.stderr)
