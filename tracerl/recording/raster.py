"""Composite images of a lifetime: a raster over consecutive env steps, and the constants of its neurons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from tracerl.nn.views import Numbers
from tracerl.recording import images
from tracerl.recording.images import Picture
from tracerl.recording.recorder import LayerRecording, Recording

_WIDTH = (
    172,
    400,
)  # width of a panel, minimum and maximum: a pixel per env step; two panels are as wide as a card of TensorBoard
_NEURONS = (32, 128)  # height of a raster, minimum and maximum: a pixel per neuron
_LINES, _BARS = 56, 64  # heights of panels
_SERIES = len(images.COLOURS)  # largest number of lines in a panel

Panel = Callable[[int], Picture]  # draws a panel of a width


def raster_image(recording: Recording) -> Picture | None:
    """Draw a recording: spikes and membranes of each layer, then policy outputs, value and td error.

    Grey lines mark ends of episodes. In a raster of more than 128 neurons, a row shows whether any of its neurons
    fired. Only the first six actions have a line.
    """
    steps = len(recording)
    if not steps:
        return None
    width = min(max(steps, _WIDTH[0]), _WIDTH[1])
    ends = np.zeros(0) if recording.ended is None else (np.flatnonzero(recording.ended) + 1) / steps
    ends = ends[ends < 1]
    layers = [partial(_layer, layer, ends) for layer in recording.layers]
    return images.stacked(*_in_pairs(layers, width), *_in_pairs(list(_policy_outputs(recording, ends)), width))


def _layer(layer: LayerRecording, ends: Numbers, width: int) -> Picture:
    """Draw the spikes and membranes of a layer.

    Membranes are dark at one standard deviation below their mean and bright at the threshold.
    """
    height = min(max(layer.spikes.shape[1], _NEURONS[0]), _NEURONS[1])
    low, high = _scale(layer.membrane, layer.threshold[-1])
    spikes = images.ruled(images.raster(layer.spikes, width, height), ends)
    membranes = images.ruled(images.shades(layer.membrane, low, high, width, height), ends)
    return np.concatenate(
        [
            images.titled(spikes, f"{layer.name}: spikes"),
            images.titled(membranes, f"{layer.name}: v, {low:.1g} to {high:.2g}"),
        ]
    )


def _scale(membrane: Numbers, threshold: Numbers) -> tuple[float, float]:
    """Return the limits of the scale of membranes, [steps, n]. Outliers below the mean are cut off."""
    finite, thresholds = membrane[np.isfinite(membrane)], threshold[np.isfinite(threshold)]
    if not finite.size:
        return 0.0, 1.0
    return float(finite.mean() - finite.std()), float((thresholds if thresholds.size else finite).max())


def _policy_outputs(recording: Recording, ends: Numbers) -> Iterator[Panel]:
    """Yield panels of the recorded probabilities, means, standard deviations, values and td errors."""
    several = ("probabilities", recording.probabilities), ("means", recording.mean), ("deviations", recording.std)
    single = ("value", recording.value), ("td error", recording.td_error)
    found = [(title, list(array.T[:_SERIES])) for title, array in several if array is not None]
    found += [(title, [array]) for title, array in single if array is not None]
    for title, series in found:
        yield partial(_lines, title, series, ends)


def _lines(title: str, series: Sequence[Numbers], ends: Numbers, width: int) -> Picture:
    low, high = (0.0, 1.0) if title == "probabilities" else _ends(series)
    return images.titled(images.ruled(images.lines(series, width, _LINES, low, high), ends), title)


def _ends(series: Sequence[Numbers]) -> tuple[float, float]:
    """Return the smallest and largest finite number, widened if they are equal."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _in_pairs(panels: Sequence[Panel], width: int) -> list[Picture]:
    """Draw two panels per row, each ``width`` wide. A single last panel takes a whole row."""
    pairs = [panels[i : i + 2] for i in range(0, len(panels), 2)]
    whole = 2 * width + images.GAP
    return [images.beside(*[draw(width if len(pair) == 2 else whole) for draw in pair]) for pair in pairs]


def constants_image(initial: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> Picture | None:
    """Draw histograms of decays and thresholds: bars for the current ones, a line for the initial ones."""
    panels: list[Panel] = []
    for tag in sorted(now, key=lambda tag: tag.partition("/")[0]):  # decays before thresholds
        values, before = now[tag], initial.get(tag, now[tag])
        if np.isfinite(values).any() and np.isfinite(before).any():
            panels.append(partial(_constants, tag, before, values))
    if not panels:
        return None
    return images.titled(images.stacked(*_in_pairs(panels, _WIDTH[0])), "bars: current; line: initial")


def _constants(tag: str, before: Numbers, values: Numbers, width: int) -> Picture:
    low, high = (0.0, 1.0) if tag.startswith("decays/") else (None, None)
    return images.titled(images.histogram(values, width, _BARS, low, high, before), tag)
