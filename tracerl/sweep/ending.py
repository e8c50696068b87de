"""What a sweep says at its start and at its end."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from tracerl.sweep.study import prepare


class SweepEnding(Callback):
    """Say where a sweep is, show its table when all jobs have ended, and let the exit code tell whether one failed.

    Jobs do not fail in Hydra's eyes (``tracerl.run``): its own sweeper would end the batch with the first traceback.
    """

    def __init__(self, command: str) -> None:
        self._command = command

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the sweep's folder, where a study may lie before the first job starts, and print it.

        Hydra shows what goes wrong here as a warning, and the sweeper fails with the same reason.
        """
        folder = Path(config.hydra.sweep.dir).absolute()
        _settle(config, folder)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"sweep: {folder} (look at it: python -m tracerl.sweep DIR)", flush=True)
        prepare(OmegaConf.select(config, "hydra.sweeper.storage"))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; exit with 1 where a job did not finish.

        From Hydra 1.4 on, this is called on the way out of an error too, which tells more than the exit would.
        """
        from rich.console import Console

        from tracerl.sweep.table import report

        jobs = report(Path(config.hydra.sweep.dir), Console())
        # Where several commands work on one study, each tells of its own jobs.
        jobs = [job for job in jobs if self._command in job.folder.name] or jobs
        if sys.exc_info()[0] is None and (not jobs or any(job.status != "finished" for job in jobs)):
            sys.exit(1)


def _settle(config: DictConfig, folder: Path) -> None:
    """Give every job the sweep's folder as an absolute path.

    A worker of a running Ray cluster has the working folder of its machine's ``ray start``, and a relative path would
    lead it there. Hydra composes each job's config anew from the overrides of its own settings.
    """
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    with read_write(config.hydra):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{escaped}'")
