"""The command line: ``python -m tracerl.run``, on Hydra."""

import errno
import os
import re
import sys
import traceback
import uuid
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError, ConfigWarning, stop
from tracerl.config.error_messages import check_choices, explain, refuse_options
from tracerl.config.instantiate import open_keys
from tracerl.runs import saved
from tracerl.runs.command_line import show_warning
from tracerl.runs.launch import RunEnded, RunOrigin, launch
from tracerl.runs.output import discard_unwritten, dropping_failed_writes
from tracerl.runs.resume import HasRun, InUse, check_folders, command_line

_CONFIG_PATH = "pkg://tracerl.configs"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # errors of a disk that is full or broken
_FOLDERS = {"sweep_dir": "hydra.sweep.dir", "output_dir": "hydra.run.dir"}  # by the name of a variable of Hydra
_PLUGIN = re.compile(r"hydra_plugins\.hydra_(\w+)_(launcher|sweeper)\.")


def main() -> None:
    """Run the command line; exit with 0, 1 (failed), 2 (bad settings) or 128 + the signal.

    What stdout or stderr cannot write is dropped.
    """
    try:
        with dropping_failed_writes():
            _run_command()
    finally:
        discard_unwritten()


def _run_command() -> None:
    full_error = os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing
    run_id = uuid.uuid4().hex[:6]  # shared by all jobs of a sweep, which have different numbers
    hydra_compat.register("tracerl.id", lambda: run_id, use_cache=True)
    hydra_compat.register("tracerl.slug", lambda name: re.sub(r"[^\w.-]+|^\.+", "-", name))
    warnings.showwarning = partial(show_warning, ConfigWarning, warnings.showwarning)
    trusted = "--trust" in sys.argv[1:]
    sys.argv[1:] = open_keys([argument for argument in sys.argv[1:] if argument != "--trust"])
    entry = hydra_compat.main(job, _CONFIG_PATH, "run")
    try:
        refuse_options(sys.argv[1:])
        check_choices(sys.argv[1:])
        check_folders(sys.argv[1:])
        sys.argv[1:] = command_line(sys.argv[1:], trusted)
        entry()
    except KeyboardInterrupt:
        sys.exit(130)
    except RunEnded as error:
        stop(str(error), 1)
    except ConfigError as error:
        stop(str(error), 2)
    except (HydraException, OmegaConfBaseException) as error:
        stop(explain(error, sys.argv[1:]), 2)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        plugin = _plugin(error)
        if full_error == "1" and plugin == "optuna" and isinstance(error, ValueError):
            stop(f"hydra.sweeper must have settings and axes that Optuna can use: {reason}", 2)
        if full_error == "1" and plugin is not None:
            stop(f"{plugin} gave the sweep up, which resume=true goes on with: {type(error).__name__}: {reason}", 1)
        if full_error == "1" and isinstance(error, OSError):
            if error.errno in _FULL:
                stop(f"the files of the run cannot be written: {error}", 1)
            if (key := _folder_of(error)) is not None:
                stop(f"{key} must be a folder that can be written: {error}", 2)
        raise


def _plugin(error: Exception) -> str | None:
    """Return the launcher or sweeper in the traceback of an error, if any. Errors of jobs do not reach it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = _PLUGIN.match(frame.f_globals.get("__name__", ""))
        if found:
            return found[1]
    return None


def _folder_of(error: OSError) -> str | None:
    """Return the setting of the run's or sweep's folder if the file of an error lies in or above it; None elsewhere.

    The folders are variables of Hydra in the traceback: of a sweep first, then of its job.
    """
    if not isinstance(error.filename, (str, bytes, os.PathLike)):
        return None
    path = Path(os.path.abspath(os.fsdecode(error.filename)))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not frame.f_globals.get("__name__", "").startswith("hydra."):
            continue
        for name, key in _FOLDERS.items():
            if name in frame.f_locals:
                folder = Path(os.path.abspath(str(frame.f_locals[name])))
                return key if path.is_relative_to(folder) or folder.is_relative_to(path) else None
    return None


def job(cfg: DictConfig) -> float | None:
    """Run the lifetimes of a config. This is one job of a sweep.

    A failed job of a sweep writes its traceback into its folder and returns None, so that the other jobs continue.

    Returns:
        The objective of a sweeper: the mean return of the last 100 episodes or, of many lifetimes, its interquartile
        mean. Without an ended episode it is the reward per step. None without either.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env, an agent or a part failed, or a number diverged.
        KeyboardInterrupt: SIGINT arrived. The summary is written, as ``finished`` if the run had ended.
    """
    from tracerl.runs.execute import keep_traceback

    hydra = HydraConfig.get()
    in_sweep, folder = hydra.mode == RunMode.MULTIRUN, Path(hydra.runtime.output_dir)
    key = "hydra.sweep.dir" if in_sweep else "hydra.run.dir"
    try:
        if not in_sweep and hydra.sweeper.get("params"):
            raise ConfigError("hydra.sweeper.params", "is given, so this is a sweep: python -m tracerl.run -m ...")
        origin = RunOrigin(folder, key, hydra.runtime.choices["agent"], list(hydra.overrides.task))
        return _objective(launch(cfg, origin))
    except Exception as error:
        if not in_sweep:
            if isinstance(error, ConfigError) and {path.name for path in folder.iterdir()} == {".hydra"}:
                keep_traceback(folder, error)  # the folder of this command alone: its status is then refused
            raise
        finished = saved.summary(folder).get("status") == "finished"
        if not isinstance(error, (RunEnded, InUse)) or isinstance(error, HasRun) and finished:  # others have a file
            keep_traceback(folder, error)
        with dropping_failed_writes():  # a job can be in a process of its own
            print(f"error in {folder}: {error}", file=sys.stderr, flush=True)
        return None


def _objective(summary: dict[str, Any]) -> float | None:
    returns, rates = (summary.get(name, {}).get("iqm") for name in ("return_last100", "reward_rate_last10000"))
    found = rates if returns is None else returns
    return None if found is None else float(found)


if __name__ == "__main__":
    main()
