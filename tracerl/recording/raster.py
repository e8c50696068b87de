"""Pictures of a lifetime for TensorBoard: panels over consecutive env steps, and the constants of its neurons."""

from collections.abc import Mapping

import numpy as np

from tracerl.nn.views import Numbers
from tracerl.recording import images
from tracerl.recording.images import Picture
from tracerl.recording.recorder import Recording
from tracerl.recording.timeline import GUTTER, Timeline

_CARD, _WIDEST = 350, 806  # width of a card of TensorBoard, and largest width of a raster
_BARS = 64  # height of a histogram


def raster_image(recording: Recording, last_step: int, episode: int) -> Picture | None:
    """Draw a recording: spikes and membranes of each layer, then policy outputs, value and td error.

    Args:
        recording: recording of consecutive env steps.
        last_step: number of its last env step.
        episode: number of its last episode.

    Returns:
        The picture; None for an empty recording. It has at least a pixel per step up to its largest width.
    """
    steps = len(recording)
    if not steps:
        return None
    width = min(max(GUTTER + steps, _CARD), _WIDEST)
    return Timeline(None).draw(recording, last_step, episode, (width, 0), steps)


def constants_image(initial: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> Picture | None:
    """Draw histograms of decays and thresholds: bars for the current ones, a line for the initial ones."""
    tags = sorted(now, key=lambda tag: tag.partition("/")[0])  # decays before thresholds
    tags = [tag for tag in tags if np.isfinite(now[tag]).any() and np.isfinite(initial.get(tag, now[tag])).any()]
    rows = []
    for pair in (tags[i : i + 2] for i in range(0, len(tags), 2)):
        width = (_CARD - images.GAP) // 2 if len(pair) == 2 else _CARD
        rows.append(images.beside(*(_constants(tag, initial.get(tag, now[tag]), now[tag], width) for tag in pair)))
    return images.titled(images.stacked(*rows), "bars: current; line: initial") if rows else None


def _constants(tag: str, before: Numbers, values: Numbers, width: int) -> Picture:
    low, high = (0.0, 1.0) if tag.startswith("decays/") else (None, None)
    return images.titled(images.histogram(values, width, _BARS, low, high, before), tag)
