"""Statistics over lifetimes: means, interquartile means and bootstrap intervals."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

FEWEST = 3  # lifetimes of an interval: two say nothing of how much a third would differ
Keep = Callable[[int, int, float, int], None]  # lifetime, env step, return, length


def average(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN; NaN without any."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular for one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count_reached(reached: Sequence[int | None]) -> int:
    """Return how many lifetimes have reached a milestone, from the env step at which each did; None: it has not."""
    return sum(step is not None for step in reached)


def median_reached(reached: Sequence[int | None]) -> int | None:
    """Return the env step by which half of the lifetimes, rounded up, had reached a milestone; None before that."""
    middle = statistics.median_low([math.inf if step is None else step for step in reached])
    return int(middle) if math.isfinite(middle) else None


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half of the values, with the outermost values weighted by their share in it.

    Agarwal et al. 2021 (https://arxiv.org/abs/2108.13264), section 4.3.
    """
    return float(_interquartile_means(np.asarray(values, np.float64)))


def _interquartile_means(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the interquartile means over the last axis."""
    edges = np.arange(values.shape[-1] + 1) / values.shape[-1]
    weights = 2 * np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    means: np.ndarray[Any, Any] = np.sort(values, axis=-1) @ weights
    return means


STATISTICS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {  # of lifetimes, over the last axis
    "iqm": _interquartile_means,
    "mean": lambda values: values.mean(-1),
    "median": lambda values: np.median(values, axis=-1),
}


def bootstrap_interval(
    values: Sequence[float], level: float = 0.95, resamples: int = 2000, statistic: str = "iqm"
) -> tuple[float, float]:
    """Return the ends of a percentile bootstrap interval, from a fixed seed.

    Args:
        values: one per lifetime; at least two.
        level: coverage.
        resamples: number of bootstrap samples.
        statistic: one of ``STATISTICS``: the interquartile mean, the mean or the median.
    """
    data = np.asarray(values, np.float64)
    picks = np.random.default_rng(0).integers(len(data), size=(resamples, len(data)))
    low, high = np.quantile(STATISTICS[statistic](data[picks]), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval(values: Sequence[float], **options: Any) -> tuple[float, float] | tuple[None, None]:
    """Return ``bootstrap_interval`` of three lifetimes or more; (None, None) of fewer."""
    return bootstrap_interval(values, **options) if len(values) >= FEWEST else (None, None)


def area(lengths: np.ndarray[Any, Any], returns: np.ndarray[Any, Any]) -> float | None:
    """Return the normalised area under a learning curve: the mean over env steps of the return of their episode.

    Args:
        lengths: lengths of the ended episodes of a lifetime, env steps.
        returns: returns of these episodes.

    Returns:
        The area; None without an ended episode.
    """
    return float(lengths @ returns / lengths.sum()) if lengths.sum() else None
