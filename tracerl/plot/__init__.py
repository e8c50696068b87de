"""Figures and tables for print: ``python -m tracerl.plot RUN...``, and functions that draw arrays.

The functions return a ``matplotlib.figure.Figure`` for ``save``. They need the extra ``plots``. Names are imported on
first use, so that ``--help`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracerl.plot.choice import choose as choose
    from tracerl.plot.curves import draw_curves as draw_curves
    from tracerl.plot.distributions import draw_distributions as draw_distributions
    from tracerl.plot.filters import draw_filters as draw_filters
    from tracerl.plot.filters import filters_of as filters_of
    from tracerl.plot.frames import draw_frames as draw_frames
    from tracerl.plot.lines import draw_running as draw_running
    from tracerl.plot.lines import draw_traces as draw_traces
    from tracerl.plot.living import live_on as live_on
    from tracerl.plot.memory import distributions_of as distributions_of
    from tracerl.plot.raster import draw_raster as draw_raster
    from tracerl.plot.series import Band as Band
    from tracerl.plot.series import Curve as Curve
    from tracerl.plot.series import band as band
    from tracerl.plot.series import bands_of as bands_of
    from tracerl.plot.style import save as save
    from tracerl.plot.table import table_rows as table_rows

_HOMES = {
    "choice": ("choose",),
    "curves": ("draw_curves",),
    "distributions": ("draw_distributions",),
    "filters": ("draw_filters", "filters_of"),
    "frames": ("draw_frames",),
    "lines": ("draw_running", "draw_traces"),
    "living": ("live_on",),
    "memory": ("distributions_of",),
    "raster": ("draw_raster",),
    "series": ("Band", "Curve", "band", "bands_of"),
    "style": ("save",),
    "table": ("table_rows",),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"tracerl.plot.{module}"), name)
    raise AttributeError(f"module 'tracerl.plot' has no attribute {name!r}")
