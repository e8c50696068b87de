"""Draw histograms of weights, traces, decays, thresholds and rates of each layer."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.plot.style import COLOURS, INK, FigureOptions, figure_options, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
_ORDER = ("weights", "biases", "eligibility trace", "membrane decay m", "readout decay k", "threshold", "rate")
_BINS = 40


def draw_distributions(layers: Mapping[str, Mapping[str, Array]], **options: Unpack[FigureOptions]) -> "Figure":
    """Draw a histogram per layer (a row) and quantity (a column).

    Args:
        layers: numbers of any shape by layer and quantity. Non-finite numbers are left out.
    """
    title, width, height = figure_options(**options)
    finite = {layer: {q: v[np.isfinite(v)] for q, v in found.items()} for layer, found in layers.items()}
    finite = {layer: {q: v for q, v in found.items() if len(v)} for layer, found in finite.items()}
    rows = sorted(layer for layer, found in finite.items() if found)
    quantities = list(dict.fromkeys(q for found in finite.values() for q in found))
    columns = sorted(quantities, key=lambda q: _ORDER.index(q) if q in _ORDER else len(_ORDER))
    if not rows:
        raise ConfigError("RUN", "has no weights, traces, decays, thresholds or rates that can be drawn")
    with style():
        figure = new_figure(width, height or 0.5 + 1.15 * len(rows))
        panels = figure.subplots(len(rows), len(columns), squeeze=False)
        for row, layer in zip(panels, rows, strict=True):
            for axes, quantity, colour in zip(row, columns, (*COLOURS, *COLOURS), strict=False):
                values = finite[layer].get(quantity)
                if values is None:
                    axes.set_axis_off()
                else:
                    _draw_histogram(axes, values, colour)
            row[0].text(-0.12, 0.5, layer, transform=row[0].transAxes, rotation=90, ha="right", va="center", fontsize=8)
        for axes, quantity in zip(panels[0], columns, strict=True):
            axes.set_title("\n".join(textwrap.wrap(quantity, 12)), fontsize=8)
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return figure


def _draw_histogram(axes: "Axes", values: Array, colour: str) -> None:
    """Draw a histogram with the mean as a dashed line. Equal numbers are drawn as a line with a label."""
    axes.grid(False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=6.5)
    values = values.astype(np.float64)  # float64 has bins between adjacent float32 numbers
    mean = float(values.mean())
    if values.max() - values.min() > 1e-9 * abs(mean):
        axes.hist(values, bins=min(_BINS, max(5, int(len(values) ** 0.5) * 2)), color=colour, alpha=0.75)
        axes.locator_params(axis="x", nbins=2)
        axes.ticklabel_format(axis="x", scilimits=(-2, 4))
        axes.xaxis.get_offset_text().set_fontsize(6)
        axes.axvline(mean, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    else:
        axes.axvline(mean, color=colour, linewidth=2.0)
        axes.set_xticks([mean], [f"all {mean:.3g}"])
