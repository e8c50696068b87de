"""``metrics.csv``: every logged number in a row of its own."""

import csv
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tracerl.config.forms import fits
from tracerl.runs.files import create_to_append, open_regular, open_to_append
from tracerl.runs.logging.writers import LoggedRun, LogWriter
from tracerl.runs.saved import COUNT

FILE = "metrics.csv"
COLUMNS = ("step", "tag", "value")
_HEAD = (",".join(COLUMNS) + "\n").encode()
_BLOCK = 65536  # bytes in memory while the end of the last row is searched


@dataclass(frozen=True)
class Csv:
    """The logger ``csv``: the curves in ``metrics.csv``, with the columns step, tag and value.

    Tags appear when they have a first number, so a row holds one number and not all of a step. Histograms and images
    are left out.
    """

    def open(self, run: LoggedRun, offset: Any) -> "CsvWriter":
        """Begin the file, or drop the rows after the checkpoint and append; see ``Logger.open``."""
        return CsvWriter(run.folder / FILE, offset if fits(COUNT, offset) else None)


class CsvWriter(LogWriter):
    """Rows of numbers. Those of a point are in the file before the call returns."""

    def __init__(self, path: Path, size: int | None) -> None:
        """Create the file, or append to an existing one.

        Args:
            path: of the file.
            size: bytes of the file to keep; None: all of them.
        """
        self.target = path
        self._file = _opened(path, size)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Append a row per number."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows((step, tag, float(value)) for tag, value in values.items())
        self._file.write(text.getvalue().encode())
        self._file.flush()

    def offset(self) -> int:
        """Return the length of the file, bytes."""
        return self._file.tell()

    def place(self) -> str:
        """Return the path of the file."""
        return str(self.target)

    def close(self, success: bool, summary: Mapping[str, Any]) -> None:
        """Close the file."""
        self._file.close()


def _opened(path: Path, size: int | None) -> BinaryIO:
    """Open the file to append after the last complete row within ``size`` bytes, with a warning if rows are lost."""
    try:
        kept = _end_of_rows(path, size)
    except FileNotFoundError:
        kept = 0
    if size is not None and kept < size:
        print(f"warning: {path} holds {kept:,} bytes of rows, not {size:,}: rows are lost", file=sys.stderr)
    if kept:
        return open_to_append(path, kept)
    path.unlink(missing_ok=True)
    file = create_to_append(path)
    file.write(_HEAD)
    file.flush()
    return file


def _end_of_rows(path: Path, size: int | None) -> int:
    """Return the number of bytes up to the end of the last complete row; 0 for a file with another header."""
    with open(open_regular(path), "rb") as file:
        if file.read(len(_HEAD)) != _HEAD:
            return 0
        there = file.seek(0, os.SEEK_END)
        end = there if size is None else min(size, there)
        while end > 0:  # a killed run can leave a part of a row
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
