"""Draw the weights of convolutions, before and after learning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.plot.style import QUIET, FigureOptions, figure_options, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
_GAP = 1  # cells between two filters
_MOST_ROWS = 8  # input channels drawn


def filters_of(agent: Any) -> Array:
    """Return the weights of an agent's first convolution: [channels, input channels, height, width].

    Raises:
        ConfigError: the agent has no convolution.
    """
    from tracerl.nn.layers.convolution import ConvolutionalSynapses

    layers = agent.spiking_layers().values() if hasattr(agent, "spiking_layers") else ()
    for synapses in (getattr(layer, "synapses", None) for layer in layers):
        if isinstance(synapses, ConvolutionalSynapses):
            weight = synapses.weight.detach().double().cpu().numpy()
            found: Array = weight.reshape(synapses.channels, -1, synapses.kernel, synapses.kernel)
            return found
    raise ConfigError("RUN", "must have an agent with a convolution for --what filters (network=conv)")


def draw_filters(filters: Mapping[str, Array], **options: Unpack[FigureOptions]) -> "Figure":
    """Draw filters as shades on one scale per panel: a column per channel, a row per input channel.

    Args:
        filters: at least one array by its title, [channels, input channels, height, width]. Of more than eight input
            channels the first eight are drawn.
    """
    title, width, height = figure_options(**options)
    shown = {name: _tiled(values[:, :_MOST_ROWS]) for name, values in filters.items()}
    with style():
        each = [width * image.shape[0] / image.shape[1] + 0.35 for image in shown.values()]
        figure = new_figure(width, height or sum(each) + (0.3 if title else 0.0))
        panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=each)[:, 0]
        for axes, (name, image) in zip(panels, shown.items(), strict=True):
            largest = float(np.nanmax(np.abs(image)))
            drawn = axes.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
            channels, rows, tall, wide = filters[name][:, :_MOST_ROWS].shape
            axes.set_xticks(np.arange(channels) * (wide + _GAP) + (wide - 1) / 2, [str(i) for i in range(channels)])
            axes.set_yticks(np.arange(rows) * (tall + _GAP) + (tall - 1) / 2, [str(i) for i in range(rows)])
            axes.tick_params(length=0, labelsize=6.5, labelcolor=QUIET)
            axes.set(ylabel="input channel")
            axes.set_title(name, fontsize=8)
            axes.grid(False)
            axes.spines[:].set_visible(False)
            figure.colorbar(drawn, ax=axes, pad=0.01, fraction=0.03).ax.tick_params(labelsize=6.5)
        panels[-1].set_xlabel("channel")
        figure.suptitle(title, fontsize=9)
    return figure


def _tiled(filters: Array) -> Array:
    """Return filters beside each other with gaps of NaN: [rows of pixels, columns of pixels]."""
    channels, rows, tall, wide = filters.shape
    tiles = np.full((rows, tall + _GAP, channels, wide + _GAP), np.nan)
    tiles[:, :tall, :, :wide] = filters.transpose(1, 2, 0, 3)
    flat: Array = tiles.reshape(rows * (tall + _GAP), -1)[:-_GAP, :-_GAP]
    return flat
