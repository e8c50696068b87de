"""The report of a study: a table per task, what it comes to over tasks, and pictures."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench_rows import file_name, seeds_in_words
from bench_table import number
from study_measures import Life
from study_plan import Study

from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import bootstrap_interval, interquartile_mean
from tracerl.plot.curves import draw_curves
from tracerl.plot.series import band
from tracerl.plot.style import save
from tracerl.sweep.compare import improvement, improvement_interval

Lives = Mapping[tuple[str, str], Sequence[Life]]
HEAD = (
    "setting",
    "lives",
    "final 100: IQM [95%]",
    "mean",
    "minimum",
    "area: IQM [95%]",
    "lowest, second half",
    "P(> bar), final 100",
    "P(> bar), area",
)
ABOUT = (
    f"Final 100: mean return of a life's last {WINDOW} episodes. Area: the return of the episode that a step is in, "
    "averaged over all steps. Lowest, second half: the lowest mean of 100 episodes there, of the median life and of "
    "the worst. wN>=R: share of lives whose mean of N episodes reached R, and the median step (a life that never did "
    "counts as the latest). P(> bar): probability that a life scores higher than one of the bar, ties half; intervals "
    "are 95% stratified bootstraps (Agarwal et al. 2021)."
)


def report(study: Study, lives: Lives, about: str) -> str:
    """Return the report in markdown; its pictures are ``TASK.png`` beside it.

    Args:
        study: what was asked.
        lives: by task and setting.
        about: where and when it was made.
    """
    parts = [f"# {study.name}", f"**Question.** {study.question}", f"**Prediction.** {study.prediction}", ABOUT]
    parts += ["## Over all tasks", over_tasks(study, lives)]
    for task in study.tasks:
        steps = max(life.steps for life in lives[task.name, study.bar])
        settings = " ".join(f"`{one}`" for one in (f"env={task.env}", *task.overrides))
        head = f"{settings}, {steps:,} steps, seeds {seeds_in_words(task.seeds)}."
        parts += [f"## {task.name}", head, table(study, task.name, lives), f"![{task.name}]({picture(task.name)})"]
    parts += ["## Settings", settings_table(study), about]
    return "\n\n".join(parts) + "\n"


def picture(task: str) -> str:
    """Return the file name of a task's learning curves."""
    return f"{file_name(task)}.png"


def settings_table(study: Study) -> str:
    """Return what every setting changes."""
    return "\n".join(
        f"- {name}{' (the bar)' if name == study.bar else ''}: "
        + (" ".join(f"`{one}`" for one in own) or "the defaults")
        for name, own in study.settings.items()
    )


def table(study: Study, task: str, lives: Lives) -> str:
    """Return the table of one task."""
    names = list(dict.fromkeys(name for setting in study.settings for name in lives[task, setting][0].milestones))
    rows = [[*HEAD, *names]]
    for setting in study.settings:
        members = lives[task, setting]
        finals, areas, lows = (scores_of(members, name) for name in ("final_100", "area", "lowest_late"))
        cells = [setting + (" (bar)" if setting == study.bar else ""), counted(members), middle(finals)]
        cells += [number(statistics.mean(finals)), number(min(finals))] if finals else ["-", "-"]
        cells += [middle(areas), f"{number(statistics.median(lows))}, {number(min(lows))}" if lows else "-"]
        for name in ("final_100", "area"):
            pair = scores_of(members, name), scores_of(lives[task, study.bar], name)
            cells.append("-" if setting == study.bar else chance([pair]))
        rows.append([*cells, *(reached(name, members) for name in names)])
    return markdown(rows)


def over_tasks(study: Study, lives: Lives) -> str:
    """Return how probable it is that a setting beats the bar, averaged over the tasks."""
    rows = [["setting", "P(> bar), final 100", "P(> bar), area", "tasks"]]
    for setting in study.settings:
        if setting == study.bar:
            continue
        cells = []
        for name in ("final_100", "area"):
            found = [
                (scores_of(lives[task.name, setting], name), scores_of(lives[task.name, study.bar], name))
                for task in study.tasks
            ]
            pairs = [pair for pair in found if all(pair)]
            cells.append(chance(pairs))
        rows.append([setting, *cells, str(len(pairs))])
    return markdown(rows) if len(rows) > 1 else "There is the bar alone."


def scores_of(members: Sequence[Life], name: str) -> list[float]:
    """Return a score of each life that has it; one whose run failed has none."""
    return [value for life in members if life.counts and (value := life.scores[name]) is not None]


def counted(members: Sequence[Life]) -> str:
    """Return how many lives came to their end, of how many."""
    ended = sum(life.counts for life in members)
    if ended == len(members):
        return str(ended)
    others = sorted({life.status for life in members if not life.counts})
    return f"{ended} of {len(members)} ({', '.join(others)})"


def middle(values: Sequence[float]) -> str:
    """Return the interquartile mean with its interval."""
    if not values:
        return "-"
    ends = " [{}, {}]".format(*map(number, bootstrap_interval(values))) if len(values) > 1 else ""
    return number(interquartile_mean(values)) + ends


def chance(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> str:
    """Return the probability of improvement over the bar, averaged over tasks, with its interval."""
    if not pairs or not all(ours and bar for ours, bar in pairs):
        return "-"
    low, high = improvement_interval(pairs)
    return f"{statistics.mean(improvement(*pair) for pair in pairs):.2f} [{low:.2f}, {high:.2f}]"


def reached(name: str, members: Sequence[Life]) -> str:
    """Return the share of lives that reached a milestone, and the median step."""
    if all(life.status == "missing" for life in members):
        return "-"
    steps = [life.milestones.get(name) for life in members]
    latest = statistics.median_low([math.inf if step is None else step for step in steps])
    share = sum(step is not None for step in steps) / len(steps)
    return f"{share:.0%}, {'-' if latest == math.inf else f'{latest:,}'}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def draw(study: Study, lives: Lives, folder: Path) -> None:
    """Draw the learning curves of every task."""
    for task in study.tasks:
        bands = []
        for setting in study.settings:
            curves = [life.curve for life in lives[task.name, setting] if life.counts and life.curve is not None]
            if curves:
                bands.append(band(curves, label=setting, env=task.name))
        if bands:
            save(draw_curves(bands, title=task.name), folder / picture(task.name))
