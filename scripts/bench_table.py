"""The table of ``bench_learning.py``, and what it says in words: seeds, their middle, milestones, speed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench_rows import Line, seeds_in_words
from bench_runs import Life

from tracerl.lifetime.statistics import bootstrap_interval, interquartile_mean

HEAD = [
    "env, steps",
    "agent, settings",
    "seeds",
    "last 100: IQM [95% interval], lowest",
    "milestones: seeds, median step",
    "steps/s",
]


@dataclass(frozen=True)
class Measured:
    """A line of the table with what its seeds came to.

    Attributes:
        line: which.
        agent: its name.
        steps: env steps of each life.
        lives: one per seed.
        speeds: env steps per second of each process that finished.
        together: lives that shared a process.
    """

    line: Line
    agent: str
    steps: int
    lives: Sequence[Life]
    speeds: Sequence[float]
    together: int = 1

    @property
    def finals(self) -> list[float]:
        """The returns of the seeds that did not fail."""
        return [life.final for life in self.lives if life.error is None and life.final is not None]


def number(value: float) -> str:
    """Format a return with one digit behind the point, a small one with two."""
    return f"{value:,.{2 if abs(value) < 10 else 1}f}"


def score(found: Measured) -> str:
    """Return the interquartile mean over seeds with its interval, and the lowest seed: a failed one, if one failed."""
    finals = found.finals
    if not finals:
        return "-, failed"
    middle = number(interquartile_mean(finals))
    if len(finals) > 1:
        middle += " [{}, {}]".format(*(number(end) for end in bootstrap_interval(finals)))
    return f"{middle}, {number(min(finals)) if len(finals) == len(found.lives) else 'failed'}"


def reached(name: str, lives: Sequence[Life]) -> str:
    """Return how many seeds reached a milestone, and the median step; a seed that did not counts as the latest."""
    steps = [life.milestones[name] for life in lives]
    middle = statistics.median_low([math.inf if step is None else step for step in steps])
    count = sum(step is not None for step in steps)
    return f"{name}: {count}/{len(steps)}, {'-' if middle == math.inf else f'{middle:,}'}"


def seeds_cell(found: Measured) -> str:
    """Return the seeds, and how many of them failed."""
    failed = len(found.lives) - len(found.finals)
    return seeds_in_words(found.line.row.seeds) + (f" ({failed} failed)" if failed else "")


def speed_cell(found: Measured) -> str:
    """Return the median speed of a process, and how many lives shared it."""
    if not found.speeds:
        return "-"
    shared = f" ({found.together} lives)" if found.together > 1 else ""
    return f"{statistics.median(found.speeds):,.0f}{shared}"


def table_line(found: Measured) -> str:
    """Format a line of the table."""
    # Steps and agent are told already.
    settings = " ".join(f"`{one}`" for one in found.line.overrides if not one.startswith(("steps=", "agent=")))
    cells = [
        f"{found.line.row.label}, {found.steps:,}",
        ", ".join(part for part in (found.agent, settings) if part),
        seeds_cell(found),
        score(found),
        "; ".join(reached(name, found.lives) for name in found.lives[0].milestones) or "-",
        speed_cell(found),
    ]
    return f"| {' | '.join(cells)} |"


def table(found: Sequence[Measured], about: str) -> str:
    """Return the table in markdown, with a line about where and when its runs were made."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *(table_line(one) for one in found)]
    return "\n".join([*lines, "", about])


def life_line(life: Life, speed: float | None) -> str:
    """One line about one seed."""
    if life.error is not None or life.final is None:
        return f"FAILED: {life.error}"
    milestones = "".join(f"{name} {step}; " for name, step in life.milestones.items())
    return f"final-100 {life.final:.1f}; {milestones}{speed or math.nan:,.0f} steps/s"


def report(found: Measured) -> str:
    """Return a line's results in words."""
    lines = [f"\n{found.line.name}: seeds {seeds_cell(found)}, {found.steps:,} steps each"]
    lines += [reached(name, found.lives) for name in found.lives[0].milestones]
    finals = found.finals
    if finals:
        lines.append(
            f"final-100: {score(found)}; mean {number(statistics.mean(finals))}, minimum {number(min(finals))}"
        )
    return "\n".join(lines)
