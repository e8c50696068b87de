"""Draw histograms of weights, traces, decays, thresholds and rates of each layer."""

import math
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
_NARROW = 0.75  # inches of a column that has no room for the labels of both ends


def draw_distributions(layers: Mapping[str, Mapping[str, Array]], **options: Unpack[FigureOptions]) -> "Figure":
    """Draw a histogram per layer (a row) and quantity (a column); the other way round where columns would be narrow.

    Args:
        layers: numbers of any shape by layer and quantity. Non-finite numbers are left out.
    """
    title, width, height = figure_options(**options)
    finite = {layer: {q: v[np.isfinite(v)] for q, v in found.items()} for layer, found in layers.items()}
    finite = {layer: {q: v for q, v in found.items() if len(v)} for layer, found in finite.items()}
    names = sorted(layer for layer, found in finite.items() if found)
    found = dict.fromkeys(q for found in finite.values() for q in found)
    quantities = sorted(found, key=lambda q: _ORDER.index(q) if q in _ORDER else len(_ORDER))
    if not names:
        raise ConfigError("RUN", "has no weights, traces, decays, thresholds or rates that can be drawn")
    turned = width / len(quantities) < _NARROW and len(names) < len(quantities)
    rows, columns = (quantities, names) if turned else (names, quantities)
    with style():
        figure = new_figure(width, height or 0.5 + 1.15 * len(rows))
        panels = figure.subplots(len(rows), len(columns), squeeze=False)
        by_layer = panels.T if turned else panels
        for line, layer in zip(by_layer, names, strict=True):
            for axes, quantity, colour in zip(line, quantities, (*COLOURS, *COLOURS), strict=False):
                values = finite[layer].get(quantity)
                if values is None:
                    axes.set_axis_off()
                else:
                    _draw_histogram(axes, values, colour)
        for axes, name in zip(panels[:, 0], map(_wrapped, rows), strict=True):
            axes.text(-0.12, 0.5, name, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=8)
        for axes, name in zip(panels[0], map(_wrapped, columns), strict=True):
            axes.set_title(name, fontsize=8)
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return figure


def _wrapped(name: str) -> str:
    """Break a long name at its spaces and after its underscores."""
    lines = textwrap.wrap(name.replace("_", "_ "), 12, break_long_words=False)
    return "\n".join(lines).replace("_ ", "_")


def _draw_histogram(axes: "Axes", values: Array, colour: str) -> None:
    """Draw a histogram with the mean as a dashed line. Equal numbers are drawn as a line with a label."""
    axes.grid(False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=6.5)
    values = values.astype(np.float64)  # float64 has bins between adjacent float32 numbers
    mean, low, high = float(values.mean()), float(values.min()), float(values.max())
    if high - low > 1e-9 * abs(mean):
        axes.hist(values, bins=min(_BINS, max(5, int(len(values) ** 0.5) * 2)), color=colour, alpha=0.75)
        _label_ends(axes, low, high)
        axes.axvline(mean, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    else:
        axes.axvline(mean, color=colour, linewidth=2.0)
        axes.set_xlim(mean - 1, mean + 1)
        axes.set_xticks([mean], [f"all {mean:.3g}"])


def _label_ends(axes: "Axes", low: float, high: float) -> None:
    """Label the two ends of the axis, rounded outwards to a hundredth of its width, inside its width."""
    unit = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    ends = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    axes.set_xlim(*ends)
    axes.set_xticks(ends)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4))
    axes.xaxis.get_offset_text().set_fontsize(6)
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")  # so the labels meet neither each other nor those of the next panel
    last.set_horizontalalignment("right")
