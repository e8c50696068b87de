"""Draw spike rasters per layer, membranes of some neurons, return and td error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.plot.style import COLOURS, QUIET, FigureOptions, figure_options, new_figure, steps_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tracerl.recording.recorder import LayerRecording, Recording

Array = np.ndarray[Any, Any]
_EPISODE = {"color": QUIET, "linewidth": 0.7, "linestyle": (0, (4, 3)), "alpha": 0.8}


def draw_raster(
    recording: "Recording", *, first: int = 0, neurons: int = 4, **options: Unpack[FigureOptions]
) -> "Figure":
    """Draw the spikes of every layer, membranes of some neurons of the first layer, return and td error.

    The neurons of a raster are sorted by their firing rate, the busiest at the top, as in every picture of tracerl. A
    dashed line marks the end of an episode; see ``share_steps_axis``.

    Args:
        recording: recording of at least one step.
        first: env step of the lifetime before the recording.
        neurons: number of membranes, preferably of neurons that are neither silent nor saturated.
    """
    title, width, height = figure_options(**options)
    if not recording.layers:
        raise ConfigError("RUN", "has an agent without spiking neurons that can be recorded")
    below = [values for values in (recording.reward, recording.td_error) if values is not None]
    shown = min(neurons, recording.layers[0].spikes.shape[1])
    inches = [*(_inches(layer.spikes.shape[1]) for layer in recording.layers), 0.3 + 0.25 * shown, *[0.6] * len(below)]
    with style():
        figure = new_figure(width, height or 0.5 + sum(inches))
        panels = figure.subplots(len(inches), 1, sharex=True, squeeze=False, height_ratios=inches)[:, 0]
        rest = iter(panels)
        for i, layer in enumerate(recording.layers):
            _draw_spikes(next(rest), layer, first, COLOURS[i % len(COLOURS)])
        _draw_membranes(next(rest), recording.layers[0], first, neurons)
        _draw_outcome(rest, recording, first)
        outcomes = [i >= len(panels) - len(below) for i in range(len(panels))]
        share_steps_axis(panels, first, len(recording), recording.ended, outcomes)
        panels[0].set_title(title, loc="left")
        figure.align_ylabels()
    return figure


def _inches(neurons: int) -> float:
    """Return the height of a raster, which grows with the logarithm of the number of neurons."""
    return float(np.clip(1.0 + 0.2 * np.log2(neurons / 32), 0.6, 2.4))


def share_steps_axis(panels: Any, first: int, n: int, ended: Array | None, outcomes: Sequence[bool]) -> None:
    """Draw a line through panels at each end of an episode, and label the last panel's axis.

    After the last step of an episode the agent has received the first observation of the next one. So the column of
    that step belongs to the next episode in panels of the agent, and to the ended one in panels of its reward.

    Args:
        panels: axes from top to bottom.
        first: env step before the first column.
        n: number of columns.
        ended: whether an episode ended with the step, bool, [n].
        outcomes: whether each panel is of rewards or TD errors.
    """
    for end in [] if ended is None else np.flatnonzero(ended):
        for axes, outcome in zip(panels, outcomes, strict=True):
            axes.axvline(first + end + (1.5 if outcome else 0.5), **_EPISODE)
    panels[-1].set_xlim(first + 0.5, first + n + 0.5)
    steps_axis(panels[-1])
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _draw_spikes(axes: "Axes", layer: "LayerRecording", first: int, colour: str) -> None:
    """Draw each spike as a short line in the row of its neuron, with the busiest neurons at the top."""
    steps, rows = np.nonzero(layer.spikes[:, layer.busiest_first()])
    n = layer.spikes.shape[1]
    # Rasterized also in a pdf, because tens of thousands of vector marks slow down viewers.
    axes.vlines(first + steps + 1, rows - 0.42, rows + 0.42, color=colour, linewidth=0.8, rasterized=True)
    axes.set(ylim=(n, -1), yticks=[0, n - 1], yticklabels=["1", str(n)], ylabel=f"{layer.name}\nneurons")
    axes.grid(False)
    rate = np.abs(layer.spikes).mean()
    axes.set_title(f"{rate:.2f} spikes per neuron and step", loc="right", fontsize=7, color=QUIET, pad=2)


def _draw_membranes(axes: "Axes", layer: "LayerRecording", first: int, neurons: int) -> None:
    """Draw stacked membranes, each on its own scale, with threshold and spikes."""
    steps, order = first + 1 + np.arange(len(layer.membrane)), layer.busiest_first()
    chosen = order[representative_neurons(np.abs(layer.spikes[:, order]).mean(0), neurons)]
    for row, neuron in enumerate(chosen[::-1]):
        colour, membrane, threshold = COLOURS[row % len(COLOURS)], layer.membrane[:, neuron], layer.threshold[:, neuron]
        low = membrane.min()
        scale = 0.62 / max(np.fmax(membrane, threshold).max() - low, 1e-9)
        axes.plot(steps, (membrane - low) * scale + row, color=colour, linewidth=0.9)
        axes.plot(steps, (threshold - low) * scale + row, color=colour, linewidth=0.7, linestyle=":")
        fired = steps[layer.spikes[:, neuron] != 0]
        axes.vlines(fired, row + 0.7, row + 0.85, color=colour, linewidth=0.8)
    axes.set(ylabel="membranes", ylim=(-0.1, len(chosen)), yticks=np.arange(len(chosen)) + 0.3)
    axes.set_yticklabels([f"no. {int(np.flatnonzero(order == neuron)[0]) + 1}" for neuron in chosen[::-1]])
    axes.tick_params(axis="y", length=0)
    axes.grid(False)


def representative_neurons(rates: Array, n: int) -> Array:
    """Choose n neurons by their spikes per step, [neurons], spread over those neither silent nor saturated."""
    ranked = np.argsort(np.abs(rates - 0.35), kind="stable")  # medium rates first
    active = int(((rates > 0.05) & (rates < 0.75)).sum())
    candidates = np.sort(ranked[: max(n, active)])
    found: Array = candidates[np.unique(np.linspace(0, len(candidates) - 1, min(n, len(candidates))).astype(int))]
    return found


def _draw_outcome(rest: Any, recording: "Recording", first: int) -> None:
    """Draw the return of the current episode and the td error."""
    steps = first + 1 + np.arange(len(recording))
    if recording.reward is not None:
        axes = next(rest)
        axes.plot(steps, return_so_far(recording.reward, recording.ended), color=COLOURS[2])
        axes.set_ylabel("return\nso far")
    if recording.td_error is not None:
        axes = next(rest)
        axes.axhline(0, color=QUIET, linewidth=0.6)
        axes.plot(steps, recording.td_error, color=COLOURS[3], linewidth=1.0)
        axes.set_ylabel("td error")


def return_so_far(rewards: Array, ended: Array | None) -> Array:
    """Return the sum of rewards of the current episode up to each step, [steps]; ``ended``: bool, [steps]."""
    total, found = 0.0, np.empty(len(rewards))
    for i, reward in enumerate(rewards.tolist()):
        total = reward if i and ended is not None and ended[i - 1] else total + reward
        found[i] = total
    return found
