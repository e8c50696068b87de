"""Output that fails: a closed pipe, a full disk, a terminal that is gone, a character that cannot be encoded."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, NoReturn

_GONE = (OSError, ValueError)  # a write that fails; a stream that is closed


class StdoutFailed(OSError):
    """stdout cannot be written, and not because its reader has ended."""


class _Stream:
    """A text stream with a function that is called with the error of a failed write. All else is that of the stream."""

    def __init__(self, stream: Any, failed: Callable[[Exception], None]) -> None:
        self._stream, self._failed = stream, failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text. Characters that the stream cannot encode are escaped."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode())
        except _GONE as error:
            self._failed(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except _GONE as error:
            self._failed(error)


def _dropping(stream: Any) -> Any:
    return None if stream is None else _Stream(stream, lambda error: None)


def _raise(error: Exception) -> NoReturn:
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        raise StdoutFailed(error.errno, error.strerror) from error
    raise error


@contextmanager
def dropping_failed_writes() -> Iterator[None]:
    """A context in which a failed write to stdout or stderr is dropped and raises no error."""
    with redirect_stdout(_dropping(sys.stdout)), redirect_stderr(_dropping(sys.stderr)):
        yield


@contextmanager
def naming_failed_writes() -> Iterator[None]:
    """A context in which a failed write to stdout raises a ``StdoutFailed``, but for a BrokenPipeError."""
    with redirect_stdout(None if sys.stdout is None else _Stream(sys.stdout, _raise)):
        yield


def discard_unwritten() -> None:
    """Discard what stdout and stderr still cannot write, at the end of a process.

    Python would flush them and exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except _GONE:
            with suppress(*_GONE):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
