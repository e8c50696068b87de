"""Compute learning curves per lifetime, and their statistic and band over lifetimes."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import RATE_WINDOW, WINDOW
from tracerl.lifetime.statistics import STATISTICS, interval
from tracerl.runs.compare import Group
from tracerl.runs.files import is_regular
from tracerl.runs.folders import Job

Array = np.ndarray[Any, Any]
POINTS = 200  # points of a curve
RETURN, RATE = f"mean return, last {WINDOW} episodes", f"reward per env step, last {RATE_WINDOW:,}"
NEWEST = "return of the newest episode"
_RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class Curve:
    """A measure of one lifetime at some env steps. A value holds until the next one, the last until ``end``.

    Without ``holds``, such as of evaluations, the values between two points are unknown; lines join the points.
    """

    steps: Array  # increasing env steps, [points]
    values: Array  # values at the steps, [points]
    end: float  # last env step of the lifetime
    holds: bool = True  # whether a value holds until the next one

    def at(self, steps: Array) -> Array:
        """Return the values at env steps, NaN where there is none: [len(steps)]."""
        last = np.searchsorted(self.steps, steps, side="right") - 1
        known = (last >= 0) & (steps <= self.end)
        if not self.holds:
            known &= self.steps[last.clip(min=0)] == steps
        found: Array = np.where(known, self.values[last.clip(min=0)], np.nan)
        return found


@dataclass(frozen=True, eq=False)
class Band:
    """A statistic over the curves of lifetimes, with an interval."""

    label: str  # name in a legend
    env: str  # name of the env; each env has its own panel
    measure: str  # name of the measure, for the axis
    statistic: str  # name of the statistic, one of ``tracerl.lifetime.statistics.STATISTICS``
    steps: Array  # env steps, [points]
    middle: Array  # value of the statistic, [points]
    low: Array  # lower end of its 95% bootstrap interval, [points]; NaN with values of fewer than three lifetimes
    high: Array  # upper end of the interval, [points]
    lifetimes: Array  # number of lifetimes at each point, [points]
    curves: Sequence[Curve] = ()  # curves of the lifetimes, if available


def rolling_mean(returns: Array, window: int = WINDOW) -> Array:
    """Return the mean of each return and up to ``window`` - 1 returns before it: [episodes]."""
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    last = np.arange(1, len(sums))
    first = np.maximum(last - min(window, len(returns)), 0)
    means: Array = (sums[last] - sums[first]) / (last - first)
    return means


def running_mean(values: Array, decay: float) -> Array:
    """Return the exponential averages of values [n]: sum of decay^(t-i) x_i divided by the sum of decay^(t-i)."""
    total, weight, means = 0.0, 0.0, np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        total, weight = decay * total + value, decay * weight + 1
        means[i] = total / weight
    return means


def reward_rate(job: Job) -> Curve | None:
    """Return the mean reward per step over the lifetimes of a run, from its TensorBoard events; None without any."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: dict[int, float] = {}
    for path in filter(is_regular, sorted(job.folder.glob("events.out.tfevents.*"))):
        try:
            for event in LegacyEventFileLoader(str(path)).Load():
                found |= {event.step: v.simple_value for v in event.summary.value if v.tag == "rollout/reward_rate"}
        except Exception:  # TensorBoard can raise any error for an incomplete file; events before it are used
            continue
    if not found:
        return None
    steps = sorted(found)
    return Curve(np.array(steps), np.array([found[step] for step in steps]), max(job.steps, steps[-1]))


def band(
    curves: Sequence[Curve], statistic: str = "iqm", *, label: str = "", env: str = "", measure: str = RETURN
) -> Band:
    """Return a statistic over curves with its 95% bootstrap interval.

    The steps are those with values of at least two lifetimes. ``lifetimes`` is the number of values at each step. Of
    curves whose values do not hold, the steps are their own.
    """
    needed = min(2, len(curves)) - 1
    first = sorted(curve.steps[0] for curve in curves)[needed]
    last = sorted((curve.end for curve in curves), reverse=True)[needed]
    steps = np.linspace(first, max(first, last), POINTS)
    if not all(curve.holds for curve in curves):
        steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    values = np.array([curve.at(steps) for curve in curves])  # [lifetimes, points]
    lifetimes, middle, low, high = np.zeros(len(steps)), *np.full((3, len(steps)), np.nan)
    for i, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        lifetimes[i] = len(known)
        middle[i] = STATISTICS[statistic](known) if len(known) else np.nan
        ends = interval(known, resamples=_RESAMPLES, statistic=statistic)
        low[i], high[i] = (np.nan if end is None else end for end in ends)
    return Band(label, env, measure, statistic, steps, middle, low, high, lifetimes, curves)


def bands_of(
    groups: Sequence[Group], labels: Sequence[str], statistic: str = "iqm", window: int = WINDOW
) -> list[Band]:
    """Return a band for each group with data: of returns or, without an ended episode, of reward rates.

    A return is the mean of the last ``window`` episodes. A reward rate is logged over all lifetimes of a run, so it
    gives one curve per run.
    """
    returns = NEWEST if window == 1 else f"mean return, last {window} episodes"
    found = []
    for group, label in zip(groups, labels, strict=True):
        begun, measure = [lifetime for lifetime in group.lifetimes if len(lifetime.returns)], returns
        curves = [Curve(one.ends, rolling_mean(one.returns, window), one.steps) for one in begun]
        if not curves:
            rates = (reward_rate(job) for job in group.jobs)
            curves, measure = [rate for rate in rates if rate is not None], RATE
        if curves:
            found.append(band(curves, statistic, label=label, env=group.jobs[0].env, measure=measure))
    return found


_NAMES = ("env", "label", "measure", "statistic")
_COLUMNS = (*_NAMES, "step", "middle", "low", "high", "lives")


def bands_as_csv(bands: Iterable[Band]) -> str:
    """Return bands as csv, a row per point."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for found in bands:
        points = zip(found.steps, found.middle, found.low, found.high, found.lifetimes, strict=True)
        for step, middle, low, high, lifetimes in points:
            numbers = (f"{step:.0f}", f"{middle:.6g}", f"{low:.6g}", f"{high:.6g}", int(lifetimes))
            rows.writerow((found.env, found.label, found.measure, found.statistic, *numbers))
    return out.getvalue()


def read_bands(path: Path) -> list[Band]:
    """Return the bands in a csv of ``bands_as_csv``.

    Raises:
        ConfigError: naming the file and what is wrong in it.
    """
    found: dict[tuple[str, ...], list[list[float]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet can add the mark at the start
        rows = csv.DictReader(file)
        try:
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise ConfigError("RUN", f"must be a csv with the columns {', '.join(_COLUMNS)}, got {path}")
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                found.setdefault(tuple(row[name] for name in _NAMES), []).append(_point(row, where))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ConfigError("RUN", f"must be a csv of text, got {path}: {error}") from error
    if not found:
        raise ConfigError("RUN", f"has no row below its head: {path}")
    bands = []
    for (env, label, measure, statistic), points in found.items():
        bands.append(Band(label, env, measure, statistic, *np.array(points).T))
        if not np.isfinite(bands[-1].middle).any():
            raise ConfigError("RUN", f"has no number in the column middle for {label} of {env}: {path}")
    return bands


def _point(row: dict[str, Any], where: str) -> list[float]:
    """Return the numbers of a row of a csv; a ConfigError names the column. Only some can be unknown, as nan."""
    if None in row or None in row.values():
        raise ConfigError("RUN", f"must have {len(_COLUMNS)} columns in each line: {where}")
    if row["statistic"] not in STATISTICS:
        expected = f"must have one of {', '.join(STATISTICS)} in the column statistic"
        raise ConfigError("RUN", f"{expected}, got {row['statistic']!r}: {where}")
    numbers = []
    for name in _COLUMNS[len(_NAMES) :]:
        try:
            numbers.append(float(row[name]))
        except ValueError:
            numbers.append(np.inf)
        if np.isinf(numbers[-1]) or (np.isnan(numbers[-1]) and name in ("step", "lives")):
            raise ConfigError("RUN", f"must have a number in the column {name}, got {row[name]!r}: {where}")
    return numbers


def renamed(bands: Sequence[Band], labels: Sequence[str]) -> list[Band]:
    """Return the bands with other labels."""
    return [replace(found, label=label) for found, label in zip(bands, labels, strict=True)]
