"""The table of a sweep: a row per setting over its seeds, the best first."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tracerl.lifetime.statistics import count_reached, counted, interquartile_mean, interval, median_reached
from tracerl.plot.table import NO_INTERVAL, number
from tracerl.runs.compare import Group, group, without_seed
from tracerl.runs.folders import STATUSES, Job, read_jobs
from tracerl.sweep.jobs import jobs_asked_for

Row = dict[str, Any]
_WIDE = 1000  # characters per line outside a terminal
_HEADS = {"lives": "lifetimes", "lived": "steps", "steps_per_second": "steps/s"}  # of columns with another name in csv
_BESIDE = {"lives": "all lifetimes", "lived": "steps so far"}  # of columns beside a setting of the head's name


def row_of(found: Group) -> Row:
    """Return the row of jobs that differ in their seeds only, by column. Unknown values are None."""
    returns, areas = found.returns, found.areas
    low, high = interval(returns)
    speeds = [float(job.summary["steps_per_second"]) for job in found.jobs if job.summary.get("steps_per_second")]
    return {
        **found.overrides,
        "status": statuses(found.jobs),
        "jobs": len(found.jobs),
        "lives": len(found.lifetimes),
        "lived": min(job.steps for job in found.jobs),
        "iqm": interquartile_mean(returns) if returns else None,
        "ci_low": low,
        "ci_high": high,
        "lowest": min(returns, default=None),
        "area": interquartile_mean(areas) if areas else None,
        **{name: _reached(steps) for name, steps in found.milestones.items()},
        "steps_per_second": statistics.median(speeds) if speeds else None,
    }


def _reached(steps: Sequence[int | None]) -> str:
    """Return the number of lifetimes that reached a milestone, and the median step, as text."""
    middle, count = median_reached(steps), count_reached(steps)
    return f"{count}/{len(steps)}" + ("" if middle is None else f", {middle:,}")


def statuses(jobs: Sequence[Job]) -> str:
    """Return the number of jobs by status, as text."""
    counts = Counter(job.status for job in jobs)
    order = sorted(counts, key=lambda status: STATUSES.index(status) if status in STATUSES else len(STATUSES))
    if len(counts) == 1 and len(jobs) == 1:
        return order[0]
    return ", ".join(f"{counts[status]} {status}" for status in order)


def rows_of(jobs: Sequence[Job], each: bool = False, sort: str | None = None) -> list[Row]:
    """Return the rows of the table, the highest mean first, or sorted by another column.

    A row is for the jobs that differ in their seeds only or, with ``each``, for one job.

    Raises:
        ValueError: ``sort`` is not a column.
    """
    if each:
        alone = [Group({"job": job.folder.name, **job.overrides}, [job]) for job in jobs]
        rows = [{**row_of(found), "error": found.jobs[0].error} for found in alone]
    else:
        rows = [row_of(found) for found in group(jobs, without_seed)]
    if sort is None:
        return sorted(rows, key=lambda row: math.inf if row["iqm"] is None else -row["iqm"])
    shared = _shared(jobs, rows)
    heads = _heads([column for column in _columns(rows) if column not in shared])
    columns = {**{column: column for column in shared}, **{head: column for column, head in heads.items()}}
    if sort not in {*columns, *columns.values()}:
        raise ValueError(f"--sort must be one of {', '.join(columns)}; got {sort!r}")
    return sorted(rows, key=lambda row: _order(row.get(columns.get(sort, sort))))


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def _shared(jobs: Sequence[Job], rows: Sequence[Row]) -> Row:
    """Return the settings that all rows have in common."""
    settings = {key for job in jobs for key in job.overrides}
    first = {key: value for key, value in rows[0].items() if key in settings} if rows else {}
    return {key: value for key, value in first.items() if all(row.get(key) == value for row in rows)}


def _heads(columns: Sequence[str]) -> dict[str, str]:
    """Return the head of each column of a table."""
    heads = {column: _HEADS.get(column, column) for column in columns}
    return {column: _BESIDE[column] if column != head and head in columns else head for column, head in heads.items()}


def _order(value: Any) -> tuple[bool, bool, Any]:
    """Return a key that sorts numbers before words before None."""
    number = number_in(value)
    return value is None, number is None, str(value) if number is None else number


def number_in(value: Any) -> float | None:
    """Return a value as a number; None if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def report(
    folder: Path, console: Console, each: bool = False, sort: str | None = None, jobs: list[Job] | None = None
) -> list[Job]:
    """Print the table of the jobs in a folder, which are read unless they are given, and return the jobs.

    On a terminal that is too narrow for it, each row is printed as lines, a line for each column.
    """
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDE, highlight=False)
    jobs = read_jobs(folder) if jobs is None else jobs
    rows = rows_of(jobs, each, sort)
    shared = _shared(jobs, rows)
    _print_head(folder, jobs, shared, console)
    shown = [column for column in _columns(rows) if column not in (*shared, "ci_low", "ci_high")]
    table = _table(rows, shown)
    if rows and Measurement.get(console, console.options.update(max_width=_WIDE), table).maximum <= console.width:
        console.print(table)
    else:
        _print_blocks(rows, shown, console)
    if any(row["iqm"] is not None and row["ci_low"] is None and row["lives"] > 1 for row in rows):
        console.print(NO_INTERVAL)
    return jobs


def _print_blocks(rows: Sequence[Row], shown: Sequence[str], console: Console) -> None:
    """Print the known values of each row, a line for each."""
    for row in rows:
        lines = [
            f"{head}: {_cell(row, column)}" for column, head in _heads(shown).items() if row.get(column) is not None
        ]
        console.print("", *lines, sep="\n", soft_wrap=True, highlight=False, markup=False)
    console.print()


def _table(rows: Sequence[Row], shown: Sequence[str]) -> Table:
    table = Table(box=SIMPLE)
    for column, head in _heads(shown).items():
        words = column in ("status", "error", "job") or "." in column
        table.add_column(Text(head), justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*[Text(_cell(row, column)) for column in shown])  # Text: brackets are no markup
    return table


def _print_head(folder: Path, jobs: Sequence[Job], shared: Row, console: Console) -> None:
    asked = jobs_asked_for(folder)
    n = len(jobs)
    begun = f"{n} of {counted(asked, 'job')}" if asked is not None and asked >= n else counted(n, "job")
    common = ", ".join(f"{key}={value}" for key, value in shared.items())
    started = f"{begun} begun: {statuses(jobs)}" if jobs else "no job has begun"
    console.print(f"{folder}: {started}", markup=False)
    if common:
        console.print(f"all with {common}", highlight=False, markup=False)


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        return "-"
    if column == "iqm" and row["ci_low"] is not None:
        return f"{number(value)} [{number(row['ci_low'])}, {number(row['ci_high'])}]"
    return number(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
