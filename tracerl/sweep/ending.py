"""What a sweep says at its start and at its end."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class SweepEnding(Callback):
    """Say where a sweep is, show its table when all jobs have ended, and let the exit code tell whether one failed.

    Jobs do not fail in Hydra's eyes (``tracerl.job``): its own sweeper would end the batch with the first traceback.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the sweep's folder."""
        print(f"sweep: {config.hydra.sweep.dir} (look at it: python -m tracerl.sweep DIR)", flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; exit with 1 where a job did not finish."""
        from rich.console import Console

        from tracerl.sweep.table import report

        jobs = report(Path(config.hydra.sweep.dir), Console())
        if any(job.status != "finished" for job in jobs):
            sys.exit(1)
