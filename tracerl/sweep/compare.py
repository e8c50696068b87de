"""Measures of whole lifetimes, and the comparison of two sets of lifetimes.

Source: Agarwal et al. 2021, https://arxiv.org/abs/2108.13264.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import area as area

Array = np.ndarray[Any, Any]
Interval = tuple[float, float]


def lowest_late(steps: Array, means: Array, total: int) -> float | None:
    """Return the lowest mean return in the second half of a lifetime, a measure of forgetting.

    Args:
        steps: env steps at which episodes ended.
        means: mean return of the last 100 episodes at each step.
        total: env steps of the lifetime.

    Returns:
        The lowest mean; None if no window of 100 episodes ended in the second half.
    """
    late = (steps > total / 2) & (np.arange(1, len(steps) + 1) >= WINDOW)
    return float(means[late].min()) if late.any() else None


def improvement(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the probability that one of our lifetimes has a higher measure than a baseline's. Ties count half.

    The Mann-Whitney statistic over all pairs (section 4.3).
    """
    x, y = np.asarray(ours, np.float64)[:, None], np.asarray(baseline, np.float64)[None, :]
    return float(((x > y) + 0.5 * (x == y)).mean())


def improvement_interval(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return the percentile bootstrap interval of the improvement, averaged over tasks, from a fixed seed.

    Lifetimes are resampled within each task and side (stratified).

    Args:
        pairs: measures of our lifetimes and of the baseline's in each task.
        level: coverage of the interval.
        resamples: bootstrap samples.
    """
    rng = np.random.default_rng(0)
    total = np.zeros(resamples)
    for ours, baseline in pairs:
        x, y = np.asarray(ours, np.float64), np.asarray(baseline, np.float64)
        beats = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])  # [ours, baseline]
        # With the resampled lifetimes as counts, the mean over pairs is bilinear in the two counts.
        a, b = (rng.multinomial(len(side), np.full(len(side), 1 / len(side)), resamples) for side in (x, y))
        total += np.einsum("ri,ij,rj->r", a / len(x), beats, b / len(y), optimize=True)
    low, high = np.quantile(total / len(pairs), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
