"""TensorBoard: one event stream in the folder of a run."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config.checks import ConfigError
from tracerl.nn.views import Numbers
from tracerl.runs.logging.custom_scalars import GUIDE, Chart, charts_of
from tracerl.runs.logging.log import LogSchedule, RunLog
from tracerl.runs.logging.writers import LoggedRun as LoggedRun
from tracerl.runs.logging.writers import LogWriter
from tracerl.runs.run_info import event_offset

if TYPE_CHECKING:
    from tracerl.recording.images import Picture


@dataclass(frozen=True)
class EventStream:
    """The logger ``tensorboard``: settings and config at the start, then curves, histograms, pictures and charts."""

    def open(self, run: LoggedRun, offset: Any) -> "EventStreamWriter":
        """Begin or resume the event stream; see ``Logger.open``.

        Raises:
            ConfigError: the offset is none of an event file.
        """
        try:
            checked = None if offset is None else event_offset("info.log.offsets.tensorboard", offset)
        except ValueError as error:
            raise ConfigError("checkpoint", f"cannot be used: {error}") from error
        return EventStreamWriter(run, checked)


@dataclass(frozen=True)
class TensorBoard(LogSchedule):
    """TensorBoard alone, with its schedule: a logger from Python, and in a yaml of tracerl 0.1."""

    def open(self, run: LoggedRun) -> RunLog:
        """Start or resume the event stream of a run."""
        return RunLog(self, run, {"tensorboard": EventStream()})


@dataclass(frozen=True)
class Silent:
    """Log nothing: ``logger=none`` in a yaml of tracerl 0.1."""

    def open(self, run: LoggedRun) -> None:
        """Return None."""


class EventStreamWriter(LogWriter):
    """The event stream of a run. Every event is in the file before the call returns."""

    def __init__(self, run: LoggedRun, offset: Sequence[Any] | None) -> None:
        """Create the file, or append to that of an earlier part of the run.

        Args:
            run: the run.
            offset: name of the event file, its length in bytes and, if known, the titles of the charts declared so far.
        """
        from tracerl.runs.logging.event_file import open_events  # imports TensorBoard, which is slow

        file, size, *charts = offset or (None, 0)
        self._folder: Path = run.folder
        self._events, resumed = open_events(run.folder, None if file is None else (file, size))
        self._charts, self._tags = list(charts[0]) if resumed and charts else [], set[str]()
        if resumed:
            return
        self._events.hyperparameters(run.settings)
        self._events.text("config", "```yaml\n" + run.config + "```")
        self._events.text("about_these_pages", GUIDE)

    @property
    def target(self) -> Path:  # type: ignore[override]
        """Path of the event file."""
        return self._events.path

    def offset(self) -> list[Any]:
        """Return the name of the event file, its length in bytes, and the titles of the charts declared so far."""
        return [*self._events.offset(), self._charts]

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag in one event, and declare the charts of new tags."""
        try:
            self._events.scalars(values, step)
        finally:
            if not values.keys() <= self._tags:
                self._tags |= values.keys()
                self._declare(charts_of(self._tags), step)

    def _declare(self, charts: Mapping[str, Sequence[Chart]], step: int) -> None:
        """Declare the charts if one of them is new."""
        titles = [chart.title for category in charts.values() for chart in category]
        if not set(titles) <= set(self._charts):
            self._events.layout(charts, step)
            self._charts = titles

    def histograms(self, arrays: Mapping[str, Numbers], step: int) -> None:
        """Write histograms by tag in one event."""
        self._events.histograms(arrays, step)

    def images(self, pictures: "Mapping[str, Picture]", step: int) -> None:
        """Write pictures by tag in one event."""
        from tracerl.recording.images import png

        pngs = {tag: (png(picture, exact=False), *picture.shape[1::-1]) for tag, picture in pictures.items()}
        self._events.images(pngs, step)

    def place(self) -> str:
        """Return the command that shows the folder."""
        return f"tensorboard --logdir {shlex.quote(str(self._folder))}"

    def close(self, success: bool, summary: Mapping[str, Any]) -> None:
        """Write whether the run succeeded, and close the file."""
        try:
            self._events.end_session(success)
        finally:
            self._events.close()
