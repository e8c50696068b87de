"""Start one run from its config, for the command line and for Python.

torch and Gymnasium are imported inside the functions, so that ``--help`` and the error of a mistyped key are quick.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks
from tracerl.config.checks import ConfigError, ConfigWarning, NotMade
from tracerl.config.instantiate import value, with_current_keys
from tracerl.config.moved import keep_names
from tracerl.runs import saved
from tracerl.runs.build import check_counts, check_engine, with_input
from tracerl.runs.by_input import KINDS, kind_of_space
from tracerl.runs.output import dropping_failed_writes
from tracerl.runs.prepare import RunOrigin as RunOrigin
from tracerl.runs.prepare import built, check_evaluations, compared, make_agent, make_runner, prepare
from tracerl.runs.resume import check_folder, finished_run
from tracerl.runs.saved import OVERRIDES


class RunEnded(Exception):
    """A run that did not finish. The message has the reason, and the summary is written."""


def launch(cfg: DictConfig, origin: RunOrigin, callbacks: Sequence[Any] = ()) -> dict[str, Any]:
    """Run the lifetimes of a config and write the files that ``docs/tags.md`` lists.

    What stdout or stderr cannot write is dropped, and the run continues.

    Args:
        cfg: the config.
        origin: where it comes from.
        callbacks: made already, beside those of the config.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env, an agent or part, a callback or the start of a logger failed, or a number diverged.
        KeyboardInterrupt: SIGINT arrived. The summary is written, as ``finished`` if the run had ended.
        SystemExit: SIGTERM or SIGUSR2 arrived, with 128 + the signal. The summary is written too.
    """
    with dropping_failed_writes():
        return _launch(cfg, origin, callbacks)


def _launch(cfg: DictConfig, origin: RunOrigin, callbacks: Sequence[Any]) -> dict[str, Any]:
    from tracerl.runs.execute import forget_traceback, run
    from tracerl.runs.lock import RunLock
    from tracerl.runs.summary import closing_lines

    cfg = _current(cfg)
    folder, steps = origin.folder, _check(cfg)
    _warn_of_other_env(cfg, origin.overrides)
    check_folder(folder, origin.key)
    possible = (compared(with_input(cfg, kind)) for kind in KINDS)
    requeued = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"  # at the job's time limit or after a failed machine
    resume = cfg.resume or requeued
    if requeued and saved.command_line(folder / OVERRIDES, warn=False) == list(origin.overrides):
        resume = True  # also in place of a checkpoint by name, which the first start of this job has gone back to
    with RunLock(folder, steps, origin.key) as run_lock:
        summary = finished_run(folder, possible, bool(resume), origin.key, steps)
        if summary is not None:
            forget_traceback(folder)
            print(f"finished before: {folder / 'summary.json'}", flush=True)
            return summary
        with _failed_run(folder):
            setup = prepare(cfg, origin, steps, run_lock, resume, callbacks)
        forget_traceback(folder)
        summary = run(setup)
    places = [] if setup.log is None else setup.log.places()
    print("\n".join(closing_lines(summary, folder, places)), flush=True)
    if summary["status"] == "interrupted":
        setup.interrupted.forward()
        setup.interrupted.end()
    failure = _failure(summary, folder)
    if setup.interrupted.ends_command():  # what comes after the run, such as the next job of a sweep
        if failure is not None:
            print(f"error: {failure}", file=sys.stderr, flush=True)
        setup.interrupted.end()
    setup.interrupted.forward_after_end()
    if failure is not None:
        raise failure
    return summary


def _failure(summary: dict[str, Any], folder: Path) -> RunEnded | None:
    """Return the error of a run that did not finish or that has no summary; None without one."""
    if summary["status"] != "finished":
        return _run_ended(summary["status"], summary["error"], folder)
    if not (folder / "summary.json").exists():
        return RunEnded("the run finished, but its summary could not be written: it is printed above")
    return None


@contextmanager
def _failed_run(folder: Path) -> Iterator[None]:
    """Turn an env or logger that fails at construction, and a call of ``sys.exit``, into a failed run.

    The traceback of these, and of an agent that cannot be built, is kept in the folder.
    """
    from tracerl.lifetime.loop import NOT_FAILURES, EnvFailed
    from tracerl.runs.execute import describe, keep_traceback
    from tracerl.runs.logging.writers import LoggerFailed

    try:
        yield
    except NotMade as failure:
        keep_traceback(folder, failure)
        where = f"{failure.problem} (traceback in {folder / 'error.txt'})"
        raise ConfigError(failure.key, where) from failure
    except BaseException as failure:
        if isinstance(failure, (Exception, *NOT_FAILURES)) and not isinstance(failure, (EnvFailed, LoggerFailed)):
            raise
        keep_traceback(folder, failure)
        raise _run_ended("failed", describe(failure), folder) from failure


def _run_ended(status: str, error: str, folder: Path) -> RunEnded:
    return RunEnded(f"{status}: {error} (traceback in {folder / 'error.txt'})")


def _current(cfg: DictConfig) -> DictConfig:
    """Return a config with the present names of its keys, and with whole numbers where steps are given as 1e5."""
    cfg = with_current_keys(cfg, ConfigWarning)
    for key in ("steps", "env.steps"):
        given = OmegaConf.select(cfg, key)
        if isinstance(given, float) and given.is_integer():
            cfg = deepcopy(cfg)
            OmegaConf.update(cfg, key, int(given))
    return cfg


def _check(cfg: DictConfig) -> int:
    """Check the settings of the run and return its number of steps."""
    steps = checks.whole("steps", value(cfg, "steps"), 1)
    check_counts(cfg, cfg.seed)
    if not isinstance(cfg.resume, (bool, str)):
        raise ConfigError("resume", f"must be true, false, auto, or the folder of a run, got {cfg.resume!r}")
    return steps


def _warn_of_other_env(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Warn if ``env.id=`` puts another env under the name of a yaml, as in ``env.id=Acrobot-v1`` without ``env=``."""
    set_keys = {override.partition("=")[0] for override in overrides}
    if "env.id" not in set_keys or "env.name" in set_keys:
        return
    env_id, name = str(cfg.env.id), str(cfg.env.name)
    if name not in env_id:
        kept = f"the name, steps and milestones of {name}"
        warnings.warn(f"env.id={env_id} keeps {kept}, env={env_id} does not", ConfigWarning, stacklevel=2)


def check_run(cfg: DictConfig, agent_name: str) -> DictConfig:
    """Build the parts of a run, discard them, and return the config with the settings for the env's observations.

    Raises:
        ConfigError: a setting cannot be used.
        EnvFailed: the env raised an exception.
    """
    from tracerl.lifetime.divergence import DivergenceCheck

    cfg = _current(cfg)
    _check(cfg)
    spec, _, evaluations, *_ = built(cfg)
    with closing(make_runner(cfg, spec)) as runner:
        cfg = with_input(cfg, kind_of_space(runner.observation_space))
        agent = make_agent(cfg, spec, runner, agent_name)
        check_engine(cfg.engine, agent, agent_name)
        check_evaluations(evaluations, agent)
    DivergenceCheck(cfg.on_nonfinite)  # checks it
    return cfg


keep_names(globals(), Origin="RunOrigin")
