"""The loggers of a run: what the group ``logger`` makes."""

from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.runs.logging.log import LogSchedule, RunLog
from tracerl.runs.logging.writers import LoggedRun, Logger


class Loggers:
    """Any number of loggers with one schedule."""

    def __init__(
        self,
        every: int,
        histograms_every: float | None = None,
        pictures_every: float | None = None,
        picture_steps: int = 100,
        **loggers: Any,
    ) -> None:
        """Take the schedule (``LogSchedule``) and the loggers by name.

        Raises:
            ConfigError: a period is none, or an object is no logger.
        """
        self._schedule = LogSchedule(every, histograms_every, pictures_every, picture_steps)
        for name, logger in loggers.items():
            if not callable(getattr(logger, "open", None)):
                raise ConfigError(name, f"must be a logger, with a method open(run, offset), got {logger!r:.200}")
        self._loggers: dict[str, Logger] = loggers

    def open(self, run: LoggedRun) -> RunLog | None:
        """Start or resume the log of a run; None without a logger."""
        return RunLog(self._schedule, run, self._loggers) if self._loggers else None
