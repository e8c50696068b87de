"""A gif written frame by frame, in constant memory: each holds what changed since the one before.

Pillow compresses each frame; the blocks it makes of a picture are put together here. Source: the GIF89a specification,
https://www.w3.org/Graphics/GIF/spec-gif89a.txt. Pillow's own ``save_all`` keeps all frames until the end.
"""

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from tracerl.recording.images import Colour, Picture

_SAME = 255  # index of the colour that leaves the pixel as it was
_COLOURS = 255  # of a palette, that one aside
_FAR = 4.0  # mean distance per channel at which a frame gets a palette of its own

Indices = np.ndarray[Any, np.dtype[np.uint8]]


class Gif:
    """A gif that is played for ever.

    Attributes:
        frames: written so far.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, kept: Sequence[Colour] = ()) -> None:
        """Begin.

        Args:
            path: of the file, which is overwritten.
            size: width and height of all frames.
            fps: frames per second, of which a gif knows hundredths: their mean is right.
            kept: colours that every palette has, up to 128: those that come up later than in the first frame.
        """
        self._file: BinaryIO = path.open("wb")
        self._size, self._fps, self.frames = size, fps, 0
        self._palette: Image.Image | None = None
        self._kept = list(kept)
        self._common = b""  # colours of the first frame, which others share where they can
        self._shown: Indices = np.zeros((0, 0), np.uint8)  # of the last frame

    def add(self, picture: Picture) -> None:
        """Write a frame."""
        image = Image.fromarray(picture)
        palette = self._palette
        indices = None if palette is None else _mapped(image, palette)
        if palette is not None and indices is not None and _distance(picture, indices, palette) <= _FAR:
            left, top, part = _changed(self._shown, indices)
        else:
            palette = _palette(image, self._kept)
            indices = part = _mapped(image, palette)
            left = top = 0
        self._palette, self._shown = palette, indices
        self._write(left, top, part, _colours(palette))

    def close(self) -> None:
        """Write the end."""
        if not self._file.closed:
            self._file.write(b"\x3b")
            self._file.close()

    def _write(self, left: int, top: int, part: Indices, colours: bytes) -> None:
        """Write a part of a picture as a frame, with its palette where it is not that of the first one."""
        if not self.frames:
            self._common = colours
            self._file.write(b"GIF89a" + struct.pack("<HHBBB", *self._size, 0xF7, 0, 0) + colours)
            self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # again and again
        duration = max(2, round((self.frames + 1) * 100 / self._fps) - round(self.frames * 100 / self._fps))
        self.frames += 1
        image = Image.fromarray(part)
        image.putpalette(colours)
        own = b"" if colours == self._common else colours
        self._file.write(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0x05, duration, _SAME, 0))  # leave it; one is clear
        size = part.shape[1], part.shape[0]
        self._file.write(struct.pack("<BHHHHB", 0x2C, left, top, *size, 0x87 if own else 0) + own + _compressed(image))


def _palette(image: Image.Image, kept: Sequence[Colour]) -> Image.Image:
    """Return a palette of the colours to keep and the best of those of a picture."""
    best = image.quantize(_COLOURS - len(kept), dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in kept for level in colour] + best[: 3 * (_COLOURS - len(kept))])
    return palette


def _mapped(image: Image.Image, palette: Image.Image) -> Indices:
    return np.asarray(image.quantize(palette=palette, dither=Image.Dither.NONE))


def _colours(palette: Image.Image) -> bytes:
    """Return the 256 colours of a palette as bytes: red, green, blue."""
    found = bytes(palette.getpalette() or [])
    return found[: 3 * _COLOURS].ljust(3 * 256, b"\0")


def _distance(picture: Picture, indices: Indices, palette: Image.Image) -> float:
    """Return how far the colours of a palette are from those of the picture, on every eighth pixel."""
    colours = np.frombuffer(_colours(palette), np.uint8).reshape(256, 3).astype(np.int16)
    return float(np.abs(colours[indices[::8, ::8]] - picture[::8, ::8]).mean())


def _changed(before: Indices, after: Indices) -> tuple[int, int, Indices]:
    """Return where the smallest rectangle that holds all changes begins, and the rectangle, else ``_SAME``."""
    differs = before != after
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return 0, 0, np.full((1, 1), _SAME, np.uint8)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return int(columns[0]), int(rows[0]), np.where(differs[box], after[box], np.uint8(_SAME))


def _compressed(image: Image.Image) -> bytes:
    """Return the pixels of a picture as Pillow compresses them into a gif of one frame."""
    buffer = io.BytesIO()
    image.save(buffer, "GIF", interlace=0, optimize=False)
    written = buffer.getvalue()
    place = 13 + 3 * 2 ** ((written[10] & 7) + 1)  # after the header and its palette
    while written[place] == 0x21:  # an extension: skip its sub-blocks
        place += 2
        while written[place]:
            place += written[place] + 1
        place += 1
    return written[place + 10 : -1]  # after the image descriptor, before the end
