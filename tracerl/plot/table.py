"""Tables of runs: final returns over lifetimes, and the share and median step of each milestone."""

import csv
import io
import statistics
from collections.abc import Sequence
from typing import Any

from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import FEWEST, count_reached, interquartile_mean, interval, median_reached
from tracerl.runs.compare import Group

FORMATS = ("text", "markdown", "csv")
NO_INTERVAL = f"no interval with fewer than {FEWEST} lifetimes"
Row = dict[str, Any]


def table_rows(groups: Sequence[Group], labels: Sequence[str]) -> list[Row]:
    """Return a row per group: lifetimes, returns, area, and the share and median step of each milestone.

    The area under the learning curve is the mean over env steps of the return of their episode. Intervals are None with
    fewer than three lifetimes. A lifetime that never reached a milestone counts as infinite. The median is None if most
    lifetimes did not.
    """
    return [_row(group, label) for group, label in zip(groups, labels, strict=True)]


def _row(group: Group, label: str) -> Row:
    returns, areas = group.returns, group.areas
    low, high = interval(returns)
    row: Row = {
        "env": group.jobs[0].env,
        "run": label,
        "lives": len(group.lifetimes),
        "steps": min((lifetime.steps for lifetime in group.lifetimes), default=0),
        "mean": statistics.fmean(returns) if returns else None,
        "lowest": min(returns, default=None),
        "iqm": interquartile_mean(returns) if returns else None,
        "iqm_low": low,
        "iqm_high": high,
        "area": interquartile_mean(areas) if areas else None,
    }
    rates = [rate for lifetime in group.lifetimes if (rate := lifetime.reward_rate) is not None]
    if rates and not returns:  # no episode has ended
        row["iqm per step"] = interquartile_mean(rates)
    for name, steps in group.milestones.items():
        row[f"{name} share"] = count_reached(steps) / len(steps)
        row[f"{name} median"] = median_reached(steps)
    return row


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as csv in full precision. Unknown values are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(column for row in rows for column in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a markdown table. Returns are of the last 100 episodes."""
    head, *cells = _cells(rows)
    lines = ["| " + " | ".join(row).replace("\n", " ") + " |" for row in [head, *cells]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def as_text(rows: Sequence[Row]) -> str:
    """Return a table as plain text."""
    cells = _cells(rows)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells) + "\n"


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return head and body of a table for readers. The column of envs exists for several envs only."""
    left_out = () if len({row["env"] for row in rows}) > 1 else ("env",)
    found = [{name: text for name, text in _words(row).items() if name not in left_out} for row in rows]
    head = list(dict.fromkeys(name for words in found for name in words))
    return [head, *([words.get(name, "-") for name in head] for words in found)]


def _words(row: Row) -> dict[str, str]:
    """Return a row for readers, text by column."""
    ends = "" if row["iqm_low"] is None else f" [{number(row['iqm_low'])}, {number(row['iqm_high'])}]"
    words = {
        "env": row["env"],
        "run": row["run"],
        "lifetimes": str(row["lives"]),
        "env steps": f"{row['steps']:,}",
        f"mean, last {WINDOW}": number(row["mean"]),
        "lowest lifetime": number(row["lowest"]),
        "IQM [95% interval]": number(row["iqm"]) + ends,
        "area": number(row["area"]),
    }
    if "iqm per step" in row:
        words["IQM per step"] = number(row["iqm per step"])
    for name in (column.removesuffix(" share") for column in row if column.endswith(" share")):
        middle = row[f"{name} median"]
        words[name] = f"{row[f'{name} share']:.0%}" + ("" if middle is None else f" at {middle:,.0f}")
    return words


def number(value: float | None) -> str:
    """Return a number as text with about three digits."""
    return "-" if value is None else f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3}f}"
