"""Every episode of a run, streamed to disk: ``returns.npz``."""

import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

_FIELDS = np.dtype([("life", "<i4"), ("length", "<i4"), ("step", "<i8"), ("return", "<f8")])
_ROW = struct.Struct("<iiqd")
_CHUNK = 65536  # rows held in memory while the file is rewritten


class EpisodeLog:
    """Rows of 24 bytes in ``returns.part`` while the lives go on; columns in ``returns.npz`` once they have ended.

    The columns are ``life``, ``step`` (env step of the life at which the episode ended), ``length`` (env steps) and
    ``return`` (undiscounted), in the order in which episodes ended. A full disk costs the episodes that do not fit and
    one warning, not the life. Left out: keeping them in memory until the end.
    """

    def __init__(self, folder: Path) -> None:
        """Create the file.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path = folder / "returns.npz"
        self._part = folder / "returns.part"
        self._file = self._part.open("wb")
        self._warned = False

    def keep(self, life: int, step: int, episode_return: float, length: int) -> None:
        """Add one ended episode."""
        try:
            self._file.write(_ROW.pack(life, length, step, episode_return))
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


def _write_columns(rows: Path, target: Path) -> None:
    """Write a compressed npz of the rows, a chunk at a time."""
    n = rows.stat().st_size // _FIELDS.itemsize
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("life", "step", "length", "return"):
            column = _FIELDS[name]
            with archive.open(f"{name}.npy", "w", force_zip64=True) as out, rows.open("rb") as source:
                header = {"descr": column.str, "fortran_order": False, "shape": (n,)}
                np.lib.format.write_array_header_1_0(out, header)
                for start in range(0, n, _CHUNK):
                    chunk = np.fromfile(source, _FIELDS, min(_CHUNK, n - start))
                    out.write(chunk[name].tobytes())
