"""Learning curves: the middle of the lifetimes as a line, its 95% interval as a band, a panel per env."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.plot.series import RATE, Band
from tracerl.plot.style import COLOURS, QUIET, Look, looks, new_figure, steps_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = {"iqm": "interquartile mean", "mean": "mean", "median": "median"}
_MOST_COLUMNS = 3  # of panels
_LINES = 0.33  # inches that two lines of text take
_LETTER = 0.062  # inches of a letter in a legend
_TALL = 2.6  # inches, from which on there is room for the name of an axis in one line
_WIDE = 5.0  # inches, from which on there is room beside a title


def draw_curves(
    bands: Sequence[Band], *, ends: bool = False, lifetimes: bool = False, **look: Unpack[Look]
) -> "Figure":
    """Draw learning curves. Where some of the lifetimes have not begun or have ended, a line is dashed.

    Args:
        bands: at least one; those of one env and one measure share a panel, those of one label a colour.
        ends: name the curves at their ends, in place of a legend.
        lifetimes: draw every lifetime as a thin line, in place of the band.
    """
    title, width, height = looks(**look)
    panels = list(dict.fromkeys((found.env, found.measure) for found in bands))
    labels = list(dict.fromkeys(found.label for found in bands))
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    columns = min(len(panels), _MOST_COLUMNS if width > _WIDE else 1)
    rows = -(-len(panels) // columns)
    said = _said(bands, lifetimes)
    legend = _Legend(bands, labels, said, width) if len(panels) > 1 else None
    height = height or rows * max(2.0, 0.55 * width / columns) + (0.0 if legend is None else legend.height)
    tall = (height - (0.0 if legend is None else legend.height)) / rows > _TALL
    with style():
        figure = new_figure(width, height)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (env, measure) in zip(grid.flat, panels, strict=False):
            shown = [found for found in bands if (found.env, found.measure) == (env, measure)]
            _draw_panel(axes, shown, colours, lifetimes)
            axes.set_title(env if len(panels) > 1 else title or env, loc="left")
            axes.set_ylabel(measure if tall else measure.replace(", ", ",\n"))
            if legend is None:
                _explain(axes, shown, said, ends, width, height)
        if legend is not None:
            legend.draw(figure, colours)
            figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(axes: "Axes", bands: Sequence[Band], colours: dict[str, str], lifetimes: bool) -> None:
    for i, found in enumerate(bands):
        look: dict[str, Any] = {"color": colours[found.label], "zorder": 3 - i / len(bands)}  # the first on top
        whole = found.lifetimes == found.lifetimes.max()
        if lifetimes:
            for curve in found.curves:
                steps, values = (np.append(curve.steps, curve.end), np.append(curve.values, curve.values[-1]))
                axes.plot(steps, values, color=look["color"], alpha=0.3, linewidth=0.6, zorder=1.5)
        else:
            axes.fill_between(found.steps, found.low, found.high, color=look["color"], alpha=0.18, lw=0, zorder=1.5)
        axes.plot(found.steps, np.where(whole, found.middle, np.nan), label=_named(found), **look)
        # A line with a gap, so that the first and the last point of the full one belong to the dashed one too.
        inner = whole & np.roll(whole, 1) & np.roll(whole, -1)
        if not whole.all():
            axes.plot(found.steps, np.where(inner, np.nan, found.middle), linestyle=(0, (2, 1.5)), **look)
    axes.margins(x=0)
    steps_axis(axes)


def _named(found: Band) -> str:
    most, (one, many) = (
        int(found.lifetimes.max()),
        ("run", "runs") if found.measure == RATE else ("lifetime", "lifetimes"),
    )
    counted = f"{most} {one if most == 1 else many}"
    return f"{found.label} ({counted})" if found.label else counted


def _said(bands: Sequence[Band], lifetimes: bool) -> str:
    """Say what line and band are of the lifetimes; of single ones nothing needs to be said."""
    words = " / ".join(dict.fromkeys(_WORDS[found.statistic] for found in bands))
    beside = "each lifetime" if lifetimes else "95% interval"
    units = "runs" if all(found.measure == RATE for found in bands) else "lifetimes"
    return f"{words} over {units}, {beside}" if any(found.lifetimes.max() > 1 for found in bands) else ""


class _Legend:
    """One legend under all panels; sizes in inches."""

    def __init__(self, bands: Sequence[Band], labels: Sequence[str], title: str, width: float) -> None:
        self.labels, self.title = labels, title
        shared = {label: [found for found in bands if found.label == label] for label in labels}
        self.names = [_named(max(found, key=lambda band: band.lifetimes.max())) for found in shared.values()]
        longest = max(map(len, self.names)) * _LETTER + 0.5
        self.columns = min(len(labels), max(1, int(width / longest)))
        self.height = 0.25 + 0.17 * -(-len(labels) // self.columns)

    def draw(self, figure: "Figure", colours: dict[str, str]) -> None:
        """Put it there."""
        from matplotlib.lines import Line2D

        lines = [Line2D([], [], color=colours[label]) for label in self.labels]
        figure.legend(lines, self.names, loc="outside lower center", ncols=self.columns, title=self.title)


def _explain(axes: "Axes", bands: Sequence[Band], said: str, ends: bool, width: float, height: float) -> None:
    """Say what the lines are, and what line and band are of the lifetimes; sizes in inches."""
    if ends:
        _name_ends(axes, bands, height)
        axes.set_title(said, loc="right", fontsize=7.5, color=QUIET)
    elif width > _WIDE:
        axes.set_title(said, loc="right", fontsize=7.5, color=QUIET)
        axes.legend(loc="best")
    else:
        axes.legend(loc="best", title=said, alignment="left")


def _name_ends(axes: "Axes", bands: Sequence[Band], height: float) -> None:
    """Write each curve's name where it ends, apart from its neighbours."""
    low, high = axes.get_ylim()
    names = [_named(found).replace(" (", "\n(") for found in bands]
    apart = (high - low) * _LINES / height
    ends = np.array([found.middle[np.isfinite(found.middle)][-1] for found in bands])
    places = spread(ends, apart, high - apart / 3)
    for found, name, end, place, line in zip(bands, names, ends, places, _lines(axes, bands), strict=True):
        axes.annotate(
            name,
            (found.steps[-1], end),
            (1.02, (place - low) / (high - low)),
            xycoords="data",
            textcoords="axes fraction",
            color=line.get_color(),
            va="center",
            fontsize=7.5,
            linespacing=1.1,
            annotation_clip=False,
        )
    axes.set_ylim(low, high)


def _lines(axes: "Axes", bands: Sequence[Band]) -> list[Any]:
    """Return the full line of each band."""
    named = {line.get_label(): line for line in axes.get_lines()}
    return [named[_named(found)] for found in bands]


def spread(places: Any, apart: float, high: float = np.inf) -> Any:
    """Move places as little as can be (in squares) so that no two are closer than ``apart``; their order stays.

    Those that would come above ``high`` then move down, and others before them.

    With the distance owed taken off, they have to rise, and the nearest rising numbers are the means of those that
    fall (isotonic regression by pooling neighbours).
    """
    order = np.argsort(places, kind="stable")
    owed = apart * np.arange(len(order))
    pools: list[tuple[float, int]] = []  # mean and number of neighbours that share it
    for place in np.asarray(places, float)[order] - owed:
        pools.append((place, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, n), (other, m) = pools[-2:]
            pools[-2:] = [((one * n + other * m) / (n + m), n + m)]
    moved = np.empty(len(order))
    moved[order] = np.concatenate([[mean] * n for mean, n in pools]) + owed
    moved[order] = np.minimum(moved[order], high - apart * np.arange(len(order))[::-1])
    return moved
