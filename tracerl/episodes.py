"""Every episode of a run, streamed to disk: ``returns.npz``."""

import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

_FIELDS = np.dtype([("life", "<i4"), ("length", "<i4"), ("step", "<i8"), ("return", "<f8")])
_COLUMNS = ("life", "step", "length", "return")
_ROW = struct.Struct("<iiqd")
_CHUNK = 65536  # rows held in memory while the file is rewritten


class EpisodeLog:
    """Rows of 24 bytes in ``returns.part`` while the lives go on; columns in ``returns.npz`` once they have ended.

    The columns are ``life``, ``step`` (env step of the life at which the episode ended), ``length`` (env steps) and
    ``return`` (undiscounted), in the order in which episodes ended. A full disk costs the episodes that do not fit and
    one warning, not the life. Left out: keeping them in memory until the end.
    """

    def __init__(self, folder: Path, rows: int = 0) -> None:
        """Create the file, or go on with that of an earlier part of the run.

        Args:
            folder: of the run.
            rows: episodes of the earlier part; whatever follows them there is dropped.

        Raises:
            OSError: the folder cannot be written.
            ValueError: fewer episodes are there.
        """
        self.path = folder / "returns.npz"
        self._part = folder / "returns.part"
        if rows and not self._part.exists():
            self._part.write_bytes(_rows_of(self.path))
        there = self._part.stat().st_size if rows else 0
        if there < rows * _FIELDS.itemsize:
            raise ValueError(f"{self._part} must hold {rows} episodes, got {there // _FIELDS.itemsize}")
        self._file = self._part.open("ab" if rows else "wb")
        self._file.truncate(rows * _FIELDS.itemsize)
        self.path.unlink(missing_ok=True)
        self._rows, self._warned = rows, False

    def flush(self) -> int:
        """Bring every episode so far to the file and return how many there are."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._warn(error)
        return self._rows

    def keep(self, life: int, step: int, episode_return: float, length: int) -> None:
        """Add one ended episode."""
        try:
            self._file.write(_ROW.pack(life, length, step, episode_return))
            self._rows += 1
        except OSError as error:
            self._warn(error)

    def close(self) -> None:
        """Turn the rows into columns and remove the rows."""
        try:
            self._file.close()
            aside = self.path.with_suffix(".npz.part")
            _write_columns(self._part, aside)
            aside.replace(self.path)
            self._part.unlink()
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            print(f"warning: cannot write {self.path}: {error}; the life goes on", file=sys.stderr)
        self._warned = True


def _rows_of(path: Path) -> bytes:
    """Return the rows that the columns of a ``returns.npz`` were."""
    with np.load(path, allow_pickle=False) as columns:
        rows = np.empty(len(columns["step"]), _FIELDS)
        for name in _COLUMNS:
            rows[name] = columns[name]
    return rows.tobytes()


def _write_columns(rows: Path, target: Path) -> None:
    """Write a compressed npz of the rows, a chunk at a time."""
    n = rows.stat().st_size // _FIELDS.itemsize
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _COLUMNS:
            column = _FIELDS[name]
            with archive.open(f"{name}.npy", "w", force_zip64=True) as out, rows.open("rb") as source:
                header = {"descr": column.str, "fortran_order": False, "shape": (n,)}
                np.lib.format.write_array_header_1_0(out, header)
                for start in range(0, n, _CHUNK):
                    chunk = np.fromfile(source, _FIELDS, min(_CHUNK, n - start))
                    out.write(chunk[name].tobytes())


def read_episodes(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return every episode of a run by column, of one that goes on or was killed too; empty where there is none.

    Args:
        folder: of the run.

    Returns:
        Arrays ``life``, ``step``, ``length`` and ``return``, in the order in which episodes ended.
    """
    try:
        with np.load(folder / "returns.npz", allow_pickle=False) as columns:
            return {name: columns[name] for name in _COLUMNS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass
    try:
        data = (folder / "returns.part").read_bytes()
    except OSError:
        data = b""
    rows = np.frombuffer(data[: len(data) // _FIELDS.itemsize * _FIELDS.itemsize], _FIELDS)  # the last one may be torn
    return {name: rows[name] for name in _COLUMNS}
