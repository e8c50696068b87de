"""Draw shades, bars and histograms with NumPy and Pillow, and combine them.

A picture is uint8, [height, width, 3]: red, green and blue, each from 0 to 255. Lengths are in pixels. Ticks, log
scales and legends are left out, because these pictures are small or moving. ``python -m tracerl.plot`` draws for print.
"""

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FRAMES_NEED = 'needs packages to draw its frames: pip install "tracerl[watch]"'  # said of an env that lacks them
Picture = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[Any]]
Colour = tuple[int, int, int]

BACKGROUND, PANEL, GRID, INK, QUIET = (18, 18, 24), (28, 28, 36), (64, 64, 76), (226, 226, 232), (140, 140, 152)
SPIKE, BLUE, ORANGE, GREEN, RED = (245, 205, 80), (96, 160, 240), (240, 150, 70), (96, 200, 130), (232, 96, 96)
CHARGED, DRAINED = (88, 128, 205), (70, 46, 76)  # a membrane at its threshold, and one far below zero
COLOURS = (BLUE, ORANGE, GREEN, RED, SPIKE, (190, 140, 230))  # of the series of a graph, in this order
TRACES = (SPIKE, (232, 140, 170), (120, 190, 235))  # of neurons whose membranes are drawn
GAP = 6  # between pictures
_CAPTION = 16  # height of a line of text
_LEVELS = 64  # shades between dark and lit
_FAINTEST = 1 / 3  # share of the colour of a pixel with a single spike


def shades(values: Numbers, low: float, high: float, width: int, height: int, colour: Colour = BLUE) -> Picture:
    """Draw numbers as shades from ``low`` (dark) to ``high`` (the colour): values [steps, n], time to the right."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    return _cells(share, width, height, _ramp(PANEL, colour))


def membranes(shares: Numbers, width: int, height: int) -> Picture:
    """Draw membranes as shares of their thresholds, [steps, n]: blue up to 1, dark at 0, violet below.

    A share x below zero is drawn as 1 / (1 - x) - 1, since membranes have no lower limit.
    """
    ramp = np.concatenate([_ramp(DRAINED, PANEL), _ramp(PANEL, CHARGED)])
    level = np.where(shares < 0, 1 / (1 + np.abs(shares)) - 1, np.minimum(shares, 1.0))
    return _cells((level + 1) / 2, width, height, ramp)


def lit(picture: Picture, spikes: Numbers, colour: Colour = SPIKE) -> Picture:
    """Draw spikes, 0, 1 or -1, [steps, n], over a picture.

    A pixel of several neurons or steps is as bright as the square root of the share that fired, since the light of a
    screen grows faster than its numbers; a single spike has a third of the colour at least.
    """
    height, width, _ = picture.shape
    share = _means(_means((spikes != 0).T.astype(np.float64), height, 0), width, 1)
    shade = np.where(share > 0, np.sqrt(share).clip(min=_FAINTEST), 0.0)[..., np.newaxis]
    blend: Picture = (picture + shade * (np.array(colour) - picture)).round().astype(np.uint8)
    return blend


def _ramp(dark: Colour, lit: Colour) -> Picture:
    """Return a gradient between two colours, uint8, [levels, 3]."""
    shares = np.linspace(0.0, 1.0, _LEVELS)[:, np.newaxis]
    ramp: Picture = (np.array(dark) + shares * (np.array(lit) - dark)).round().astype(np.uint8)
    return ramp


def _cells(share: Numbers, width: int, height: int, ramp: Picture) -> Picture:
    """Draw a share in [0, 1] per step and neuron. A pixel with several of them shows their mean."""
    means = _means(_means(np.nan_to_num(np.asarray(share, np.float64).T), height, 0), width, 1)
    colours: Picture = ramp.take((means * (len(ramp) - 1)).round().astype(np.uint8), axis=0)  # [height, width, 3]
    return colours


def _means(values: Numbers, pixels: int, axis: int) -> Numbers:
    """Resize an axis to a number of pixels: repeat entries to enlarge it, take means to shrink it."""
    n = values.shape[axis]
    firsts = np.arange(pixels) * n // pixels
    if pixels >= n:
        repeated: Numbers = values.take(firsts, axis)
        return repeated
    sums = np.moveaxis(np.add.reduceat(values, firsts, axis), axis, -1)
    means: Numbers = np.moveaxis(sums / np.diff(firsts, append=n), -1, axis)
    return means


def bars(shares: Numbers, labels: Sequence[str], width: int, height: int, colours: Sequence[Colour]) -> Picture:
    """Draw shares in [0, 1], [n], as horizontal bars with names."""
    image, pen = _panel(width, height)
    pitch, letters = height / len(shares), font(min(12, max(8, int(height / len(shares)) - 3)))
    for i, (share, label, colour) in enumerate(zip(shares.tolist(), labels, colours, strict=True)):
        top = i * pitch
        pen.rectangle([0, top + 1, max(0.0, min(1.0, share)) * (width - 1), top + pitch - 2], fill=colour)
        pen.text((4, top + pitch / 2), f"{label} {share:.2f}", fill=INK, font=letters, anchor="lm")
    return np.asarray(image).copy()


def histogram(
    values: Numbers,
    width: int,
    height: int,
    low: float | None = None,
    high: float | None = None,
    before: Numbers | None = None,
) -> Picture:
    """Draw a histogram with the limits of its range, by default the smallest and largest number.

    ``before`` are as many earlier numbers, drawn as an outline. Numbers that are not finite are left out.
    """
    # float64 has bins between adjacent float32 numbers.
    finite = [part[np.isfinite(part)].astype(np.float64) for part in (values, before) if part is not None]
    everything = np.concatenate([part.ravel() for part in finite])
    least, largest = (everything.min(), everything.max()) if everything.size else (0.0, 0.0)
    ends = float(least) if low is None else low, float(largest) if high is None else high
    if ends[1] - ends[0] <= 1e-9 * abs(ends[0]):
        margin = max(0.5, abs(ends[0]) / 2)
        ends = ends[0] - margin, ends[0] + margin
    counts = [np.histogram(part, bins=max(1, min(40, width // 4)), range=ends)[0] for part in finite]
    image, pen = _panel(width, height)
    pitch, room = width / len(counts[0]), height - _CAPTION
    tallest = max(1, *(int(count.max()) for count in counts))
    for i, count in enumerate((counts[0] / tallest * (room - 2)).tolist()):
        pen.rectangle([i * pitch, room - count, (i + 1) * pitch - 1, room], fill=BLUE)
    for count in counts[1:]:
        heights = room - count / tallest * (room - 2)
        edges = (np.arange(len(count) + 1) * pitch).repeat(2)[1:-1]
        pen.line([*zip(edges.tolist(), heights.repeat(2).tolist(), strict=True)], fill=ORANGE, width=1)
    pen.text((3, height - 2), f"{ends[0]:.3g}", fill=QUIET, font=font(10), anchor="lb")
    pen.text((width - 3, height - 2), f"{ends[1]:.3g}", fill=QUIET, font=font(10), anchor="rb")
    return np.asarray(image).copy()


def titled(picture: Picture, title: str) -> Picture:
    """Put a line of text above a picture, cut at its width."""
    return np.concatenate([_caption(title, picture.shape[1]), picture])


def beside(*pictures: Picture) -> Picture:
    """Put pictures side by side, aligned at the top, with ``GAP`` pixels between them."""
    return stacked(*(picture.swapaxes(0, 1) for picture in pictures)).swapaxes(0, 1)


def stacked(*pictures: Picture) -> Picture:
    """Put pictures below each other, aligned at the left, with ``GAP`` pixels between them."""
    height = sum(picture.shape[0] for picture in pictures) + GAP * (len(pictures) - 1)
    canvas = np.full((height, max(picture.shape[1] for picture in pictures), 3), BACKGROUND, np.uint8)
    top = 0
    for picture in pictures:
        canvas[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + GAP
    return canvas


def png(picture: Picture, exact: bool = True) -> bytes:
    """Return a picture as a PNG file.

    If it is not ``exact``, colours are the nearest ones of a palette for pictures of this module. The file is then half
    as large and written in a quarter of the time.
    """
    image, buffer = Image.fromarray(np.ascontiguousarray(picture)), io.BytesIO()
    if exact:
        image.save(buffer, "PNG")
    else:
        image.quantize(palette=_palette(), dither=Image.Dither.NONE).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    """Return an image with the palette: the colours of this module and their blends with the background."""
    shares = np.linspace(0.0, 1.0, _PALETTE_LEVELS)[:, np.newaxis]
    blends = [(PANEL, colour) for colour in (*COLOURS, *TRACES[1:], CHARGED, DRAINED, QUIET, INK)]
    blends += [(BACKGROUND, INK), (PANEL, GRID)]
    colours = np.concatenate([np.array(dark) + shares * (np.array(lit) - dark) for dark, lit in blends])
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.round().astype(np.uint8).tobytes())
    return palette


_PALETTE_LEVELS = 18  # shades of each of 14 colours: 252 of at most 256


def _panel(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), PANEL)
    return image, ImageDraw.Draw(image)


@lru_cache(maxsize=64)
def _caption(title: str, width: int) -> Picture:
    image = Image.new("RGB", (width, _CAPTION), BACKGROUND)
    ImageDraw.Draw(image).text((1, _CAPTION - 3), title, fill=INK, font=font(11), anchor="ls")
    return np.asarray(image)


@lru_cache(maxsize=16)
def font(size: int) -> Any:
    """Return Pillow's default font in a size."""
    return ImageFont.load_default(size)
