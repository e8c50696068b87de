"""Draw panels over the newest env steps on one time axis: rasters, shares and curves.

A panel is a picture without its title and scale. ``timeline`` adds them.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tracerl.recording import images as P
from tracerl.recording.images import Colour, Numbers, Picture
from tracerl.recording.recorder import LayerRecording

Limits = tuple[float, float]  # lower and upper end of a scale
_STROKE = 3  # smallest width of a step, in pixels, for a gap between the spikes of two steps
_FINE = 3  # curves are drawn larger by this factor and then shrunk, for smooth edges


@dataclass(frozen=True)
class Axis:
    """The pixel positions of env steps in a panel."""

    width: int
    span: int

    def left(self, i: float) -> int:
        """Return the first pixel of a step, counted from the leftmost step."""
        return math.ceil(i * self.width / self.span)

    def filled(self, values: Numbers) -> Numbers:
        """Pad values [steps, ...] with zeros to ``span`` steps."""
        room = [(0, self.span - len(values)), *[(0, 0)] * (values.ndim - 1)]
        return np.pad(values, room)


def layer_panel(layer: LayerRecording, order: Numbers, axis: Axis, height: int, colour: Colour) -> Picture:
    """Draw spikes over membranes, a row per neuron from the top in the given order."""
    behind = P.membranes(axis.filled(charge(layer)[:, order]), axis.width, height)
    picture = P.lit(behind, axis.filled(layer.spikes[:, order]), colour)
    if axis.width >= _STROKE * axis.span:
        ends = [axis.left(i + 1) - 1 for i in range(axis.span)]
        picture[:, ends] = behind[:, ends]
    return picture


def charge(layer: LayerRecording) -> Numbers:
    """Return membranes as shares of their thresholds, or of the largest membrane without thresholds: [steps, n]."""
    known = bool(np.isfinite(layer.threshold).all())
    limit = layer.threshold if known else np.full(1, np.abs(layer.membrane).max(initial=0.0))
    share: Numbers = layer.membrane / np.maximum(limit, 1e-12)
    return share


def traces_panel(
    layer: LayerRecording, neurons: Numbers, axis: Axis, height: int, ends: Limits, colours: Sequence[Colour]
) -> Picture:
    """Draw the membranes of a few neurons with a line at the threshold, and their spikes above."""
    series, above = list(charge(layer)[:, neurons].T), 4 * len(neurons) + 2
    curves = curves_panel(series, axis, height - above, ends, colours, level=1.0)
    picture = np.concatenate([np.full((above, axis.width, 3), P.PANEL, np.uint8), curves])
    for row, (neuron, colour) in enumerate(zip(neurons.tolist(), colours, strict=False)):
        for i in np.flatnonzero(layer.spikes[:, neuron]).tolist():
            picture[2 + 4 * row : 5 + 4 * row, axis.left(i) : max(axis.left(i) + 1, axis.left(i + 1) - 1)] = colour
    return picture


def shares_panel(shares: Numbers, axis: Axis, height: int, colours: Sequence[Colour]) -> Picture:
    """Draw shares that add up to one, [steps, n], as stacked bands, the first at the bottom."""
    tops = np.round(shares.cumsum(-1) * height)  # of each band, from the bottom
    rows = np.arange(height)[::-1, np.newaxis, np.newaxis] + 0.5
    band = (rows > tops).sum(-1).clip(max=shares.shape[1] - 1)  # [height, steps]
    steps = np.arange(axis.width) * axis.span // axis.width
    there = steps < len(shares)
    picture = np.full((height, axis.width, 3), P.PANEL, np.uint8)
    picture[:, there] = np.array(colours, np.uint8)[band[:, steps[there]]]
    return picture


def curves_panel(
    series: Sequence[Numbers],
    axis: Axis,
    height: int,
    ends: Limits,
    colours: Sequence[Colour],
    around: Sequence[Numbers] = (),
    level: float = 0.0,
) -> Picture:
    """Draw curves [steps] on one scale, with bands of half-width ``around`` them and a line at a level.

    A curve has a gap at a number that is not finite.
    """
    image = Image.new("RGB", (axis.width * _FINE, height * _FINE), P.PANEL)
    pen = ImageDraw.Draw(image)
    low, high = ends
    scale = (height - 5) * _FINE / (high - low)

    def row(values: Numbers) -> Numbers:
        rows: Numbers = (height - 2.5) * _FINE - (np.clip(np.nan_to_num(values), low, high) - low) * scale
        return rows

    if low <= level <= high:
        y = float(row(np.array(level)))
        pen.line([(0, y), (image.width, y)], fill=P.GRID, width=_FINE)
    across = (np.arange(len(series[0])) + 0.5) * axis.width / axis.span * _FINE  # centres of the steps
    for line, half, colour in zip(series, around, colours, strict=False):
        over, under = np.stack([across, row(line + half)], -1), np.stack([across, row(line - half)], -1)
        if len(line) > 1:
            pen.polygon([tuple(point) for point in [*over, *under[::-1]]], fill=mixed(colour, P.PANEL, 0.3))
    for line, colour in zip(series, colours, strict=False):
        points = [tuple(point) for point in np.stack([across, row(line)], -1)]
        for part in np.ma.clump_unmasked(np.ma.masked_invalid(line)):  # type: ignore[no-untyped-call]
            pen.line(points[part], fill=colour, width=_FINE + 2, joint="curve")
        if np.isfinite(line[-1]):
            x, y = points[-1]
            pen.ellipse([x - 2 * _FINE, y - 2 * _FINE, x + 2 * _FINE, y + 2 * _FINE], fill=colour)
    return np.asarray(image.reduce(_FINE)).copy()


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return the blend of two colours with a share of the first."""
    red, green, blue = (round(share * a + (1 - share) * b) for a, b in zip(one, other, strict=True))
    return red, green, blue


def action_colours(n: int) -> list[Colour]:
    """Return n colours that can be told apart, those of ``images`` where they suffice."""
    few = [P.BLUE, P.ORANGE, P.COLOURS[-1], (90, 190, 190)]
    if n <= len(few):
        return few[:n]
    turns = [colorsys.hsv_to_rgb(0.58 + i / n, 0.55, 0.92) for i in range(n)]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in turns]


class Scales:
    """Limits of the scales of curves: round numbers that rarely change between frames."""

    def __init__(self) -> None:
        self._ends: dict[str, Limits] = {}

    def ends(self, name: str, values: Numbers) -> Limits:
        """Return the limits for values. A scale shrinks only if less than half of it is used."""
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        kept = self._ends.get(name)
        if kept is None or low < kept[0] or high > kept[1] or high - low < (kept[1] - kept[0]) / 2.5:
            self._ends[name] = _round_ends(low, high)
        return self._ends[name]


def _round_ends(low: float, high: float) -> Limits:
    """Widen a range to multiples of a unit: 1, 2 or 5 times a power of ten, about a quarter of the range."""
    width = max(high - low, 0.1 * abs(high), 0.1 * abs(low)) or 1.0
    power = 10.0 ** math.floor(math.log10(width / 4))
    unit = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width / 4)
    return math.floor(low / unit) * unit, max(math.ceil(high / unit) * unit, math.floor(low / unit) * unit + unit)
