"""Output of a command that continues when its output fails: a closed pipe, a full disk, a terminal that is gone."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

_GONE = (OSError, ValueError)  # a write that fails; a stream that is closed


class _Dropping:
    """A text stream whose failed writes are dropped. All else is that of the stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text. Characters that the stream cannot encode are escaped."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode())
        except _GONE:
            pass
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        with suppress(*_GONE):
            self._stream.flush()


def _dropping(stream: Any) -> Any:
    return stream if stream is None or isinstance(stream, _Dropping) else _Dropping(stream)


@contextmanager
def dropping_failed_writes() -> Iterator[None]:
    """A context in which a failed write to stdout or stderr is dropped and raises no error."""
    with redirect_stdout(_dropping(sys.stdout)), redirect_stderr(_dropping(sys.stderr)):
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
