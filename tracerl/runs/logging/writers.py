"""What a logger is, and calls of loggers: an error in one is a warning, and the run continues."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tracerl.config.checks import ConfigError, described
from tracerl.lifetime.loop import NOT_FAILURES
from tracerl.nn.views import Numbers
from tracerl.runs.checkpoint import plain

if TYPE_CHECKING:
    from tracerl.recording.images import Picture

_DEPTH = 3  # of an offset in a checkpoint: info.log.offsets.NAME


@dataclass(frozen=True)
class LoggedRun:
    """The data of a run that its loggers need."""

    folder: Path  # folder of the run
    settings: Mapping[str, Any] = field(default_factory=dict)  # hyperparameters by dotted name
    config: str = ""  # resolved config as yaml
    steps: int = 1  # env steps of each lifetime
    lifetimes: int = 1  # number of lifetimes; the spread of two or more is logged too
    # decays and thresholds of the initialised agent (``views.constants``); None: those at the first picture
    initial: Mapping[str, Numbers] | None = None
    # result of ``RunLog.resume_offset`` in an earlier part of the run
    resume_offset: Mapping[str, Any] | None = None
    # result of ``RunLog.capture`` in the earlier part, as arrays by name
    kept: Mapping[str, Any] = field(default_factory=dict)


class LogWriter:
    """Where a log goes: a file, or a run of a service. What a logger does not support does nothing.

    An error in any method is a warning, and the run continues.

    Attributes:
        target: file or service, for messages.
        failures: errors that are no fault of the logger, such as that of a full disk: one warning, with the target, for
            all of them. For any other, each method has one warning, with the name of the logger and the error's class.
    """

    target: object = "the log"
    failures: tuple[type[Exception], ...] = (OSError,)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag, some of them possibly not finite. ``step`` is the env step of every lifetime."""

    def histograms(self, arrays: Mapping[str, Numbers], step: int) -> None:
        """Write the distributions of arrays of any shape, by tag."""

    def images(self, pictures: "Mapping[str, Picture]", step: int) -> None:
        """Write pictures by tag: uint8, [height, width, 3]."""

    def offset(self) -> Any:
        """Return what ``Logger.open`` needs to resume, as JSON data: part of a checkpoint."""

    def place(self) -> str | None:
        """Return the command or address that shows the log, for the last lines of a run; None without one."""

    def close(self, success: bool, summary: Mapping[str, Any]) -> None:
        """End the log.

        Args:
            success: whether the run finished.
            summary: contents of ``summary.json``; empty outside a run.
        """


class LoggerFailed(RuntimeError):
    """A logger could not begin: ``open`` raised an exception, which is this error's ``__cause__``."""


class Logger(Protocol):
    """The settings of one logger: a key of the group ``logger``."""

    def open(self, run: LoggedRun, offset: Any) -> LogWriter:
        """Begin the log of a run, or resume it.

        Args:
            run: the run.
            offset: what ``LogWriter.offset`` returned at the checkpoint; it comes from a file and can be anything.
                None: the log begins, or has no offset.
        """


class Writers:
    """The writers of a run's loggers.

    Attributes:
        by_name: the writers, by the name of their logger.
    """

    def __init__(self, run: LoggedRun, loggers: Mapping[str, Logger], offsets: Mapping[str, Any]) -> None:
        """Open all loggers. If one fails, those before it are closed.

        Raises:
            ConfigError: a setting cannot be used, or a logger returns no ``LogWriter``.
            LoggerFailed: a logger raised another error.
        """
        self._warned = set[tuple[str, str]]()  # names of loggers and methods that have failed
        self.by_name = dict[str, LogWriter]()
        with ExitStack() as opened:
            opened.callback(self.write, "close", lambda writer: writer.close(False, {}))
            for name, logger in loggers.items():
                self.by_name[name] = _opened(name, logger, run, offsets.get(name))
            opened.pop_all()

    def write(self, method: str, write: Callable[[LogWriter], None]) -> None:
        """Write with each logger. ``method`` is the name of what ``write`` calls."""
        for name in self.by_name:
            self._call(name, method, write)

    def offsets(self) -> dict[str, Any]:
        """Return the offset of each logger, by name; None for one that has failed."""
        return {name: self._call(name, "offset", _offset) for name in self.by_name}

    def places(self) -> list[str]:
        """Return the commands and addresses that show the logs."""
        return [place for name in self.by_name if (place := self._call(name, "place", _place)) is not None]

    def _call(self, name: str, method: str, call: Callable[[LogWriter], Any]) -> Any:
        """Call a method of a writer; None, with a warning (see ``LogWriter``), if that fails."""
        writer = self.by_name[name]
        try:
            return call(writer)
        except NOT_FAILURES:
            raise
        except BaseException as error:
            expected = isinstance(error, writer.failures)
            kind = name, "" if expected else method
            if kind not in self._warned:
                target = f"the log of {name}" if writer.target is LogWriter.target else writer.target
                problem = f"logger.{name} failed in {method}: {described(error)}"
                problem = f"cannot write {target}: {error}" if expected else problem
                print(f"warning: {problem}; the run continues", file=sys.stderr)
            self._warned.add(kind)
            return None


def _opened(name: str, logger: Logger, run: LoggedRun, offset: Any) -> LogWriter:
    """Return the writer of a logger; see ``Writers`` for errors."""
    try:
        writer = logger.open(run, offset)
    except (ConfigError, *NOT_FAILURES):
        raise
    except BaseException as error:
        raise LoggerFailed(f"logger.{name} failed in open") from error
    if not isinstance(writer, LogWriter):
        raise ConfigError(f"logger.{name}", f"must return a LogWriter in open, got {writer!r:.200}")
    return writer


def _offset(writer: LogWriter) -> Any:
    """Return the offset of a writer, as JSON has it."""
    found = writer.offset()
    plain.check("the offset", found, _DEPTH)
    return plain.loads(plain.canonical(found))


def _place(writer: LogWriter) -> str | None:
    """Return the place of a writer, which must be a text or None."""
    found = writer.place()
    if not isinstance(found, str | None):
        raise TypeError(f"the place must be a text or None, got {found!r:.200}")
    return found
