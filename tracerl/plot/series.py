"""Learning curves as numbers: one per lifetime, and over lifetimes a middle and a band. No drawing here."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import RATE_WINDOW, WINDOW
from tracerl.lifetime.statistics import STATISTICS, bootstrap_interval
from tracerl.runs.compare import Group, Lifetime
from tracerl.runs.files import is_regular
from tracerl.runs.folders import Job

Array = np.ndarray[Any, Any]
POINTS = 200  # of a curve
RETURN, RATE = f"mean return, last {WINDOW} episodes", f"reward per env step, last {RATE_WINDOW:,}"
_RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class Curve:
    """A measure of one lifetime at some env steps; each number holds until the next one, the last to ``end``."""

    steps: Array  # env steps, rising, [points]
    values: Array  # [points]
    end: float  # env step up to which the lifetime ran

    def at(self, steps: Array) -> Array:
        """Return the values at env steps, NaN before the first and after the end: [len(steps)]."""
        last = np.searchsorted(self.steps, steps, side="right") - 1
        there = (last >= 0) & (steps <= self.end)
        found: Array = np.where(there, self.values[last.clip(min=0)], np.nan)
        return found


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over lifetimes."""

    label: str  # of the lifetimes, in a legend
    env: str  # where they were lived; curves of different envs stand in different panels
    measure: str  # what the numbers are, as an axis says it
    statistic: str  # what the middle is of the lifetimes, one of ``tracerl.lifetime.statistics.STATISTICS``.
    steps: Array  # env steps, [points]
    middle: Array  # [points]
    low: Array  # lower end of the 95% bootstrap interval of the middle, [points]; the middle itself where there is none
    high: Array  # upper end, [points]
    lifetimes: Array  # how many lifetimes there were at each point, [points]
    curves: Sequence[Curve] = ()  # of the lifetimes, where they are at hand


def rolling_mean(returns: Array, window: int = WINDOW) -> Array:
    """Average each return with the 99 before it, or with all before it where they are fewer: [episodes]."""
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    last = np.arange(1, len(sums))
    first = np.maximum(last - window, 0)
    means: Array = (sums[last] - sums[first]) / (last - first)
    return means


def running_mean(values: Array, decay: float) -> Array:
    """Average values [n] with exponentially fading weights: the sum of decay^(t-i) x_i over that of decay^(t-i)."""
    total, weight, means = 0.0, 0.0, np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        total, weight = decay * total + value, decay * weight + 1
        means[i] = total / weight
    return means


def curve_of(lifetime: Lifetime) -> Curve | None:
    """Return the learning curve of a lifetime, as far as it came; None while it has ended no episode."""
    if not len(lifetime.returns):
        return None
    return Curve(lifetime.ends, rolling_mean(lifetime.returns), lifetime.steps)


def curves_of(group: Group) -> list[Curve]:
    """Return the learning curve of every lifetime that has ended an episode."""
    return [curve for curve in map(curve_of, group.lifetimes) if curve is not None]


def reward_rate(job: Job) -> Curve | None:
    """Return the reward per step of a run, over its lifetimes, by its TensorBoard events; None where they have none."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: dict[int, float] = {}
    for path in filter(is_regular, sorted(job.folder.glob("events.out.tfevents.*"))):
        try:
            for event in LegacyEventFileLoader(str(path)).Load():
                found |= {event.step: v.simple_value for v in event.summary.value if v.tag == "rollout/reward_rate"}
        except Exception:  # of TensorBoard: a torn file tells as much as it holds
            continue
    if not found:
        return None
    steps = sorted(found)
    return Curve(np.array(steps), np.array([found[step] for step in steps]), max(job.steps, steps[-1]))


def band(
    curves: Sequence[Curve], statistic: str = "iqm", *, label: str = "", env: str = "", measure: str = RETURN
) -> Band:
    """Return the middle of curves, with the 95% interval that bootstrapping over them gives it.

    It goes from where two of the lifetimes have a number to where two are left; ``lifetimes`` tells how many there are.
    """
    needed = min(2, len(curves)) - 1
    first = sorted(curve.steps[0] for curve in curves)[needed]
    last = sorted((curve.end for curve in curves), reverse=True)[needed]
    steps = np.linspace(first, max(first, last), POINTS)
    values = np.array([curve.at(steps) for curve in curves])  # [lifetimes, points]
    lifetimes, middle, low, high = (np.zeros(POINTS) for _ in range(4))
    for i, column in enumerate(values.T):
        there = column[np.isfinite(column)]
        lifetimes[i] = len(there)
        low[i] = high[i] = middle[i] = STATISTICS[statistic](there) if len(there) else np.nan
        if len(there) > 1:
            low[i], high[i] = bootstrap_interval(there, resamples=_RESAMPLES, statistic=statistic)
    return Band(label, env, measure, statistic, steps, middle, low, high, lifetimes, curves)


def bands_of(groups: Sequence[Group], labels: Sequence[str], statistic: str = "iqm") -> list[Band]:
    """Return a band for each group that can be drawn: of returns or, where no episode has ended, of reward rates.

    A reward rate is logged over all lifetimes of a run, and is a curve of the run.
    """
    found = []
    for group, label in zip(groups, labels, strict=True):
        curves, measure = curves_of(group), RETURN
        if not curves:
            rates = (reward_rate(job) for job in group.jobs)
            curves, measure = [rate for rate in rates if rate is not None], RATE
        if curves:
            found.append(band(curves, statistic, label=label, env=group.jobs[0].env, measure=measure))
    return found


_COLUMNS = ("env", "label", "measure", "statistic", "step", "middle", "low", "high", "lives")


def bands_as_csv(bands: Iterable[Band]) -> str:
    """Return the numbers of bands, a row per point."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for found in bands:
        for step, middle, low, high, lifetimes in zip(
            found.steps, found.middle, found.low, found.high, found.lifetimes, strict=True
        ):
            numbers = (f"{step:.0f}", f"{middle:.6g}", f"{low:.6g}", f"{high:.6g}", int(lifetimes))
            rows.writerow((found.env, found.label, found.measure, found.statistic, *numbers))
    return out.getvalue()


def read_bands(path: Path) -> list[Band]:
    """Return the bands that ``bands_as_csv`` wrote."""
    found: dict[tuple[str, str, str, str], list[list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise ConfigError("RUN", f"must be a csv with the columns {', '.join(_COLUMNS)}, got {path}")
        try:
            for row in rows:
                key = (row["label"], row["env"], row["measure"], row["statistic"])
                found.setdefault(key, []).append([float(row[name]) for name in _COLUMNS[4:]])
        except (TypeError, ValueError) as error:
            raise ConfigError("RUN", f"has no number where one should be: {path}, line {rows.line_num}") from error
    return [_read(key, np.array(points).T) for key, points in found.items()]


def _read(key: tuple[str, str, str, str], numbers: Array) -> Band:
    """Return a band of its columns, [steps and what follows, points]."""
    steps, middle, low, high, lifetimes = numbers
    return Band(*key, steps, middle, low, high, lifetimes)


def renamed(bands: Sequence[Band], labels: Sequence[str]) -> list[Band]:
    """Return the same bands under other labels."""
    return [replace(found, label=label) for found, label in zip(bands, labels, strict=True)]
