"""Draw learning curves: a statistic over lifetimes as a line, its 95% interval as a band, a panel per env."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.lifetime.statistics import counted
from tracerl.plot.series import RATE, Band, Curve
from tracerl.plot.style import (
    COLOURS,
    QUIET,
    TITLE_LETTER,
    FigureOptions,
    figure_options,
    new_figure,
    steps_axis,
    style,
)
from tracerl.plot.table import NO_INTERVAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = {"iqm": "interquartile mean", "mean": "mean", "median": "median"}
_MOST_COLUMNS = 3  # largest number of columns of panels
_MARKER = 2.5  # diameter of a point of a curve, points of 1/72 inch
_LINE, _LINES = 0.15, 0.33  # height of a line below a title, and of two lines and their distance, inches
_AROUND = 0.75  # height of a figure of one panel above and below its axes, inches
_LETTER = 0.062  # width of a letter in a legend, inches
_TALL = 2.6  # smallest height for the name of an axis in one line, inches
_WIDE = 5.0  # smallest width for text beside a title, inches


def draw_curves(
    bands: Sequence[Band], *, ends: bool = False, lifetimes: bool = False, **options: Unpack[FigureOptions]
) -> "Figure":
    """Draw learning curves. A line is dashed at steps without a value for every lifetime.

    Args:
        bands: at least one band. Bands of an env and a measure share a panel. Bands of a label share a colour.
        ends: label the curves at their ends instead of in a legend. Without effect on several panels.
        lifetimes: draw every lifetime as a thin line instead of the band.
    """
    from matplotlib.lines import Line2D

    title, width, height = figure_options(**options)
    panels = list(dict.fromkeys((found.env, found.measure) for found in bands))
    labels = list(dict.fromkeys(found.label for found in bands))
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    columns = min(len(panels), _MOST_COLUMNS if width > _WIDE else 1)
    rows = -(-len(panels) // columns)
    explanation = _legend_title(bands, lifetimes)
    room = width - 1 - len(title or bands[0].env) * TITLE_LETTER  # beside the title, inches
    room -= _inches_of_ends(bands) if ends else 0.0
    beside = len(explanation) * _LETTER < room and (ends or width > _WIDE)
    names = [_named(max((b for b in bands if b.label == label), key=_count)) for label in labels]
    lines = [Line2D([], [], color=colours[label]) for label in labels]  # a label may begin with _
    legend_columns = min(len(labels), max(1, int(width / (max(map(len, names)) * _LETTER + 0.5))))
    below = 0.25 + 0.17 * -(-len(labels) // legend_columns) if len(panels) > 1 else 0.0  # height of the legend
    wrapped = [] if below or beside or not ends else textwrap.wrap(explanation, int((width - 1) / TITLE_LETTER))
    height = height or rows * max(2.0, 0.55 * width / columns) + below + _LINE * len(wrapped)
    tall = (height - below) / rows > _TALL
    with style():
        figure = new_figure(width, height)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (env, measure) in zip(grid.flat, panels, strict=False):
            shown = [found for found in bands if (found.env, found.measure) == (env, measure)]
            _draw_panel(axes, shown, colours, lifetimes)
            heading = env if len(panels) > 1 else title or env
            axes.set_title(heading, loc="left")
            axes.set_ylabel(measure if tall else measure.replace(", ", ",\n"))
            if below:
                continue
            if beside:
                axes.set_title(explanation, loc="right", fontsize=7.5, color=QUIET)
            elif wrapped:
                axes.set_title("\n".join([heading, *wrapped]), loc="left")
            if ends:
                _name_ends(axes, shown, colours, height - _LINE * len(wrapped))
            else:
                axes.legend(lines, names, loc="best", title=None if beside else explanation, alignment="left")
        if below:
            figure.legend(lines, names, loc="outside lower center", ncols=legend_columns, title=explanation)
            figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(axes: "Axes", bands: Sequence[Band], colours: dict[str, str], lifetimes: bool) -> None:
    for i, found in enumerate(bands):
        line_style: dict[str, Any] = {"color": colours[found.label], "zorder": 3 - i / len(bands)}  # the first on top
        whole = found.lifetimes == found.lifetimes.max()
        if found.steps[0] == found.steps[-1] or not all(curve.holds for curve in found.curves):
            line_style |= {"marker": "o", "markersize": _MARKER}
        if lifetimes:
            for curve in found.curves:
                _draw_lifetime(axes, curve, line_style["color"])
        elif np.isfinite(found.low).any():
            # A band of one point has a width of 0, and only its edge is visible.
            edge = 0 if found.steps[0] < found.steps[-1] else _MARKER
            shade: dict[str, Any] = {"color": line_style["color"], "alpha": 0.18, "lw": edge, "zorder": 1.5}
            axes.fill_between(found.steps, found.low, found.high, **shade)
        axes.plot(found.steps, np.where(whole, found.middle, np.nan), label=_named(found), **line_style)
        # The dashed line includes the first and last point of the solid one, so that they connect.
        inner = whole & np.roll(whole, 1) & np.roll(whole, -1)
        if not whole.all():
            axes.plot(found.steps, np.where(inner, np.nan, found.middle), linestyle=(0, (2, 1.5)), **line_style)
    axes.margins(x=0)
    steps_axis(axes)


def _draw_lifetime(axes: "Axes", curve: Curve, colour: str) -> None:
    """Draw the curve of a lifetime as a thin line of steps, or as points that lines join."""
    look: dict[str, Any] = {"color": colour, "alpha": 0.3, "linewidth": 0.6, "zorder": 1.5}
    steps, values = curve.steps, curve.values
    if curve.holds:
        steps, values = np.append(steps, curve.end), np.append(values, values[-1])
        look["drawstyle"] = "steps-post"
    if not curve.holds or steps[0] == steps[-1]:
        look |= {"marker": "o", "markersize": _MARKER}
    axes.plot(steps, values, **look)


def _count(found: Band) -> int:
    """Return the number of lifetimes, also of those that have no env step in common."""
    return max(len(found.curves), int(found.lifetimes.max()))


def _named(found: Band) -> str:
    lifetimes = counted(_count(found), "run" if found.measure == RATE else "lifetime")
    return f"{found.label} ({lifetimes})" if found.label else lifetimes


def _legend_title(bands: Sequence[Band], lifetimes: bool) -> str:
    """Return the meaning of line and band; empty for single lifetimes."""
    if all(_count(found) <= 1 for found in bands):
        return ""
    words = " / ".join(dict.fromkeys(_WORDS[found.statistic] for found in bands))
    drawn = [bool(np.isfinite(found.low).any()) for found in bands]
    few = " (three or more)" if not all(drawn) else ""
    beside = "each lifetime" if lifetimes else f"95% interval{few}" if any(drawn) else NO_INTERVAL
    units = "runs" if all(found.measure == RATE for found in bands) else "lifetimes"
    return f"{words} over {units}, {beside}"


def _end_name(found: Band) -> str:
    return _named(found).replace(" (", "\n(")


def _inches_of_ends(bands: Sequence[Band]) -> float:
    """Return the width of the labels at the ends of curves."""
    return max(len(line) for found in bands for line in _end_name(found).splitlines()) * _LETTER


def _name_ends(axes: "Axes", bands: Sequence[Band], colours: dict[str, str], height: float) -> None:
    """Label each curve at its end, without overlaps."""
    low, high = axes.get_ylim()
    names = [_end_name(found) for found in bands]
    apart = (high - low) * max(_LINES / height, 0.25 / max(height - _AROUND, 0.25))
    ends = np.array([found.middle[np.isfinite(found.middle)][-1] for found in bands])
    heights = spread(ends, apart, high - apart / 3)
    look: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "fontsize": 7.5, "linespacing": 1.1}
    for found, name, label_height in zip(bands, names, heights, strict=True):
        axes.text(1.02, (label_height - low) / (high - low), name, color=colours[found.label], **look)
    axes.set_ylim(low, high)


def spread(positions: Any, apart: float, high: float = np.inf) -> Any:
    """Return the nearest positions (least squares) in the same order with a distance of at least ``apart``.

    Positions above ``high`` are then moved down, and others before them.

    After the required distances are subtracted, the positions must increase. The nearest increasing numbers follow from
    isotonic regression: decreasing neighbours are replaced by their mean.
    """
    order = np.argsort(positions, kind="stable")
    required = apart * np.arange(len(order))
    pools: list[tuple[float, int]] = []  # mean and number of neighbours that share it
    for position in np.asarray(positions, float)[order] - required:
        pools.append((position, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, n), (other, m) = pools[-2:]
            pools[-2:] = [((one * n + other * m) / (n + m), n + m)]
    moved = np.empty(len(order))
    moved[order] = np.concatenate([[mean] * n for mean, n in pools]) + required
    moved[order] = np.minimum(moved[order], high - apart * np.arange(len(order))[::-1])
    return moved
