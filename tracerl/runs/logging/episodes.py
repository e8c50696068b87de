"""The log of every episode of a run, streamed to disk: ``returns.npz``."""

import io
import os
import struct
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tracerl.runs import disk
from tracerl.runs.files import create_to_append, open_regular, open_to_append, replacing, write_atomic

_FIELDS = np.dtype([("life", "<i4"), ("length", "<i4"), ("step", "<i8"), ("return", "<f8")])
_COLUMNS = ("life", "step", "length", "return")
_ROW = struct.Struct("<iiqd")
_CHUNK = 65536  # rows in memory while the file is read
_LAST = 10**15  # largest valid env step


class EpisodeLog:
    """Rows of 24 bytes in ``returns.part`` during the run, then columns in ``returns.npz``.

    The columns are ``life``, ``step`` (env step of the lifetime at which the episode ended), ``length`` (env steps) and
    ``return`` (undiscounted), in the order in which episodes ended. On a full disk, or if the file is lost, episodes
    are lost with one warning, and the run continues. Episodes are not kept in memory, so that memory is constant.
    """

    def __init__(self, folder: Path, rows: int = 0) -> None:
        """Create the file, or append to the first ``rows`` episodes of an earlier part of the run."""
        self.path = folder / "returns.npz"
        self._part = folder / "returns.part"
        self._rows, self._warned = _recover(self._part, self.path, rows) if rows else 0, False
        if self._rows < rows:
            problem = f"{rows - self._rows:,} of {rows:,} episodes are lost: {self._part} holds {self._rows:,}"
            print(f"warning: {problem}; the run continues", file=sys.stderr)
        if self._rows:
            self._file = open_to_append(self._part, self._rows * _FIELDS.itemsize)
        else:
            self._part.unlink(missing_ok=True)
            self._file = create_to_append(self._part)
        self.path.unlink(missing_ok=True)

    def flush(self) -> int:
        """Write every episode so far to the file and return their number."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._warn(error)
        return self._rows

    def keep(self, lifetime: int, step: int, episode_return: float, length: int) -> None:
        """Append one ended episode."""
        try:
            self._file.write(_ROW.pack(lifetime, length, step, episode_return))
            self._rows += 1
        except OSError as error:
            self._warn(error)

    def close(self) -> None:
        """Convert the rows to columns and remove the rows."""
        try:
            self._file.close()
            with replacing(self.path) as aside:
                _write_columns(self._part, aside)
            disk.remove_file(self._part)
        except OSError as error:
            self._warn(error)

    def discard(self) -> None:
        """Close the file without writing buffered episodes, because it belongs to another run."""
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._file.fileno())
        self._file.close()

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            print(f"warning: cannot write {self.path}: {error}; the run continues", file=sys.stderr)
        self._warned = True


def _recover(part: Path, columns: Path, rows: int) -> int:
    """Recover the first episodes of a run into ``returns.part`` and return their number.

    A killed run leaves them in ``returns.part``, an ended run in ``returns.npz``, and a run killed during ``close`` in
    both.
    """
    there = 0
    with suppress(OSError), open(open_regular(part), "rb") as file:
        there = _count_sound(file, rows)
    if there < rows:
        try:
            found = _rows_of(columns)[:rows].tobytes()
        except ValueError:
            return there
        sound = _count_sound(io.BytesIO(found), rows)
        if sound > there:
            write_atomic(part, found)
            return sound
    return there


def _count_sound(file: BinaryIO, most: int) -> int:
    """Return the number of valid rows before the first invalid one."""
    there = 0
    while there < most:
        data = file.read(_FIELDS.itemsize * min(_CHUNK, most - there))
        rows = _whole_rows(data)
        sound = (rows["life"] >= 0) & (rows["length"] > 0) & (rows["length"] <= rows["step"]) & (rows["step"] <= _LAST)
        if not len(rows) or not sound.all():
            return there + int(np.append(sound, False).argmin())
        there += len(rows)
    return there


def _columns_of(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of a ``returns.npz``."""
    try:
        with open(open_regular(path), "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no npz file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                columns = {name: found[name].astype(_FIELDS[name], casting="same_kind") for name in _COLUMNS}
        if {column.shape for column in columns.values()} != {(len(columns["step"]),)}:
            raise ValueError("its columns differ in length")
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise ValueError(f"cannot read {path}: {error}") from error
    return columns


def _rows_of(path: Path) -> np.ndarray[Any, Any]:
    """Return the columns of a ``returns.npz`` as rows; see ``_columns_of``."""
    columns = _columns_of(path)
    rows = np.empty(len(columns["step"]), _FIELDS)
    for name in _COLUMNS:
        rows[name] = columns[name]
    return rows


def _write_columns(part: Path, target: Path) -> None:
    """Write the rows as a compressed npz, in constant memory."""
    n = part.stat().st_size // _FIELDS.itemsize
    rows = np.memmap(part, _FIELDS, "r", shape=(n,)) if n else np.empty(0, _FIELDS)
    with open(disk.create(target), "wb") as file:
        columns: dict[str, Any] = {name: rows[name] for name in _COLUMNS}
        np.savez_compressed(file, **columns)
        file.flush()
        disk.sync(file.fileno())


def read_episodes(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of every episode of a run so far, in the order of their ends; see ``EpisodeLog``.

    A ``returns.npz`` that cannot be read, without a ``returns.part`` in its place, is a warning, and has no episode.
    """
    try:
        return _columns_of(folder / "returns.npz")
    except ValueError as error:
        problem = None if isinstance(error.__cause__, FileNotFoundError) else error
    data = b""
    try:
        with open(open_regular(folder / "returns.part"), "rb") as file:
            data = file.read()
    except OSError:
        if problem is not None:
            print(f"warning: {str(problem).splitlines()[0]}", file=sys.stderr)
    rows = _whole_rows(data)
    return {name: rows[name] for name in _COLUMNS}


def _whole_rows(data: bytes) -> np.ndarray[Any, Any]:
    """Return the rows in a file without an incomplete last one."""
    return np.frombuffer(data[: len(data) // _FIELDS.itemsize * _FIELDS.itemsize], _FIELDS)
