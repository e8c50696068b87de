"""Pictures by NumPy and Pillow: rasters, line graphs, bars and histograms, each with its name, side by side.

A picture is uint8, [height, width, 3]: red, green and blue, each from 0 to 255. Lengths are in pixels. Left out:
axes with ticks, log scales, legends: what is drawn here is read at a glance, while it moves or beside a number;
``python -m tracerl.plot`` draws for print.
"""

import io
from collections.abc import Sequence
from itertools import groupby
from math import isfinite
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[Any]]
Colour = tuple[int, int, int]

BACKGROUND, PANEL, GRID, INK, QUIET = (18, 18, 24), (28, 28, 36), (64, 64, 76), (226, 226, 232), (140, 140, 152)
SPIKE, BLUE, ORANGE, GREEN, RED = (245, 205, 80), (96, 160, 240), (240, 150, 70), (96, 200, 130), (232, 96, 96)
COLOURS = (BLUE, ORANGE, GREEN, RED, SPIKE, (190, 140, 230))  # of several series, in this order
GAP = 6  # between pictures
_CAPTION = 16  # height of a line of text


def raster(spikes: Numbers, width: int, height: int) -> Picture:
    """Draw spikes, one row per neuron, time to the right; where neurons share a row, it is lit if one of them fired.

    Args:
        spikes: 0 or 1, [steps, n].
        width: of the picture.
        height: of the picture.
    """
    return _cells(spikes, width, height, np.array(SPIKE), np.array(PANEL))


def shades(values: Numbers, low: float, high: float, width: int, height: int) -> Picture:
    """Draw numbers as shades of blue from ``low`` (dark) to ``high``: values [steps, n], time to the right."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    return _cells(share, width, height, np.array(BLUE), np.array(PANEL))


def _cells(share: Numbers, width: int, height: int, lit: Numbers, dark: Numbers) -> Picture:
    """Draw a share in [0, 1] per step and neuron; where there are more of them than pixels, the largest is shown."""
    cells = _largest(_largest(np.asarray(share, np.float64).T, height, 0), width, 1)  # [height, width]
    colours: Picture = (dark + cells[..., np.newaxis] * (lit - dark)).round().astype(np.uint8)
    return colours


def _largest(values: Numbers, pixels: int, axis: int) -> Numbers:
    """Bring an axis to a number of pixels: its entries repeated where they are fewer, the largest taken where more."""
    firsts = np.arange(pixels) * values.shape[axis] // pixels
    fitted: Numbers = np.maximum.reduceat(values, firsts, axis)  # of one that is repeated, the entry itself
    return fitted


def lines(
    series: Sequence[Numbers], width: int, height: int, low: float | None = None, high: float | None = None
) -> Picture:
    """Draw line graphs over the same steps, with the ends of their common scale and a line at zero.

    Args:
        series: each [steps], all of one length, in the order of ``COLOURS``; NaN leaves a gap.
        width: of the picture.
        height: of the picture.
        low: lower end of the scale; None: the least number.
        high: upper end; None: the largest.
    """
    stacked_up = np.array(series, np.float64)
    finite = stacked_up[np.isfinite(stacked_up)]
    bottom = low if low is not None else float(finite.min(initial=0.0))
    top = high if high is not None else float(finite.max(initial=0.0))
    image, pen = _panel(width, height)
    scale = (height - 3) / max(top - bottom, 1e-12)
    if bottom < 0 < top:
        pen.line([(0, height - 2 + bottom * scale), (width, height - 2 + bottom * scale)], fill=GRID)
    places = np.linspace(0, width - 1, stacked_up.shape[1])
    heights = height - 2 - (np.clip(stacked_up, bottom, top) - bottom) * scale
    for i, line in enumerate(heights):
        for there, part in groupby(zip(places.tolist(), line.tolist(), strict=True), lambda point: isfinite(point[1])):
            points = list(part)
            if there:
                pen.line(points if len(points) > 1 else points * 2, fill=COLOURS[i % len(COLOURS)], width=1)
    pen.text((3, 1), f"{top:.3g}", fill=QUIET, font=_font(10))
    pen.text((3, height - 13), f"{bottom:.3g}", fill=QUIET, font=_font(10))
    return np.asarray(image).copy()


def bars(shares: Numbers, labels: Sequence[str], width: int, height: int, marked: int | None = None) -> Picture:
    """Draw shares in [0, 1] as bars that grow to the right, one under the other, the marked one in another colour."""
    image, pen = _panel(width, height)
    pitch, font = height / len(shares), _font(min(12, max(8, int(height / len(shares)) - 3)))
    for i, (share, label) in enumerate(zip(shares.tolist(), labels, strict=True)):
        top = i * pitch
        fill = ORANGE if i == marked else BLUE
        pen.rectangle([0, top + 1, max(0.0, min(1.0, share)) * (width - 1), top + pitch - 2], fill=fill)
        pen.text((4, top + pitch / 2), f"{label} {share:.2f}", fill=INK, font=font, anchor="lm")
    return np.asarray(image).copy()


def histogram(values: Numbers, width: int, height: int, low: float | None = None, high: float | None = None) -> Picture:
    """Draw how numbers are distributed, with the ends of their range; those that are not finite are left out.

    Args:
        values: any shape, at least one finite.
        width: of the picture.
        height: of the picture.
        low: lower end of the range; None: the least.
        high: upper end; None: the largest.
    """
    finite = values[np.isfinite(values)]
    ends = (float(finite.min()) if low is None else low, float(finite.max()) if high is None else high)
    if ends[1] <= ends[0]:
        ends = ends[0] - 0.5, ends[0] + 0.5
    counts, _ = np.histogram(finite, bins=max(1, min(40, width // 4)), range=ends)
    image, pen = _panel(width, height)
    pitch, room = width / len(counts), height - _CAPTION
    for i, count in enumerate((counts / max(1, counts.max()) * (room - 2)).tolist()):
        pen.rectangle([i * pitch, room - count, (i + 1) * pitch - 1, room], fill=BLUE)
    pen.text((3, height - 2), f"{ends[0]:.3g}", fill=QUIET, font=_font(10), anchor="lb")
    pen.text((width - 3, height - 2), f"{ends[1]:.3g}", fill=QUIET, font=_font(10), anchor="rb")
    return np.asarray(image).copy()


def titled(picture: Picture, title: str) -> Picture:
    """Put a line of text above a picture, cut where the picture ends."""
    image = Image.new("RGB", (picture.shape[1], _CAPTION), BACKGROUND)
    ImageDraw.Draw(image).text((1, _CAPTION - 3), title, fill=INK, font=_font(11), anchor="ls")
    return np.concatenate([np.asarray(image), picture])


def resized(picture: Picture, height: int) -> Picture:
    """Scale a picture to a height, its proportions kept."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)).copy()


def beside(*pictures: Picture) -> Picture:
    """Put pictures next to each other, from the top, ``GAP`` pixels between them."""
    turned = [picture.swapaxes(0, 1) for picture in pictures]
    return stacked(*turned).swapaxes(0, 1)


def stacked(*pictures: Picture) -> Picture:
    """Put pictures below each other, from the left, ``GAP`` pixels between them."""
    width = max(picture.shape[1] for picture in pictures)
    height = sum(picture.shape[0] for picture in pictures) + GAP * (len(pictures) - 1)
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    top = 0
    for picture in pictures:
        sheet[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + GAP
    return sheet


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def _panel(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), PANEL)
    return image, ImageDraw.Draw(image)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
