"""Draw traces over env steps, and measurements with their exponential averages."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.plot.raster import share_steps_axis
from tracerl.plot.series import running_mean
from tracerl.plot.style import COLOURS, QUIET, FigureOptions, figure_options, new_figure, steps_axis, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
_MOST = 5  # largest number of lines in a panel


def draw_traces(
    traces: Mapping[str, Array],
    *,
    first: int = 0,
    ended: Array | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    outcomes: Collection[str] = (),
    **options: Unpack[FigureOptions],
) -> "Figure":
    """Draw traces over env steps, a panel for each name.

    Args:
        traces: arrays by name, [steps] or [steps, n]. Of more than five lines, those with the largest variance, and
            their number beside the name.
        first: env step of the lifetime before the first one.
        ended: whether an episode ended with a step, bool, [steps].
        names: names of the n lines of a panel, for a legend.
        outcomes: names of the arrays of rewards or TD errors; see ``tracerl.plot.raster.share_steps_axis``.
    """
    title, width, height = figure_options(**options)
    with style():
        figure = new_figure(width, height or 0.4 + 1.0 * len(traces))
        panels = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, traces.items(), strict=True):
            lines = values.reshape(len(values), -1)
            chosen = np.argsort(-lines.std(0), kind="stable")[:_MOST]
            chosen.sort()
            labels = (names or {}).get(name)
            for colour, i in zip(COLOURS, chosen, strict=False):
                label = labels[i] if labels else None
                axes.plot(first + 1 + np.arange(len(lines)), lines[:, i], color=colour, linewidth=1.0, label=label)
            n = lines.shape[1]
            axes.set_ylabel(f"{name}\n{_MOST} of {n}" if n > _MOST else name)
            if labels:
                axes.legend(loc="lower right", ncols=_MOST, bbox_to_anchor=(1, 0.98), borderaxespad=0)
        share_steps_axis(panels, first, len(lines), ended, [name in outcomes for name in traces])
        panels[0].set_title(title, loc="left")
        figure.align_ylabels()
    return figure


def draw_running(
    measurements: Mapping[str, tuple[Array, Array]],
    decays: Sequence[float] = (0.9, 0.99, 0.999),
    *,
    what: str = "return",
    **options: Unpack[FigureOptions],
) -> "Figure":
    """Draw measurements as dots and their exponential averages at several decays as lines.

    The average with decay d covers about 1 / (1 - d) values; see ``tracerl.plot.series.running_mean``.

    Args:
        measurements: env steps and values by name, each [n]. Each name has a panel.
        decays: decays per value, in [0, 1); at most ten.
        what: name of the measured quantity.
    """
    if len(decays) > len(COLOURS):
        raise ConfigError("--decays", f"must be at most {len(COLOURS)} numbers, got {len(decays)}")
    title, width, height = figure_options(**options)
    dots: dict[str, Any] = {"color": QUIET, "alpha": 0.35, "markersize": 2.5, "rasterized": True}
    with style():
        figure = new_figure(width, height or 0.4 + 0.3 * width * len(measurements))
        panels = figure.subplots(len(measurements), 1, squeeze=False)[:, 0]
        for axes, (name, (steps, values)) in zip(panels, measurements.items(), strict=True):
            axes.plot(steps, values, ".", label=f"each {what}", **dots)
            for decay, colour in zip(decays, COLOURS, strict=False):
                label = f"decay {decay:g}, about {1 / (1 - decay):,.0f}"
                axes.plot(steps, running_mean(values, decay), color=colour, label=label)
            axes.set_ylabel(what)
            axes.set_title(name if len(measurements) > 1 or not title else title, loc="left")
            axes.margins(x=0)
            steps_axis(axes)
        panels[0].legend(loc="best")
        if title and len(measurements) > 1:
            figure.suptitle(title, fontsize=10)
    return figure
