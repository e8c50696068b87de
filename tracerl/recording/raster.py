"""Composite images of a lifetime: its raster over consecutive env steps, and its neurons' constants."""

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
)  # of a panel, least and most: a pixel per env step in between; two are as wide as TensorBoard's cards
_NEURONS = (32, 128)  # of a raster's height, the same per neuron
_LINES, _BARS = 56, 64  # heights
_SERIES = len(images.COLOURS)  # lines that can be told apart

Panel = Callable[[int], Picture]  # draws in a width


def raster_sheet(recording: Recording) -> Picture | None:
    """Draw what was recorded: layers in pairs, spikes above membranes, then what the agent made of it.

    Grey lines stand where an episode ended. A raster of more neurons than 128 shows for each row whether any of its
    neurons fired. Of more than six actions, the first six have a line.
    """
    steps = len(recording)
    if not steps:
        return None
    width = min(max(steps, _WIDTH[0]), _WIDTH[1])
    ends = np.zeros(0) if recording.ended is None else (np.flatnonzero(recording.ended) + 1) / steps
    ends = ends[ends < 1]
    layers = [partial(_layer, layer, ends) for layer in recording.layers]
    return images.stacked(*_in_pairs(layers, width), *_in_pairs(list(_outlook(recording, ends)), width))


def _layer(layer: LayerRecording, ends: Numbers, width: int) -> Picture:
    """Draw one layer's spikes and membranes, these dark a deviation below their mean and bright at the threshold."""
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
    """Return between which membranes, [steps, n], to tell differences; a few far below would hide all others."""
    finite, thresholds = membrane[np.isfinite(membrane)], threshold[np.isfinite(threshold)]
    if not finite.size:
        return 0.0, 1.0
    return float(finite.mean() - finite.std()), float((thresholds if thresholds.size else finite).max())


def _outlook(recording: Recording, ends: Numbers) -> Iterator[Panel]:
    """Return a panel each of what there is of probabilities, means, deviations, values and td errors."""
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
    """Return the least and the largest number that is finite, a little apart."""
    there = np.concatenate(series)
    there = there[np.isfinite(there)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _in_pairs(panels: Sequence[Panel], width: int) -> list[Picture]:
    """Draw panels, two in a row, each ``width`` wide; one that is left over takes a whole row."""
    pairs = [panels[i : i + 2] for i in range(0, len(panels), 2)]
    whole = 2 * width + images.GAP
    return [images.beside(*[draw(width if len(pair) == 2 else whole) for draw in pair]) for pair in pairs]


def constants_sheet(born: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> Picture | None:
    """Draw how decays and thresholds are distributed, as bars, and how they were at initialisation, as a line."""
    panels: list[Panel] = []
    for tag in sorted(now, key=lambda tag: tag.partition("/")[0]):  # decays, then thresholds, each in their order
        values, before = now[tag], born.get(tag, now[tag])
        if np.isfinite(values).any() and np.isfinite(before).any():
            panels.append(partial(_constants, tag, before, values))
    if not panels:
        return None
    return images.titled(images.stacked(*_in_pairs(panels, _WIDTH[0])), "bars: now; line: at birth")


def _constants(tag: str, before: Numbers, values: Numbers, width: int) -> Picture:
    low, high = (0.0, 1.0) if tag.startswith("decays/") else (None, None)
    return images.titled(images.histogram(values, width, _BARS, low, high, before), tag)
