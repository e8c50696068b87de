"""Pictures of a sweep: learning curves with bands, and what each setting does. Needs ``tracerl[plots]``."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.episodes import read_episodes
from tracerl.stats import WINDOW, bootstrap_interval, interquartile_mean
from tracerl.sweep.jobs import Job
from tracerl.sweep.table import Group, group, number_in

Array = np.ndarray[Any, Any]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f", "#8c6d31", "#6b4c9a")
_POINTS = 200  # of a curve
_LOGARITHMIC = 30.0  # of a numeric axis: the ratio of its ends from which on it is


def rolling_mean(returns: Array) -> Array:
    """Average each return with the 99 before it, or with all before it where they are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    last = np.arange(1, len(sums))
    first = np.maximum(last - WINDOW, 0)
    means: Array = (sums[last] - sums[first]) / (last - first)
    return means


def curves(jobs: Sequence[Job]) -> list[tuple[Array, Array]]:
    """Return the learning curve of every life of some jobs: env steps, and the mean return of the last 100 episodes."""
    found = []
    for job in jobs:
        episodes = read_episodes(job.folder)
        for life in np.unique(episodes["life"]):
            mine = episodes["life"] == life
            found.append((episodes["step"][mine], rolling_mean(episodes["return"][mine])))
    return found


def band(lives: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array, Array]:
    """Return env steps, the interquartile mean over lives at each, and the ends of its 95% interval.

    The curve begins where every life has ended an episode, and ends where the shortest life does.
    """
    first, last = max(steps[0] for steps, _ in lives), min(steps[-1] for steps, _ in lives)
    grid = np.linspace(first, max(first, last), _POINTS)
    values = np.array([np.interp(grid, steps, means) for steps, means in lives])  # [lives, points]
    middle = np.array([interquartile_mean(column) for column in values.T])
    if len(lives) < 2:
        return grid, middle, middle, middle
    ends = np.array([bootstrap_interval(column, resamples=500) for column in values.T])
    return grid, middle, ends[:, 0], ends[:, 1]


def draw_curves(jobs: Sequence[Job], path: Path) -> None:
    """Draw the learning curves of the ten best settings."""

    def mean(found: Group) -> float:
        returns = [value for job in found.jobs for value in job.returns]
        return interquartile_mean(returns) if returns else -math.inf

    best = sorted(group(jobs), key=mean, reverse=True)[: len(COLOURS)]
    differ = differing(best)
    named = {}
    for found in best:
        label = ", ".join(f"{key}={found.overrides.get(key, 'default')}" for key in differ) or "all"
        named[label] = curves(found.jobs)
    save_bands(named, path)


def save_bands(named: Mapping[str, Sequence[tuple[Array, Array]]], path: Path, title: str = "") -> None:
    """Draw the band of each set of learning curves, by its label.

    Args:
        named: the curves of the lives of each set; one without lives is left out.
        path: of the picture.
        title: above it.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for (label, found), colour in zip(named.items(), itertools.cycle(COLOURS)):
        lives = [curve for curve in found if len(curve[0])]
        if lives:
            steps, middle, low, high = band(lives)
            axes.plot(steps, middle, color=colour, linewidth=1.8, label=f"{label} ({len(lives)})")
            axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set(xlabel="env steps", ylabel=f"return, mean of the last {WINDOW} episodes")
    about = "interquartile mean over lives (their number), 95% interval"
    axes.set_title(f"{title}: {about}" if title else about, fontsize=10)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,g}k" if value >= 1000 else f"{value:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.has_data():
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def differing(groups: Sequence[Group]) -> list[str]:
    """Return the overrides that are not the same in all groups."""
    keys = dict.fromkeys(key for found in groups for key in found.overrides)
    return [key for key in keys if len({found.overrides.get(key) for found in groups}) > 1]


def draw_effects(jobs: Sequence[Job], path: Path) -> None:
    """Draw the final returns against each setting that differs, a panel for each; dots are lives."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    differ = differing(group(jobs)) or ["seed"]
    figure, panels = plt.subplots(
        1, len(differ), figsize=(1 + 3.2 * len(differ), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, key in zip(panels[0], differ, strict=True):
        _draw_effect(axes, jobs, key)
    panels[0][0].set_ylabel(f"return, mean of the last {WINDOW} episodes")
    figure.suptitle("each life, and the interquartile mean with its 95% interval", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_effect(axes: Any, jobs: Sequence[Job], key: str) -> None:
    """Draw one panel: values of a setting, on a numeric axis where they all are numbers."""
    names = list(dict.fromkeys(job.overrides.get(key, "default") for job in jobs))
    numbers = [number_in(name) for name in names]
    numeric = all(number is not None for number in numbers)
    places = [float(n) for n in numbers if n is not None] if numeric else [float(i) for i in range(len(names))]
    for name, place in sorted(zip(names, places, strict=True), key=lambda pair: pair[1]):
        values = [value for job in jobs if job.overrides.get(key, "default") == name for value in job.returns]
        axes.plot([place] * len(values), values, "o", color=COLOURS[0], alpha=0.3, markersize=4, linewidth=0)
        if len(values) > 1:
            middle, (low, high) = interquartile_mean(values), bootstrap_interval(values)
            reach = [[max(0.0, middle - low)], [max(0.0, high - middle)]]
            axes.errorbar([place], [middle], reach, fmt="o", color=COLOURS[1], markersize=6, capsize=4)
    if numeric and min(places) > 0 and max(places) / min(places) >= _LOGARITHMIC:
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(places, names, rotation=20, ha="right")
    axes.set_xlabel(key)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
