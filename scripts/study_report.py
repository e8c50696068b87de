"""The report of a study: a table per task, the comparison over tasks, pictures, and the table of a page of docs/."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from doc_tables import markdown
from seeds import format_seeds
from study_measures import Lifetime
from study_plan import Study, file_name

from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import count_reached, interquartile_mean, interval, median_reached
from tracerl.plot.curves import draw_curves
from tracerl.plot.series import band
from tracerl.plot.style import save
from tracerl.sweep.compare import improvement, improvement_interval

Lifetimes = Mapping[tuple[str, str], Sequence[Lifetime]]  # by task and setting
HEAD = (
    "setting",
    "lifetimes",
    "final 100: IQM [95%]",
    "mean",
    "minimum",
    "area: IQM [95%]",
    "lowest, second half",
    "P(> baseline), final 100",
    "P(> baseline), area",
)
ABOUT = (
    f"Final 100: mean return of the last {WINDOW} episodes. Area: the return of the episode that a step is in, "
    "averaged over all steps. Lowest, second half: the lowest mean of 100 episodes there, of the median lifetime and "
    "of the worst. wN>=R: share of lifetimes whose mean of N episodes reached R, and the median step (a lifetime that "
    "never did counts as the latest). P(> baseline): probability that a lifetime scores higher than one of the "
    "baseline, ties half; intervals are 95% stratified bootstraps (Agarwal et al. 2021)."
)

ABOUT_TASKS = (
    "Ahead: the interval of P(> baseline) of the final 100 on a task lies above .5; behind: below .5; level: else. "
    "Normalised: interquartile mean over lifetimes, 0 and 1 at the two returns of the task's range; mean over tasks."
)


def report(study: Study, lifetimes: Lifetimes, about: str) -> str:
    """Return the report in markdown, with the pictures ``TASK.png``. ``about`` names machines and dates."""
    parts = [f"# {study.name}", f"**Question.** {study.question}", f"**Prediction.** {study.prediction}", ABOUT]
    parts += ["## Over all tasks", over_tasks(study, lifetimes)]
    for task in study.tasks:
        steps = max(one.steps for one in lifetimes[task.name, study.baseline])
        settings = " ".join(f"`{one}`" for one in (f"env={task.env}", *task.overrides))
        head = f"{settings}, {steps:,} steps, seeds {format_seeds(task.seeds)}."
        picture = f"![{task.name}]({file_name(task.name)}.png)"
        parts += [f"## {task.name}", head, table(study, task.name, lifetimes), picture]
    changed = [
        f"- {labelled(study, name)}: " + (" ".join(f"`{one}`" for one in own) or "the defaults")
        for name, own in study.settings.items()
    ]
    return "\n\n".join([*parts, "## Settings", "\n".join(changed), about]) + "\n"


def labelled(study: Study, setting: str) -> str:
    """Return the name of a setting, the baseline marked."""
    return f"{setting} (baseline)" if setting == study.baseline else setting


def table(study: Study, task: str, lifetimes: Lifetimes) -> str:
    """Return the table of one task."""
    names = list(dict.fromkeys(name for setting in study.settings for name in lifetimes[task, setting][0].milestones))
    rows = [[*HEAD, *names]]
    for setting in study.settings:
        members = lifetimes[task, setting]
        finals, areas, lows = (scores_of(members, name) for name in ("final_100", "area", "lowest_late"))
        cells = [labelled(study, setting), counted(members), middle(finals)]
        cells += [number(statistics.mean(finals)), number(min(finals))] if finals else ["-", "-"]
        cells += [middle(areas), f"{number(statistics.median(lows))}, {number(min(lows))}" if lows else "-"]
        cells += [chance(study, [task], setting, name, lifetimes) for name in ("final_100", "area")]
        rows.append([*cells, *(reached(name, members) for name in names)])
    return markdown(rows)


def page_table(study: Study, lifetimes: Lifetimes, about: str) -> str:
    """Return the table of a page: a row per task and setting, the baseline last, then machines and dates."""
    rows = [["task, env steps", "lifetimes", "setting", "last 100", "lowest", "milestones", "P(> baseline)"]]
    settings = [*(name for name in study.settings if name != study.baseline), study.baseline]
    for task in study.tasks:
        for i, setting in enumerate(settings):
            members = lifetimes[task.name, setting]
            finals = scores_of(members, "final_100")
            steps = max(one.steps for one in members)
            row = [f"{task.name}, {steps:,}" if i == 0 else "", counted(members), setting, middle(finals)]
            row += [number(min(finals)) if finals else "-"]
            row += ["; ".join(f"{name}: {reached(name, members)}" for name in members[0].milestones) or "-"]
            rows.append([*row, chance(study, [task.name], setting, "final_100", lifetimes)])
    seeds = "; ".join(f"{task.name} {format_seeds(task.seeds)}" for task in study.tasks)
    return f"{markdown(rows)}\n\nSeeds: {seeds}. {about}"


def over_tasks(study: Study, lifetimes: Lifetimes) -> str:
    """Return each setting over all tasks that it and the baseline have: beside the baseline, and normalised."""
    head = ["setting", "tasks", "ahead, level, behind", "P(> baseline), final 100", "P(> baseline), area"]
    rows = [[*head, "normalised final 100", "normalised area", "lowest normalised final 100"]]
    for setting in study.settings:
        both = [
            task.name
            for task in study.tasks
            if all(scores_of(lifetimes[task.name, one], "area") for one in (setting, study.baseline))
        ]
        row = [labelled(study, setting), str(len(both)), compared(study, both, setting, lifetimes)]
        row += [chance(study, both, setting, name, lifetimes) for name in ("final_100", "area")]
        rows.append([*row, *normalised(study, both, setting, lifetimes)])
    return f"{ABOUT_TASKS}\n\n{markdown(rows)}"


def compared(study: Study, tasks: Sequence[str], setting: str, lifetimes: Lifetimes) -> str:
    """Return on how many tasks a setting is ahead of the baseline, level with it and behind."""
    if setting == study.baseline:
        return "-"
    counts = [0, 0, 0]
    for task in tasks:
        ours, theirs = (scores_of(lifetimes[task, one], "final_100") for one in (setting, study.baseline))
        low, high = improvement_interval([(ours, theirs)])
        counts[0 if low > 0.5 else 2 if high < 0.5 else 1] += 1
    return ", ".join(map(str, counts))


def normalised(study: Study, tasks: Sequence[str], setting: str, lifetimes: Lifetimes) -> list[str]:
    """Return the means over the tasks with a range of the normalised final 100 and area, and the lowest task."""
    found: dict[str, list[tuple[float, str]]] = {"final_100": [], "area": []}
    for task in study.tasks:
        if task.range is not None and task.name in tasks:
            low, high = task.range
            for name, values in found.items():
                score = interquartile_mean(scores_of(lifetimes[task.name, setting], name))
                values.append(((score - low) / (high - low), task.name))
    if not found["area"]:
        return ["-", "-", "-"]
    means = [f"{statistics.mean(value for value, _ in values):.2f}" for values in found.values()]
    lowest, where = min(found["final_100"])
    return [*means, f"{lowest:.2f} ({where})"]


def chance(study: Study, tasks: Sequence[str], setting: str, name: str, lifetimes: Lifetimes) -> str:
    """Return the probability of improvement over the baseline, averaged over tasks, with its interval."""
    baseline = study.baseline
    pairs = [(scores_of(lifetimes[task, setting], name), scores_of(lifetimes[task, baseline], name)) for task in tasks]
    if setting == baseline or not pairs or not all(ours and theirs for ours, theirs in pairs):
        return "-"
    low, high = improvement_interval(pairs)
    return f"{statistics.mean(improvement(*pair) for pair in pairs):.2f} [{low:.2f}, {high:.2f}]"


def scores_of(members: Sequence[Lifetime], name: str) -> list[float]:
    """Return a measure of each lifetime that has it. Failed runs have none."""
    return [value for one in members if one.counts and (value := one.scores[name]) is not None]


def counted(members: Sequence[Lifetime]) -> str:
    """Return the number of finished lifetimes and of all."""
    ended = sum(one.counts for one in members)
    if ended == len(members):
        return str(ended)
    others = sorted({one.status for one in members if not one.counts})
    return f"{ended} of {len(members)} ({', '.join(others)})"


def number(value: float) -> str:
    """Format a return with one decimal, a small one with two."""
    return f"{value:,.{2 if abs(value) < 10 else 1}f}"


def middle(values: Sequence[float]) -> str:
    """Return the interquartile mean with its interval."""
    if not values:
        return "-"
    low, high = interval(values)
    ends = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(interquartile_mean(values)) + ends


def reached(name: str, members: Sequence[Lifetime]) -> str:
    """Return the share of lifetimes that reached a milestone, and the median step."""
    if all(one.status == "missing" for one in members):
        return "-"
    steps = [one.milestones.get(name) for one in members]
    middle = median_reached(steps)
    share = count_reached(steps) / len(steps)
    return f"{share:.0%}, {'-' if middle is None else f'{middle:,}'}"


def draw(study: Study, lifetimes: Lifetimes, folder: Path) -> None:
    """Draw the learning curves of every task."""
    for task in study.tasks:
        bands = []
        for setting in study.settings:
            members = lifetimes[task.name, setting]
            curves = [one.curve for one in members if one.counts and one.curve is not None]
            if curves:
                bands.append(band(curves, label=setting, env=task.name))
        if bands:
            save(draw_curves(bands, title=task.name), folder / f"{file_name(task.name)}.png")
