"""Loggers: where a life's numbers go."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracerl import checks
from tracerl.agent import Agent, ManyAgents
from tracerl.lifetime import Diverged, Monitor
from tracerl.stats import Record, average, bootstrap_interval, interquartile_mean, lived_by_all

_RESAMPLES = 1000  # of a point of the curve; the summary takes twice as many
SPREAD = ("lives/return_iqm", "lives/return_ci_low", "lives/return_ci_high")


@dataclass(frozen=True)
class TensorBoard:
    """Log to TensorBoard; ``open`` starts the stream.

    Attributes:
        every: env steps (per life) between looks.
    """

    every: int

    def __post_init__(self) -> None:
        """Check the setting, raising a ConfigError that names it."""
        checks.whole("every", self.every, 1)

    def open(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        config: str,
        lifetimes: int = 1,
        place: tuple[str, int, int] | None = None,
    ) -> "TensorBoardLog":
        """Start the event stream of a run.

        Args:
            folder: of the run.
            settings: hyperparameters by dotted name.
            config: the resolved config as yaml.
            lifetimes: how many lives are logged: with two or more, their spread is too.
            place: where an earlier part of the run left off, to go on from; see ``TensorBoardLog.place``.

        Raises:
            OSError: the folder cannot be written.
        """
        return TensorBoardLog(self.every, folder, settings, config, lifetimes, place)


@dataclass(frozen=True)
class Silent:
    """Log nothing."""

    def open(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        config: str,
        lifetimes: int = 1,
        place: tuple[str, int, int] | None = None,
    ) -> None:
        """Return None."""


class TensorBoardLog(Monitor):
    """One event stream of a run: returns, learning and spikes on a schedule, settings and config at its start."""

    def __init__(
        self,
        every: int,
        folder: Path,
        settings: Mapping[str, Any],
        config: str,
        lifetimes: int = 1,
        place: tuple[str, int, int] | None = None,
    ) -> None:
        """Create the event file, or go on with it; see ``TensorBoard.open``."""
        from tracerl.events import EventWriter  # imports TensorBoard, which runs that log nothing need not wait for

        self.every = every
        self._events = EventWriter(folder, (place[0], place[1]) if place else None)
        self._time, self._steps, self._warned = time.perf_counter(), place[2] if place else 0, False
        if place:
            return
        self._events.hyperparameters(settings, ["rollout/ep_rew_mean", "rollout/ep_len_mean"])
        self._events.text("config", "```yaml\n" + config + "```")
        if lifetimes > 1:
            self._events.band("return of the last 100 episodes, over lives", *SPREAD)

    def place(self) -> tuple[str, int, int]:
        """Return where the log stands: its file's name and size in bytes, and the env steps of all lives at its end."""
        return *self._events.place(), self._steps

    def look(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Write one event with every tag of ``docs/tags.md``.

        A full disk costs this event and one warning, not the life.

        Raises:
            Diverged: one of the agent's numbers is not finite.
        """
        steps = sum(record.step for record in records)
        if steps == self._steps:
            return
        step = lived_by_all(records)
        values = check_finite(agent.diagnostics(), step)
        now = time.perf_counter()
        values["time/fps"] = (steps - self._steps) / (now - self._time)
        values.update(_rollout(records))
        self._time, self._steps = now, steps
        self._try(lambda: self._events.scalars(values, step))

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


def _rollout(records: Sequence[Record]) -> dict[str, float]:
    """Return what the lives earned lately, by tag; of many, with their spread. No returns before an episode ended."""
    values = {"rollout/reward_rate": average(record.reward_rate() for record in records)}
    returns = [record.mean_return(partial=True) for record in records if record.episodes]
    if not returns:
        return values
    values["rollout/ep_rew_mean"] = average(returns)
    values["rollout/ep_len_mean"] = average(record.mean_length() for record in records)
    if len(returns) > 1:
        spread = interquartile_mean(returns), *bootstrap_interval(returns, resamples=_RESAMPLES)
        values.update(zip(SPREAD, spread, strict=True))
    return values


def check_finite(values: dict[str, float], step: int) -> dict[str, float]:
    """Return the agent's numbers as they came.

    Raises:
        Diverged: one is not finite.
    """
    for tag, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"the agent's {tag} is {value} after {step:,} steps: try a smaller step size")
    return values
