"""Draw learning curves: a statistic over lifetimes as a line, its 95% interval as a band, a panel per env."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.plot.series import RATE, Band
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
_LINES = 0.33  # height of two lines of text, inches
_LETTER = 0.062  # width of a letter in a legend, inches
_TALL = 2.6  # smallest height for the name of an axis in one line, inches
_WIDE = 5.0  # smallest width for text beside a title, inches


def draw_curves(
    bands: Sequence[Band], *, ends: bool = False, lifetimes: bool = False, **options: Unpack[FigureOptions]
) -> "Figure":
    """Draw learning curves. A line is dashed at steps without a value for every lifetime.

    Args:
        bands: at least one band. Bands of an env and a measure share a panel. Bands of a label share a colour.
        ends: label the curves at their ends instead of in a legend.
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
    beside = len(explanation) * _LETTER < room and (ends or width > _WIDE)
    names = [_named(max((b for b in bands if b.label == label), key=lambda b: b.lifetimes.max())) for label in labels]
    lines = [Line2D([], [], color=colours[label]) for label in labels]  # a label may begin with _
    legend_columns = min(len(labels), max(1, int(width / (max(map(len, names)) * _LETTER + 0.5))))
    below = 0.25 + 0.17 * -(-len(labels) // legend_columns) if len(panels) > 1 else 0.0  # height of the legend
    height = height or rows * max(2.0, 0.55 * width / columns) + below
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
            elif ends and explanation:
                axes.set_title(f"{heading}\n{explanation}", loc="left")
            if ends:
                _name_ends(axes, shown, colours, height)
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
        if lifetimes:
            for curve in found.curves:
                steps, values = (np.append(curve.steps, curve.end), np.append(curve.values, curve.values[-1]))
                axes.plot(steps, values, color=line_style["color"], alpha=0.3, linewidth=0.6, zorder=1.5)
        elif np.isfinite(found.low).any():
            shade: dict[str, Any] = {"color": line_style["color"], "alpha": 0.18, "lw": 0, "zorder": 1.5}
            axes.fill_between(found.steps, found.low, found.high, **shade)
        axes.plot(found.steps, np.where(whole, found.middle, np.nan), label=_named(found), **line_style)
        # The dashed line includes the first and last point of the solid one, so that they connect.
        inner = whole & np.roll(whole, 1) & np.roll(whole, -1)
        if not whole.all():
            axes.plot(found.steps, np.where(inner, np.nan, found.middle), linestyle=(0, (2, 1.5)), **line_style)
    axes.margins(x=0)
    steps_axis(axes)


def _named(found: Band) -> str:
    most, unit = int(found.lifetimes.max()), "run" if found.measure == RATE else "lifetime"
    counted = f"{most} {unit}{'' if most == 1 else 's'}"
    return f"{found.label} ({counted})" if found.label else counted


def _legend_title(bands: Sequence[Band], lifetimes: bool) -> str:
    """Return the meaning of line and band; empty for single lifetimes."""
    if all(found.lifetimes.max() <= 1 for found in bands):
        return ""
    words = " / ".join(dict.fromkeys(_WORDS[found.statistic] for found in bands))
    drawn = [bool(np.isfinite(found.low).any()) for found in bands]
    few = " (three or more)" if not all(drawn) else ""
    beside = "each lifetime" if lifetimes else f"95% interval{few}" if any(drawn) else NO_INTERVAL
    units = "runs" if all(found.measure == RATE for found in bands) else "lifetimes"
    return f"{words} over {units}, {beside}"


def _name_ends(axes: "Axes", bands: Sequence[Band], colours: dict[str, str], height: float) -> None:
    """Label each curve at its end, without overlaps."""
    low, high = axes.get_ylim()
    names = [_named(found).replace(" (", "\n(") for found in bands]
    apart = (high - low) * _LINES / height
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
