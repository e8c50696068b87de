"""The parts that pages of one and of several runs share: learning curves, results and settings."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tracerl.config.overrides import key_and_value
from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import FEWEST, STATISTICS, count_reached, counted, interval, median_reached
from tracerl.plot.choice import Chosen
from tracerl.plot.curves import draw_curves
from tracerl.plot.series import RATE, Band, bands_of
from tracerl.plot.table import number
from tracerl.report.html import Html, element, facts, picture, together
from tracerl.runs import saved
from tracerl.runs.compare import Group
from tracerl.runs.folders import Job

NOTHING = "No episode has ended and no reward rate was logged, so there is no curve."
AREA = "Area: the return of the episode that an env step is in, averaged over the env steps."
MILESTONE = (
    "wN>=R: the share of lifetimes in which the mean of N returns has reached R, and the env step of the median "
    "lifetime; one that never did counts as latest. The mean of 100 returns contains those of the first, short "
    "episodes for long after the agent has learned; the newest return and the area do not."
)
WIDTH = 5.6  # inches of a figure: its text can be read on a phone
SPACE = "\u00a0"  # does not break a line
NO_INTERVAL = f"Intervals need {FEWEST} lifetimes or more."


def curves(chosen: Chosen, lifetimes: bool) -> Html:
    """Return two pictures: the mean return of the last 100 episodes, and the newest return over the lifetimes.

    Args:
        chosen: groups to draw.
        lifetimes: draw each lifetime in the first picture in place of an interval.
    """
    statistic = "median" if lifetimes else "iqm"
    means = bands_of(chosen.groups, chosen.labels, statistic)
    newest = [found for found in bands_of(chosen.groups, chosen.labels, "median", 1) if found.measure != RATE]
    if not means:
        return element("p", NOTHING)
    first = picture(draw_curves(means, lifetimes=lifetimes, width=WIDTH), f"Learning curves: {_ends(means)}")
    if not newest:
        return first
    caption = "The return of the newest episode, which no earlier episode delays: the median over lifetimes."
    second = picture(draw_curves(newest, width=WIDTH), f"Curves of the newest return: {_ends(newest)}", caption)
    return together(first, second)


def _ends(bands: Sequence[Band]) -> str:
    """Return the last values of curves in words."""
    said = [f"{found.env} {found.label}, {found.measure}: ends at {number(float(found.middle[-1]))}" for found in bands]
    return "; ".join(said)


def spread(values: Sequence[float], statistic: str = "iqm") -> str:
    """Return a statistic with its interval, in words."""
    if not len(values):
        return "-"
    low, high = interval(values, statistic=statistic)
    middle = number(float(STATISTICS[statistic](np.asarray(values, np.float64))))
    return middle if low is None else f"{middle} [{number(low)},{SPACE}{number(high)}]"


def reached(steps: Sequence[int | None]) -> str:
    """Return the share of lifetimes that reached a milestone, and the median step."""
    middle, count = median_reached(steps), count_reached(steps)
    return f"{count} of {len(steps)}" + ("" if middle is None else f", median{SPACE}{middle:,}")


def returns_in_words(group: Group) -> str:
    """Return the final returns or, without an ended episode, the reward per env step."""
    if group.returns:
        return spread(group.returns)
    rates = [rate for lifetime in group.lifetimes if (rate := lifetime.reward_rate) is not None]
    return f"{spread(rates)} per env step" if rates else "-"


FINAL = f"last {WINDOW} episodes, IQM [95% interval]"


def about(jobs: Sequence[Job], **first: str) -> Html:
    """Return what ran, where and when, of one run or of several."""
    seeds = [(job.seed, job.seed + max(job.lifetimes, 1) - 1) for job in jobs if job.seed is not None]
    low, high = min((pair[0] for pair in seeds), default=None), max((pair[1] for pair in seeds), default=None)
    pairs = {
        "env": _each(job.env for job in jobs),
        "agent": _each(job.agent for job in jobs),
        **first,
        "env steps": _range([job.steps for job in jobs]) + " per lifetime",
        "seeds": "" if low is None else f"{low}" if low == high else f"{low} to {high}",
        "engine": _each(job.summary.get("engine") for job in jobs),
        "tracerl": _each(job.summary.get("version") for job in jobs),
        "ended": ended(jobs),
        "machine": _each(job.summary.get("machine") for job in jobs) or "not recorded",
    }
    return facts(pairs)


def _each(values: Any) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def ended(jobs: Sequence[Job]) -> str:
    """Return when the last of the runs ended; of runs without a record of it, when its files were written."""
    times = [str(job.summary["ended"]) for job in jobs if job.summary.get("ended")]
    if times:
        return max(times).replace("T", " ").replace("+00:00", " UTC")
    files = [path for job in jobs for name in ("summary.json", "returns.part") if (path := job.folder / name).exists()]
    latest = max((path.stat().st_mtime for path in files), default=None)
    return "" if latest is None else f"{datetime.fromtimestamp(latest, UTC):%Y-%m-%d %H:%M} UTC, by its files"


def command(job: Job) -> Html:
    """Return the command that runs a job again."""
    lines = saved.command_line(job.folder / saved.OVERRIDES, warn=False)
    lines = lines or [f"{key}={value}" for key, value in job.overrides.items()]
    kept = [line for line in lines if key_and_value(line)[0].split(".")[0] not in ("hydra", "resume")]
    return element("pre", shlex.join(["python", "-m", "tracerl.run", *kept]))


def problems(jobs: Sequence[Job]) -> Html:
    """Return what a reader must know before the results: runs that go on, failed or diverged."""
    said = []
    for job in jobs:
        name = f"{job.folder.name}: " if len(jobs) > 1 else ""
        if job.status == "running":
            of = job.heartbeat.get("steps")
            until = f" of {of:,}" if isinstance(of, int) else ""
            said.append(f"{name}the run is still going, at {job.steps:,}{until} env steps; this page shows it so far.")
        elif job.status != "finished":
            said.append(f"{name}the run did not finish: {job.status}." + (f" {job.error}" if job.error else ""))
        for index, problem in (job.summary.get("diverged_lives") or {}).items():
            said.append(f"{name}lifetime {index} diverged: {problem}")
        if job.summary.get("resumed"):
            times = counted(len(job.summary["resumed"]), "time")
            said.append(f"{name}the run was continued from a checkpoint {times}.")
    if not said:
        return Html("")
    return element("div", *(element("p", line) for line in said), class_="notes", role="note")
