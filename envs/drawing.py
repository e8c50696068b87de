"""Draw pictures of tracerl's envs with NumPy: rows of squares, enlarged images and bars.

A picture is uint8, [height, width, 3]: red, green and blue, each from 0 to 255. Lengths are in pixels.
"""

from typing import Any

import numpy as np

from tracerl.config import checks

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[Any]]

MODES = ["rgb_array"]

BACKGROUND = 20
OFF, ON = (56, 56, 64), (245, 205, 80)
NAMED, RIGHT, WRONG = (96, 140, 220), (84, 176, 108), (208, 80, 80)
MARGIN = 4


def checked_mode(render_mode: str | None) -> str | None:
    """Check that a ``render_mode`` is None or ``rgb_array``."""
    return None if render_mode is None else checks.choice("render_mode", render_mode, MODES)


def shades(values: Numbers) -> Picture:
    """Return numbers in [0, 1] as colours from dark (0) to lit (1): [...] -> uint8, [..., 3]."""
    lit = values[..., np.newaxis] * (np.array(ON) - OFF) + OFF
    return lit.round().astype(np.uint8)


def tiles(colours: Picture, side: int = 32) -> Picture:
    """Draw a square of each colour, with ``MARGIN`` pixels between them: [rows, columns, 3] -> a picture."""
    rows, columns, _ = colours.shape
    pitch = side + MARGIN
    squares = np.full((rows, pitch, columns, pitch, 3), BACKGROUND, np.uint8)
    squares[:, MARGIN:, :, MARGIN:] = colours[:, np.newaxis, :, np.newaxis]
    picture = squares.reshape(rows * pitch, columns * pitch, 3)
    return np.pad(picture, ((0, MARGIN), (0, MARGIN), (0, 0)), constant_values=BACKGROUND)


def answer(options: int, named: int | None, reward: float | None, side: int = 32) -> Picture:
    """Draw a square for every action. The last one (``named``) is blue, or after its reward green (1) or red (0)."""
    colours = shades(np.zeros((1, options)))
    if named is not None:
        colours[0, named] = NAMED if reward is None else RIGHT if reward > 0 else WRONG
    return tiles(colours, side)


def bar(share: float, width: int, height: int = 6) -> Picture:
    """Draw a share in [0, 1] as a bar lit from the left."""
    lit = np.arange(width - 2 * MARGIN) < round(share * (width - 2 * MARGIN))
    inner = np.repeat(shades(lit.astype(np.float64))[np.newaxis], height, axis=0)
    return np.pad(inner, ((0, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=BACKGROUND)


def enlarged(image: Numbers, side: int) -> Picture:
    """Draw numbers in [0, 1] as a grey image with a square per pixel: [rows, columns] -> a picture."""
    grey = (image * 255).round().astype(np.uint8).repeat(side, 0).repeat(side, 1)
    colours = np.repeat(grey[..., np.newaxis], 3, axis=2)
    return np.pad(colours, ((MARGIN, 0), (MARGIN, MARGIN), (0, 0)), constant_values=BACKGROUND)


def stacked(*pictures: Picture) -> Picture:
    """Stack pictures below each other, aligned at the left, with the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    spaces = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    padded = [np.pad(p, space, constant_values=BACKGROUND) for p, space in zip(pictures, spaces, strict=True)]
    return np.concatenate(padded)
