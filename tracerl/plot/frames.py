"""Draw rendered images side by side with titles."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.plot.style import QUIET, FigureOptions, figure_options, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLUMNS = 5


def draw_frames(frames: Mapping[str, np.ndarray[Any, Any]], **options: Unpack[FigureOptions]) -> "Figure":
    """Draw images side by side, five in a row.

    Args:
        frames: at least one image by its title, uint8, [height, width, 3].
    """
    title, width, height = figure_options(**options)
    columns = min(len(frames), _MOST_COLUMNS)
    rows = -(-len(frames) // columns)
    tallest = max(image.shape[0] / image.shape[1] for image in frames.values())
    with style():
        figure = new_figure(width, height or rows * (width / columns * tallest + 0.25) + (0.3 if title else 0.0))
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in panels[len(frames) :]:
            axes.set_axis_off()
        for axes, (name, image) in zip(panels, frames.items(), strict=False):
            axes.imshow(image, interpolation="antialiased")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=QUIET, alpha=0.5)
            axes.set_title(name, fontsize=8)
        figure.suptitle(title, fontsize=9)
    return figure
