"""The study of a search: a SQLite file that the processes of one or several commands share."""

import json
import math
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tracerl.config.checks import ConfigError
from tracerl.config.overrides import key_and_value
from tracerl.runs.command_line import errors_in_one_line
from tracerl.runs.signals import DeferredInterrupt
from tracerl.search.objective import PROCESS, Objective
from tracerl.search.results import line
from tracerl.search.space import Space

_HEARTBEAT, _GRACE = 10, 60  # seconds between two heartbeats of a running trial, and without one until it has failed
_SETTINGS = "settings"  # user attribute of a study: what its trials have in common
_TRIES, _PAUSE = 10, 0.2  # to create or read a study that another command creates at this moment; seconds
_LOCKED = 60  # seconds that a process waits for the file

SAMPLERS: dict[str, Callable[[int | None], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, constant_liar=True),  # expects little of points that are running
    "random": RandomSampler,
}
PRUNERS: dict[str, Callable[[int, int], BasePruner]] = {  # of the env steps of a run, and between two reports
    "median": lambda steps, every: MedianPruner(n_startup_trials=5, n_warmup_steps=steps // 5),
    "hyperband": lambda steps, every: HyperbandPruner(min_resource=every, max_resource=steps),
    "none": lambda steps, every: NopPruner(),
}


class Interrupted(KeyboardInterrupt):
    """A signal has ended the search. All runs have written their files.

    Attributes:
        signal: its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


@dataclass(frozen=True)
class Plan:
    """A search, as the processes of its workers receive it."""

    space: Space
    study: Path  # SQLite file
    name: str  # name of the study in the file
    objective: str  # one of ``MEASURES``
    steps: int  # env steps per lifetime of a run
    reports: int  # per run
    sampler: str  # one of ``SAMPLERS``
    pruner: str  # one of ``PRUNERS``
    seed: int | None  # seed of the sampler
    deadline: float  # of the monotonic clock, in seconds, after which no trial begins

    @property
    def folder(self) -> Path:
        """Folder of the runs, a folder in it per trial."""
        return self.study.with_suffix("") / self.name

    @property
    def every(self) -> int:
        """Env steps between two reports."""
        return math.ceil(self.steps / self.reports)

    def settings(self) -> dict[str, Any]:
        """Return what all trials of a study have in common, so that their values can be compared."""
        free = ("threads", "logger", "checkpoint")
        kept = [text for text in self.space.fixed if key_and_value(text)[0].split(".")[0] not in free]
        axes = {axis.name: axis.sweep for axis in self.space.axes}
        return {"run": sorted(kept), "space": axes, "objective": self.objective, "reports": self.reports}


@contextmanager
def _quietly() -> Iterator[None]:
    """A context without Optuna's log and without its warnings that a part is experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line per trial is printed here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _storage(plan: Plan) -> RDBStorage:
    options = {"connect_args": {"timeout": _LOCKED}}
    return RDBStorage(f"sqlite:///{plan.study}", options, heartbeat_interval=_HEARTBEAT, grace_period=_GRACE)


def _load(plan: Plan, **options: Any) -> optuna.Study:
    with _quietly():
        return optuna.load_study(study_name=plan.name, storage=_storage(plan), **options)


def trials_of(plan: Plan) -> list[FrozenTrial]:
    """Return the trials so far."""
    return _load(plan).get_trials(deepcopy=False)


def prepare(plan: Plan) -> list[FrozenTrial]:
    """Create the study, or check the one that exists, and return its trials so far.

    Raises:
        ConfigError: the file cannot be used, or the study has other settings.
    """
    for left in reversed(range(_TRIES)):
        try:
            plan.study.parent.mkdir(parents=True, exist_ok=True)
            with _quietly():
                storage = _storage(plan)
                if plan.name in optuna.get_all_study_names(storage):
                    _check_same(plan, storage)
                else:
                    _create(plan, storage)
            return trials_of(plan)
        except (SQLAlchemyError, OptunaError, OSError) as error:
            reason = _reason(error)
            if not left or not re.search("already exists|UNIQUE constraint", reason):
                problem = f"must be a SQLite file of Optuna that can be written: {reason}"
                raise ConfigError("--study", problem) from error
            time.sleep(_PAUSE)  # another command creates the same tables or the same study
    raise AssertionError


def _reason(error: Exception) -> str:
    """Return the first line of an error of the storage."""
    cause = error.__cause__ or (error.__context__ if isinstance(error, AssertionError) else None) or error
    if isinstance(cause, OptunaError) and cause.__cause__ is not None:
        cause = cause.__cause__
    return str(getattr(cause, "orig", None) or cause).splitlines()[0]


def _create(plan: Plan, storage: RDBStorage) -> None:
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("--name", f"must be that of a folder that can be made: {error}") from error
    if any(plan.folder.iterdir()):
        raise ConfigError("--name", f"must be another: {plan.folder} has runs, and {plan.study} no study of them")
    study = optuna.create_study(storage=storage, study_name=plan.name, direction="maximize")
    study.set_user_attr(_SETTINGS, plan.settings())


def _check_same(plan: Plan, storage: RDBStorage) -> None:
    """Check that a study that exists has the same settings, and mark trials without a heartbeat as failed."""
    study = optuna.load_study(study_name=plan.name, storage=storage)
    there, here = study.user_attrs.get(_SETTINGS), plan.settings()
    for _ in range(_TRIES):
        if there is not None or study.get_trials(deepcopy=False):
            break
        time.sleep(_PAUSE)  # another command has just created the study
        there = study.user_attrs.get(_SETTINGS)
    if there is None:
        raise ConfigError("--name", f"must be of a search by tracerl, or new: {plan.study} has another {plan.name!r}")
    for key, value in here.items():
        if there.get(key) != value:
            was, now = (json.dumps(found) for found in (there.get(key), value))
            problem = f"must be another for other settings: the study {plan.name!r} has {key} {was}, got {now}"
            raise ConfigError("--name", problem)
    optuna.storages.fail_stale_trials(study)


def run(plan: Plan, trials: int, workers: int, first: dict[str, Any] | None) -> list[str]:
    """Run new trials, in this process or in several, and return what went wrong with the processes.

    Args:
        plan: the search.
        trials: number of new trials.
        workers: number of processes.
        first: parameters of the first trial; None: those that the sampler suggests.

    Raises:
        KeyboardInterrupt: a signal ended the search. All processes have ended. ``Interrupted`` has the signal.
    """
    context = get_context("spawn")
    left = context.Value("q", trials)  # 64 bits
    seeds = [None] * workers if plan.seed is None else _seeds(plan.seed, len(trials_of(plan)), workers)
    if workers == 1:
        try:
            return [] if work(plan, left, seeds[0], None, first) else ["the search cannot continue"]
        finally:
            _fail(plan, {os.getpid()})
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when a worker imports torch and numba
    firsts = [first, *[None] * (workers - 1)]
    processes = [context.Process(target=_worker, args=(plan, left, *own)) for own in zip(seeds, firsts, strict=True)]
    try:
        with _handled(signal.SIGINT, signal.SIG_IGN):  # by the workers, which receive SIGTERM from here
            for process in processes:
                process.start()
        with _terminated():
            for process in processes:
                process.join()
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()  # its run writes a checkpoint and its summary first
        for process in processes:
            process.join()
        raise
    finally:
        _fail(plan, {process.pid for process in processes})
    return [f"a worker ended with exit code {process.exitcode}" for process in processes if process.exitcode]


def _seeds(seed: int, begun: int, workers: int) -> list[int]:
    """Return a seed per worker, other ones for a study that continues."""
    return [int(word) for word in np.random.SeedSequence((seed, begun)).generate_state(workers)]


def _worker(plan: Plan, left: Any, seed: int | None, first: dict[str, Any] | None) -> None:
    """Work in a process of its own, on one thread."""
    with errors_in_one_line():
        sys.exit(0 if work(plan, left, seed, 1, first) else 1)


def work(plan: Plan, left: Any, seed: int | None, threads: int | None, first: dict[str, Any] | None) -> bool:
    """Run trials until none is left or the deadline has passed; return False if the study cannot be written.

    Args:
        plan: the search.
        left: number of trials that are left, shared by the workers.
        seed: seed of the sampler.
        threads: of a run that does not set them.
        first: parameters of the first trial; None: those that the sampler suggests. Optuna's queue of trials is not
            used, because two processes can take the same trial from it in SQLite.

    Raises:
        Interrupted: a signal arrived. It ends the search after the running trial, whose run it ends. At any other
            place an exception would be raised in the code of Optuna or Hydra.
        KeyboardInterrupt: a second SIGINT arrived.
    """
    objective = Objective(plan.space, plan.folder, plan.objective, plan.steps, plan.every, threads)
    with DeferredInterrupt() as interrupted, _quietly():
        sampler, pruner = SAMPLERS[plan.sampler](seed), PRUNERS[plan.pruner](plan.steps, plan.every)
        study = _load(plan, pruner=pruner)
        try:
            while time.monotonic() < plan.deadline and not interrupted() and _take(left):
                study.sampler = sampler if first is None else PartialFixedSampler(first, sampler)
                first = None
                study.optimize(objective, n_trials=1, catch=(Exception,), callbacks=[_show])
        except (SQLAlchemyError, OptunaError, AssertionError) as error:  # Optuna asserts that an error has been stored
            print(f"error: {plan.study} cannot be written: {_reason(error)}", file=sys.stderr)
            return False
        except (KeyboardInterrupt, UnboundLocalError) as error:  # UnboundLocalError: of Optuna, after a second SIGINT
            if not interrupted():
                raise
            raise Interrupted(interrupted.signal or signal.SIGINT) from error
    if interrupted.signal is not None:
        raise Interrupted(interrupted.signal)
    return True


def _take(left: Any) -> bool:
    with left.get_lock():
        left.value -= 1
        return bool(left.value >= 0)


@contextmanager
def _terminated() -> Iterator[None]:
    """A context in which SIGTERM ends the search as Ctrl-C does."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    with _handled(signal.SIGTERM, interrupt):
        yield


@contextmanager
def _handled(number: int, handler: Any) -> Iterator[None]:
    """A context with a handler of a signal."""
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _show(study: optuna.Study, trial: FrozenTrial) -> None:
    """Print a line about a trial that has ended."""
    print(line(trial), flush=True)


def _fail(plan: Plan, processes: set[int | None]) -> None:
    """Mark the trials that processes which have ended left running as failed."""
    with suppress(SQLAlchemyError, OptunaError):  # that the study cannot be written is printed already
        study = _load(plan)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(PROCESS) in processes:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
