"""The summary of a run: ``summary.json`` and the closing lines on the terminal."""

import json
import math
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tracerl
from tracerl.lifetime.record import RATE_WINDOW, WINDOW, Record, steps_of_all
from tracerl.lifetime.statistics import FEWEST, count_reached, counted, interquartile_mean, interval, median_reached
from tracerl.runs.files import write_atomic
from tracerl.runs.machine import machine


@dataclass(frozen=True)
class Outcome:
    """The env, agent and status of a run, without the returns of its lifetimes."""

    env: str  # short name of the env
    agent: str  # name of the agent
    engine: str | None  # engine of the agent's steps; None for agents without engines
    device: str  # device of the tensors
    seed: int  # seed of the first lifetime
    wall_seconds: float = 0.0  # duration of the lifetime loop
    status: str = "failed"  # ``finished``, ``interrupted``, ``diverged`` or ``failed``
    error: str | None = None  # the failure that stopped the run, if any


def summarize(outcome: Outcome, records: list[Record]) -> dict[str, Any]:
    """Return the contents of ``summary.json`` from one record per lifetime. Missing values are None."""
    agent_steps = sum(record.step for record in records)
    milestones = {m.name: [r.milestones[i].reached_at for r in records] for i, m in enumerate(records[0].milestones)}
    about = asdict(outcome)
    end = {key: about.pop(key) for key in ("status", "error")}
    seconds = about.pop("wall_seconds")
    return {
        **about,
        "lifetimes": len(records),
        "steps": steps_of_all(records),
        "episodes": sum(record.episodes for record in records),
        "steps_per_second": agent_steps / seconds if seconds > 0 else None,
        "wall_seconds": seconds,
        f"return_last{WINDOW}": _over_lifetimes([record.mean_return(partial=True) for record in records]),
        f"reward_rate_last{RATE_WINDOW}": _over_lifetimes([record.reward_rate() for record in records]),
        "milestones": milestones,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (2**20 if sys.platform == "darwin" else 2**10),
        "version": tracerl.__version__,
        "machine": machine(),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        **end,
    }


def _over_lifetimes(per_life: list[float]) -> dict[str, Any]:
    """Return the mean, interquartile mean and its 95% interval over lifetimes; NaN is left out.

    The interval needs three lifetimes.
    """
    known = [value for value in per_life if not math.isnan(value)]
    low, high = interval(known)
    return {
        "mean": sum(known) / len(known) if known else None,
        "iqm": interquartile_mean(known) if known else None,
        "ci_low": low,
        "ci_high": high,
        "per_life": [None if math.isnan(value) else value for value in per_life],
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically; see ``write_atomic``."""
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def seeds_in_words(seed: int, lifetimes: int) -> str:
    """Return ``seed 3`` for one lifetime, ``seeds 3-10`` for many."""
    return f"seed {seed}" if lifetimes == 1 else f"seeds {seed}-{seed + lifetimes - 1}"


def closing_lines(summary: dict[str, Any], folder: Path, places: Sequence[str] = ()) -> list[str]:
    """Return the lines printed at the end of a run. The last line is the path of its summary.

    ``places`` are the commands and addresses that show its logs.
    """
    speed, lifetimes = summary["steps_per_second"], summary["lifetimes"]
    steps, episodes = counted(summary["steps"], "step"), counted(summary["episodes"], "episode")
    done = f"{steps}, {episodes}, {summary['wall_seconds']:,.1f} s"
    each = f"{lifetimes} lifetimes of {done}" if lifetimes > 1 else done
    names = f"{summary['env']} {summary['agent']} {seeds_in_words(summary['seed'], lifetimes)}"
    return [
        f"{summary['status']}: {names}, {each}" + (f" ({speed:,.0f} steps/s)" if speed else ""),
        _performance_in_words(summary),
        *(f"{name}: {_milestone_in_words(reached)}" for name, reached in summary["milestones"].items()),
        *places,
        str(folder / "summary.json"),
    ]


def _performance_in_words(summary: dict[str, Any]) -> str:
    """Return the mean return or, without an ended episode, the mean reward per env step."""
    returns, rates = summary[f"return_last{WINDOW}"], summary[f"reward_rate_last{RATE_WINDOW}"]
    if returns["mean"] is not None:
        return f"mean return of the last {WINDOW} episodes: {_spread_in_words(returns, 2)}"
    nothing = f"mean return of the last {WINDOW} episodes: no episode ended"
    if rates["mean"] is None:
        return nothing
    return f"{nothing}; mean reward of the last {RATE_WINDOW:,} steps: {_spread_in_words(rates, 5)}"


def _spread_in_words(found: dict[str, Any], digits: int) -> str:
    """Return the mean of one lifetime, or the interquartile mean, interval and range of many."""

    def shown(value: float) -> str:
        return f"{value:,.{digits}f}"

    values = [value for value in found["per_life"] if value is not None]
    if len(values) == 1:
        return shown(found["mean"])
    ends = f"no interval: fewer than {FEWEST}"
    if found["ci_low"] is not None:
        ends = f"95% interval {shown(found['ci_low'])} to {shown(found['ci_high'])}"
    extremes = f"lifetimes {shown(min(values))} to {shown(max(values))}"
    return f"{shown(found['iqm'])} (IQM over lifetimes; {ends}; {extremes})"


def _milestone_in_words(reached: list[int | None]) -> str:
    """Return the env step of one lifetime, or the number of lifetimes and the median env step of many."""
    count, middle = count_reached(reached), median_reached(reached)
    if len(reached) == 1:
        return "not reached" if middle is None else f"at step {middle:,}"
    when = "" if middle is None else f", median step {middle:,}"
    return f"reached by {count} of {len(reached)} lifetimes{when}"
