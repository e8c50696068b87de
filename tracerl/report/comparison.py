"""The page that compares several runs, such as those of a sweep."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tracerl
from tracerl.lifetime.statistics import FEWEST, counted
from tracerl.plot.choice import Chosen
from tracerl.report import results
from tracerl.report.html import Html, element, page, section, table, together
from tracerl.report.one_run import Options
from tracerl.runs.compare import Group, differing
from tracerl.runs.files import read_yaml
from tracerl.sweep.compare import improvement, improvement_interval
from tracerl.sweep.table import statuses

_MOST = 100  # settings with a section of their own


def comparison(chosen: Chosen, paths: Sequence[Path], options: Options) -> str:
    """Return the page that compares the chosen groups."""
    jobs = [job for group in chosen.groups for job in group.jobs]
    names = ", ".join(path.resolve().name for path in paths)
    title = options.title or f"{names}: {counted(len(chosen.groups), 'setting')}, {counted(len(jobs), 'run')}"
    labels = list(dict.fromkeys(chosen.labels))
    drawn = chosen.best() if len(labels) > 1 else chosen
    shown = len(set(drawn.labels))
    said = f"The best {shown} of {len(labels)} settings are drawn." if shown < len(labels) else ""
    lifetimes = str(sum(len(group.lifetimes) for group in chosen.groups))
    parts = [
        results.problems(jobs),
        results.about(jobs, runs=f"{len(jobs)} ({statuses(jobs)})", lifetimes=lifetimes),
        section("Returns", element("p", said) if said else "", results.curves(drawn, lifetimes=False)),
        section("Results", *_tables(chosen), element("p", results.AREA), element("p", results.MILESTONE)),
        *_varied(chosen.groups),
        section("Each setting", *_commands(paths), *_each(chosen)),
        element("footer", f"Written by tracerl {tracerl.__version__}."),
    ]
    return page(title, *parts)


def _tables(chosen: Chosen) -> list[Html]:
    """Return a table per env, the settings with the best final returns first."""
    found = []
    numbered = list(enumerate(zip(chosen.groups, chosen.labels, strict=True)))
    for env in dict.fromkeys(group.jobs[0].env for group in chosen.groups):
        here = [entry for entry in numbered if entry[1][0].jobs[0].env == env]
        here.sort(key=lambda entry: entry[1][0].middle_return, reverse=True)
        best = here[0][1][0]
        milestones = list(dict.fromkeys(name for _, (group, _) in here for name in group.milestones))
        rows = []
        for i, (group, label) in here:
            name = element("a", label, href=f"#setting-{i}") if i < _MOST else label
            steps = min((one.steps for one in group.lifetimes), default=0)
            row = [name, str(len(group.lifetimes)), f"{steps:,}", results.returns_in_words(group)]
            row += [results.spread(group.areas), _beaten(best, group)]
            rows.append([*row, *(_reached(group, milestone) for milestone in milestones)])
        head = ["setting", "lifetimes", "env steps", results.FINAL, "area [95% interval]", "P(best >)", *milestones]
        few = any(1 <= len(group.returns) < FEWEST for _, (group, _) in here)
        caption = (
            f"{env}. P(best >): the probability that a lifetime of the first row has a higher final return than one of "
            "this row, ties half. " + (results.NO_INTERVAL if few else "")
        )
        found.append(table(caption, head, rows))
    return found


def _reached(group: Group, milestone: str) -> str:
    steps = group.milestones.get(milestone)
    return results.reached(steps) if steps else "-"


def _beaten(best: Group, group: Group) -> str:
    """Return the probability that a lifetime of the best setting is better, with its interval."""
    if best is group or not (best.returns and group.returns):
        return "-"
    chance = f"{improvement(best.returns, group.returns):.2f}"
    if min(len(best.returns), len(group.returns)) < FEWEST:
        return chance
    low, high = improvement_interval([(best.returns, group.returns)])
    return f"{chance} [{low:.2f},{results.SPACE}{high:.2f}]"


def _varied(groups: Sequence[Group]) -> list[Html]:
    """Return the table of the settings that differ and of their values."""
    keys = differing(groups)
    if not keys:
        return []
    rows = [[key, ", ".join(dict.fromkeys(group.overrides.get(key, "default") for group in groups))] for key in keys]
    shown = table("Settings that differ between the runs, and their values.", ["setting", "values"], rows)
    return [section("Settings that varied", element("div", shown, class_="settings"))]


def _commands(paths: Sequence[Path]) -> list[Html]:
    """Return the commands of sweeps, as Hydra kept them."""
    found = []
    for path in paths:
        try:
            lines: Any = read_yaml(path / "multirun.yaml")["hydra"]["overrides"]["task"]
            found.append(shlex.join(["python", "-m", "tracerl.run", "-m", *map(str, lines)]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [element("h3", "The sweep"), *(element("pre", line) for line in found)] if found else []


def _each(chosen: Chosen) -> list[Html]:
    """Return a part per setting: its runs, and the command of its first one."""
    found = []
    for i, (group, label) in enumerate(zip(chosen.groups[:_MOST], chosen.labels[:_MOST], strict=True)):
        runs = ", ".join(job.folder.name for job in group.jobs)
        heading = element("h3", f"{group.jobs[0].env}: {label}", id=f"setting-{i}")
        said = f"Runs: {runs} ({statuses(group.jobs)})."
        found.append(together(heading, element("p", said), results.command(group.jobs[0])))
    if len(chosen.groups) > _MOST:
        found.append(element("p", f"The other {len(chosen.groups) - _MOST} settings are in the table alone."))
    return found
