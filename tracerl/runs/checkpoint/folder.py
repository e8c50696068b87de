"""Read plain files of expected sizes from an untrusted folder.

A file that is missing, unreadable, or of another kind or size raises BadCheckpoint.
"""

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint.names import MOST_PARTS
from tracerl.runs.files import kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: opening a named pipe must return
_NAMES = MOST_PARTS + 2  # largest number of names to list: those of the largest checkpoint and one more


class BadCheckpoint(ConfigError):
    """A checkpoint that is incomplete, damaged, changed or of another format. None of it was used.

    Attributes:
        file: name of the file in its folder; None if the problem is the folder.
    """

    def __init__(self, folder: Path, file: str | None, problem: str) -> None:
        super().__init__(folder.name, f"cannot be used: {'it' if file is None else file} {problem}")
        self.file = file


class Folder:
    """A context for reading the files of one folder, also if the folder is renamed meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path, self._fd = path, -1

    def __enter__(self) -> "Folder":
        with self._named(None):
            mode = os.lstat(self.path).st_mode
            if not stat.S_ISDIR(mode):
                raise self.bad(None, f"is {kind(mode)}, not a folder")
            self._fd = os.open(self.path, _FOLDER)
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def bad(self, file: str | None, problem: str) -> BadCheckpoint:
        """Return an error about a file in the folder, or about the folder."""
        return BadCheckpoint(self.path, file, problem)

    @contextmanager
    def _named(self, file: str | None) -> Iterator[None]:
        """Convert an OSError to an error about a file in the folder, or about the folder."""
        try:
            yield
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self.bad(file, "is missing" if missing else f"cannot be read: {error.strerror}") from error

    def names(self) -> set[str]:
        """Return the names in the folder. At most one more than a checkpoint can have is listed."""
        with self._named(None), os.scandir(self._fd) as entries:
            return {entry.name for entry in itertools.islice(entries, _NAMES)}

    def size(self, name: str) -> int:
        """Return the size of a plain file in bytes."""
        with self._named(name):
            return self._plain_size(name, os.stat(name, dir_fd=self._fd, follow_symlinks=False))

    def _plain_size(self, name: str, found: os.stat_result) -> int:
        if not stat.S_ISREG(found.st_mode):
            raise self.bad(name, f"is {kind(found.st_mode)}, not a plain file")
        return found.st_size

    def read(self, name: str, size: int) -> bytes:
        """Read a plain file."""
        self.size(name)  # checked before opening, because opening a device can have effects
        with self._named(name), open(os.open(name, _FILE, dir_fd=self._fd), "rb") as file:
            there = self._plain_size(name, os.fstat(file.fileno()))
            data = file.read(size + 1) if there == size else b""
        if there != size or len(data) != size:
            came = there if there != size else len(data)
            raise self.bad(name, f"has {came:,} bytes, the manifest says {size:,}")
        return data
