"""Draw final returns against the values of each setting of a sweep, a row of panels per env."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tracerl.config.checks import ConfigError
from tracerl.lifetime.statistics import interquartile_mean, interval
from tracerl.plot.series import RETURN
from tracerl.plot.style import COLOURS, new_figure, style
from tracerl.runs.compare import Group, differing, group, without_seed
from tracerl.sweep.table import number_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tracerl.runs.folders import Job

_TITLE = 5.6  # width of the title, inches
_LOGARITHMIC = 30.0  # smallest ratio of the ends of a numeric axis for a logarithmic scale


def draw_effects(jobs: "Sequence[Job]") -> "Figure":
    """Draw the final returns against each differing setting in its own panel. Dots are lifetimes.

    Raises:
        ConfigError: no lifetime has begun.
    """
    groups = [found for found in group(jobs, without_seed) if found.lifetimes]
    if not groups:
        raise ConfigError("--effects", "needs a lifetime to draw, and none has begun")
    envs = list(dict.fromkeys(found.jobs[0].env for found in groups))
    keys = [key for key in differing(groups) if key != "env" or len(envs) == 1] or ["seed"]
    with style():
        figure = new_figure(max(_TITLE, 1 + 2.6 * len(keys)), 0.4 + 2.8 * len(envs))
        panels = figure.subplots(len(envs), len(keys), sharey="row", squeeze=False)
        for row, env in zip(panels, envs, strict=True):
            here = [found for found in groups if found.jobs[0].env == env]
            for axes, key in zip(row, keys, strict=True):
                _draw_effect(axes, here, key)
            row[0].set_ylabel(RETURN)
            row[0].set_title(env, loc="left")
        figure.suptitle("each lifetime, and the interquartile mean with its 95% interval (three or more)", fontsize=9)
    return figure


def _draw_effect(axes: "Axes", groups: Sequence[Group], key: str) -> None:
    """Draw one panel for a setting. The axis is numeric if all values are numbers."""
    returns = _by_value(groups, key)
    names = list(returns)
    numbers = [number_in(name) for name in names]
    numeric = all(number is not None for number in numbers)
    places = [float(n) for n in numbers if n is not None] if numeric else [float(i) for i in range(len(names))]
    for name, place in sorted(zip(names, places, strict=True), key=lambda pair: pair[1]):
        values = returns[name]
        axes.plot([place] * len(values), values, "o", color=COLOURS[0], alpha=0.3, markersize=3, linewidth=0)
        if len(values) > 1:
            middle, (low, high) = interquartile_mean(values), interval(values)
            span = None if low is None or high is None else [[max(0.0, middle - low)], [max(0.0, high - middle)]]
            axes.errorbar([place], [middle], span, fmt="o", color=COLOURS[1], markersize=4.5, capsize=3)
    if numeric and min(places) > 0 and max(places) / min(places) >= _LOGARITHMIC:
        axes.set_xscale("log")
    elif numeric and all(place.is_integer() for place in places):
        axes.locator_params("x", integer=True)
    if not numeric:
        axes.set_xticks(places, names, rotation=20, ha="right")
    axes.set_xlabel(key)


def _by_value(groups: Sequence[Group], key: str) -> dict[str, list[Any]]:
    """Return the final returns of the lifetimes by the value of a setting. Each lifetime has its own seed."""
    found: dict[str, list[Any]] = {}
    for one in groups:
        for lifetime in one.lifetimes:
            value = one.overrides.get(key, "default") if key != "seed" else str(lifetime.seed)
            found.setdefault(value, []).extend([] if lifetime.final_return is None else [lifetime.final_return])
    return found
