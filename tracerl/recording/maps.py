"""Draw the neurons of a convolution at their places in the image, a tile per channel."""

import numpy as np

from tracerl.recording import images as P
from tracerl.recording.images import Picture
from tracerl.recording.panels import charge
from tracerl.recording.recorder import LayerRecording, Recording

_GAP = 2  # pixels between two tiles


def first_convolution(recording: Recording) -> LayerRecording | None:
    """Return the first layer whose neurons lie on an image; None if there is none."""
    return next((layer for layer in recording.layers if layer.shape is not None), None)


def maps(layer: LayerRecording, width: int, height: int) -> Picture:
    """Draw the newest step of a layer: spikes over membranes, in the colours of the rows of neurons.

    Args:
        layer: a layer with a ``shape``.
        width: room to the right, in pixels.
        height: room below, in pixels.

    Returns:
        The tiles of the channels, in rows from the left, at the largest whole number of pixels per neuron that fits:
        uint8, [at most height, at most width, 3]. With less than a pixel per neuron, the channels that fit.
    """
    assert layer.shape is not None
    channels, tall, wide = layer.shape
    columns, scale = _grid(channels, tall, wide, width, height)
    pitch = tall * scale + _GAP, wide * scale + _GAP
    rows = min(-(-channels // columns), max(1, (height + _GAP) // pitch[0]))
    picture = np.full((rows * pitch[0] - _GAP, columns * pitch[1] - _GAP, 3), P.BACKGROUND, np.uint8)
    shares, spikes = charge(layer)[-1].reshape(layer.shape), layer.spikes[-1].reshape(layer.shape)
    for channel in range(min(channels, rows * columns)):
        top, left = channel // columns * pitch[0], channel % columns * pitch[1]
        # Both functions draw [steps, n] with the steps to the right.
        tile = P.membranes(shares[channel].T, wide * scale, tall * scale)
        tile = P.lit(tile, spikes[channel].T)
        picture[top : top + tall * scale, left : left + wide * scale] = tile
    return picture[:height, :width]


def _grid(channels: int, tall: int, wide: int, width: int, height: int) -> tuple[int, int]:
    """Return the number of columns, and the pixels per neuron, that fill the room best."""
    best = max(1, min(channels, (width + _GAP) // (wide + _GAP))), 1
    for columns in range(1, channels + 1):
        rows = -(-channels // columns)
        across, down = (width + _GAP) // columns - _GAP, (height + _GAP) // rows - _GAP
        scale = min(across // wide, down // tall)
        if scale > best[1]:
            best = columns, scale
    return best
