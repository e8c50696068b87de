"""Loggers: where a life's numbers go."""

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracerl import checks
from tracerl.agent import Agent
from tracerl.lifetime import Diverged, Monitor
from tracerl.stats import Record


@dataclass(frozen=True)
class TensorBoard:
    """Log to TensorBoard; ``open`` starts the stream.

    Attributes:
        every: env steps between looks.
    """

    every: int

    def __post_init__(self) -> None:
        """Check the setting, raising a ConfigError that names it."""
        checks.whole("every", self.every, 1)

    def open(self, folder: Path, settings: Mapping[str, Any], config: str) -> "TensorBoardLog":
        """Start the event stream of a run.

        Args:
            folder: of the run.
            settings: hyperparameters by dotted name.
            config: the resolved config as yaml.

        Raises:
            OSError: the folder cannot be written.
        """
        return TensorBoardLog(self.every, folder, settings, config)


@dataclass(frozen=True)
class Silent:
    """Log nothing."""

    def open(self, folder: Path, settings: Mapping[str, Any], config: str) -> None:
        """Return None."""


class TensorBoardLog(Monitor):
    """One event stream of a run: returns, learning and spikes on a schedule, settings and config at its start."""

    def __init__(self, every: int, folder: Path, settings: Mapping[str, Any], config: str) -> None:
        """Create the event file; see ``TensorBoard.open``."""
        from tracerl.events import EventWriter  # imports TensorBoard, which runs that log nothing need not wait for

        self.every = every
        self._events = EventWriter(folder)
        self._events.hyperparameters(settings, ["rollout/ep_rew_mean", "rollout/ep_len_mean"])
        self._events.text("config", "```yaml\n" + config + "```")
        self._time, self._step, self._warned = time.perf_counter(), 0, False

    def look(self, record: Record, agent: Agent) -> None:
        """Write one event with every tag of ``docs/tags.md``.

        A full disk costs this event and one warning, not the life.

        Raises:
            Diverged: one of the agent's numbers is not finite.
        """
        if record.step == self._step:
            return
        values = check_finite(agent.diagnostics(), record)
        now = time.perf_counter()
        values["time/fps"] = (record.step - self._step) / (now - self._time)
        if record.episodes:
            values["rollout/ep_rew_mean"] = record.mean_return(partial=True)
            values["rollout/ep_len_mean"] = record.mean_length()
        self._time, self._step = now, record.step
        self._try(lambda: self._events.scalars(values, record.step))

    def close(self, success: bool) -> None:
        """Mark how the run ended and close the file."""
        self._try(lambda: self._events.end_session(success))
        self._try(self._events.close)

    def _try(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write {self._events.path}: {error}; the life goes on", file=sys.stderr)
            self._warned = True


def check_finite(values: dict[str, float], record: Record) -> dict[str, float]:
    """Return the agent's numbers as they came.

    Raises:
        Diverged: one is not finite.
    """
    for tag, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"the agent's {tag} is {value} after {record.step:,} steps: try a smaller step size")
    return values
