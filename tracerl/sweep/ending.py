"""The callback at the start and end of a sweep."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

if TYPE_CHECKING:
    from tracerl.runs.folders import Job
    from tracerl.sweep.signals import JobEnding

_TRIES = 5  # to create the tables of a study


class SweepEnding(Callback):
    """Print the folder of a sweep at its start, print its table at its end, and set the exit code.

    Failed jobs end normally for Hydra (``tracerl.run``), because its sweeper would stop at the first traceback.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._started = 0.0  # by the clock of the file system
        self._jobs: JobEnding | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create the folder of the sweep, which can hold a study before the first job, and print it.

        Without a folder nothing is printed, since the sweeper then fails with the error.
        """
        folder = Path(config.hydra.sweep.dir).absolute()
        _use_absolute_folder(config, folder)
        if "optuna" in config.hydra.sweeper["_target_"]:
            _use_new_folders(config)
        if "joblib" in config.hydra.launcher["_target_"]:
            from tracerl.sweep.signals import JobEnding

            self._jobs = JobEnding(folder)
            self._jobs.begin()
        with suppress(OSError):  # the sweeper raises the error again, and Hydra prints one of a callback as a warning
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            return
        self._started = _time_of_files(folder)
        print(f"sweep: {folder} (show it: python -m tracerl.sweep DIR)", flush=True)
        _prepare_study(OmegaConf.select(config, "hydra.sweeper.storage"))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; exit with 1 if a job did not finish, or raised an error in a folder of a finished run.

        From Hydra 1.4 on, this is called after an error too. The error is then raised instead of the exit.
        """
        from rich.console import Console

        from tracerl.sweep.table import report

        if self._jobs is not None:
            self._jobs.restore()
        folder = Path(config.hydra.sweep.dir)
        if not folder.is_dir():  # the sweep could not begin
            return
        jobs = report(folder, Console())
        # Several commands can share a study. Each one uses its own jobs.
        jobs = [job for job in jobs if self._command in job.folder.name] or jobs
        failed = [job for job in jobs if job.status == "finished" and self._has_new_error(job)]
        if failed:
            folders = ", ".join(str(job.folder) for job in failed)
            print(f"{len(failed)} finished before, with an error of this command: {folders}", flush=True)
        if sys.exc_info()[0] is None and (failed or not jobs or any(job.status != "finished" for job in jobs)):
            sys.exit(1)

    def _has_new_error(self, job: "Job") -> bool:
        """Return whether this command wrote the traceback in the folder of a job."""
        try:
            return (job.folder / "error.txt").stat().st_mtime >= self._started
        except OSError:
            return False


def _time_of_files(folder: Path) -> float:
    """Return the time at which a file written now is modified; 0 if none can be written."""
    try:
        with NamedTemporaryFile(dir=folder) as file:
            return os.stat(file.name).st_mtime
    except OSError:
        return 0.0


def _use_absolute_folder(config: DictConfig, folder: Path) -> None:
    """Set the folder of the sweep to an absolute path for every job.

    A relative path would be wrong on a worker of a Ray cluster, whose working folder is that of ``ray start``. Hydra
    composes the config of each job again from the overrides of its own settings.
    """
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    with read_write(config.hydra):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{escaped}'")


def _use_new_folders(config: DictConfig) -> None:
    """Give every job a folder that begins with the id of the command, which continues the study in the sweep's folder.

    A ``hydra.sweep.subdir`` of the command or of an experiment is kept.
    """
    unresolved: Any = OmegaConf.to_container(config.hydra.sweep)
    if unresolved["subdir"] == "${hydra:job.num}":
        with read_write(config.hydra):
            config.hydra.overrides.hydra.append("hydra.sweep.subdir='${tracerl.id:}-${hydra:job.num}'")


def _prepare_study(storage: object) -> None:
    """Create the missing tables in the database of a study.

    If two commands create the tables at the same time, one fails in Optuna ("table studies already exists"). A second
    try finds the tables.
    """
    if not isinstance(storage, str) or "://" not in storage:
        return
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    for left in reversed(range(_TRIES)):
        try:
            RDBStorage(storage)
            return
        except SQLAlchemyError:
            if left == 0:
                raise
            time.sleep(0.5)
