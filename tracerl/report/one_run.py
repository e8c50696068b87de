"""The page of one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import tracerl
from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.statistics import FEWEST, counted
from tracerl.plot.choice import Chosen
from tracerl.plot.curves import draw_curves
from tracerl.plot.filters import draw_filters, filters_of
from tracerl.plot.raster import draw_raster
from tracerl.plot.series import Curve, band
from tracerl.plot.style import MOST_STEPS
from tracerl.plot.table import number
from tracerl.report import results
from tracerl.report.html import Html, element, page, picture, section, table, together
from tracerl.runs import saved as files
from tracerl.runs.compare import Group
from tracerl.runs.evaluations import FILE, read_rows
from tracerl.runs.files import read_bytes
from tracerl.runs.folders import Job
from tracerl.runs.summary import seeds_in_words

if TYPE_CHECKING:
    from tracerl.runs.saved_run import SavedRun

_LARGEST = 2**20  # bytes of a config
_ROWS = 12  # evaluations in the table


@dataclass(frozen=True)
class Options:
    """Options of a page."""

    title: str = ""  # empty: env and agent, or the folder of a sweep
    lifetime: int = 0  # lifetime of the raster
    checkpoint: str | None = None  # of the raster; None: the newest valid one
    steps: int = 200  # env steps of the raster
    trust: bool = False  # allow classes of any package; see ``tracerl.load``

    def __post_init__(self) -> None:
        checks.whole("--lifetime", self.lifetime, 0)
        checks.whole("--steps", self.steps, 1, MOST_STEPS)


def one_run(chosen: Chosen, options: Options) -> str:
    """Return the page of the only run."""
    (group,) = chosen.groups
    (job,) = group.jobs
    seeds = "" if job.seed is None else f", {seeds_in_words(job.seed, max(job.lifetimes, 1))}"
    title = options.title or f"{job.env}: {job.agent}, {job.steps:,} env steps{seeds}"
    lifetimes = f"{len(group.lifetimes)}, with {counted(len(job.episodes['step']), 'episode')}"
    parts = [
        results.problems([job]),
        results.about([job], lifetimes=lifetimes, status=job.status, folder=job.folder.resolve().name),
        section("Returns", results.curves(chosen, lifetimes=True), _results(group)),
        *_evaluations(job),
        *_inside(job, options),
        section("Settings", _given(job), element("h3", "Run it again"), results.command(job), _config(job)),
        element("footer", f"Written by tracerl {tracerl.__version__}."),
    ]
    return page(title, *parts)


def _results(group: Group) -> Html:
    """Return the table of returns, area and milestones: over the lifetimes, and of each."""
    lifetimes = group.lifetimes
    if not any(len(one.returns) or one.reward_rate is not None for one in lifetimes):
        return element("p", "No episode has ended yet.")
    names = list(group.milestones)
    over = ["all", results.returns_in_words(group), results.spread(group.areas)]
    rows = [[*over, *(results.reached(group.milestones[name]) for name in names)]]
    for one in lifetimes if len(lifetimes) > 1 else ():
        steps = [one.reached.get(name) for name in names]
        seed = one.index if one.job.seed is None else one.job.seed + one.index
        row = [f"seed {seed}", number(one.final_return), number(one.area)]
        rows.append([*row, *("-" if step is None else f"{step:,}" for step in steps)])
    caption = "Returns, area under the learning curve, and milestones. " + (
        results.NO_INTERVAL if len(group.returns) < FEWEST else ""
    )
    notes = [results.AREA, *([results.MILESTONE] if names else [])]
    return together(table(caption, ["lifetime", results.FINAL, "area", *names], rows), *map(_paragraph, notes))


def _paragraph(text: str) -> Html:
    return element("p", text)


def _given(job: Job) -> Html:
    """Return the settings that were given."""
    rows = [[key, value] for key, value in job.overrides.items()]
    if not rows:
        return element("p", "Every setting has its default.")
    shown = table("Settings given for this run. All others have their defaults.", ["setting", "value"], rows)
    return element("div", shown, class_="settings")


def _config(job: Job) -> Html:
    """Return all settings, folded."""
    try:
        text = read_bytes(job.folder / files.CONFIG, _LARGEST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return element("p", "The file of all settings cannot be read.")
    return element("details", element("summary", "All settings"), element("pre", text))


def _evaluations(job: Job) -> list[Html]:
    """Return the section of evaluations during the run; nothing without any."""
    found: dict[int, list[tuple[int, float]]] = {}
    for row in read_rows(job.folder / FILE):
        try:
            found.setdefault(int(row["lifetime"]), []).append((int(row["step"]), float(row["mean"])))
        except ValueError:  # no episode of it ended
            continue
    if not found:
        return []
    columns = [np.array(points, float).T for points in found.values()]
    drawn = [Curve(steps, means, float(steps[-1]), holds=False) for steps, means in columns]
    measure = "mean return of frozen copies"
    over = band(drawn, "median", label=job.agent, env=job.env, measure=measure)
    figure = draw_curves([over], lifetimes=True, width=results.WIDTH)
    all_steps = sorted({step for points in found.values() for step, _ in points})
    by_step = {step: [mean for points in found.values() for at, mean in points if at == step] for step in all_steps}
    rows = [[f"{step:,}", results.spread(by_step[step]), str(len(by_step[step]))] for step in all_steps[-_ROWS:]]
    few = any(len(by_step[step]) < FEWEST for step in all_steps[-_ROWS:])
    caption = "Evaluations: mean return of frozen copies, IQM [95% interval] over lifetimes. "
    caption += results.NO_INTERVAL if few else ""
    shown = picture(figure, f"Evaluations over env steps; the last is {rows[-1][1]}")
    return [section("Evaluations", shown, table(caption, ["env step", "return", "lifetimes"], rows))]


def _inside(job: Job, options: Options) -> list[Html]:
    """Return the sections of spikes and filters, or why there are none."""
    from tracerl.runs.saved_run import load  # imports torch, which is slow

    try:
        saved = load(job.folder, options.checkpoint, trust=options.trust)
    except ConfigError as error:
        if options.checkpoint is not None:
            raise  # what was asked for is not there
        return [section("Spikes", element("p", _why("No checkpoint to look into", error, job)))]
    spikes = _shown(partial(_raster, saved, options), "No raster", job)
    return [section("Spikes", spikes), *_filters(saved, options)]


def _shown(draw: Callable[[], Html], absent: str, job: Job) -> Html:
    from tracerl.lifetime.loop import Diverged, EnvFailed  # imports torch, which is slow

    try:
        return draw()
    except (ConfigError, Diverged, EnvFailed) as error:
        return element("p", _why(absent, error, job))


def _why(absent: str, error: Exception, job: Job) -> str:
    """Return an error without the path of the folder, which is nobody's business in a mail."""
    text = str(error)
    for path in (job.folder, job.folder.resolve()):
        text = text.replace(str(path), path.name)
    return f"{absent}: {text}."


def _raster(saved: "SavedRun", options: Options) -> Html:
    from tracerl.plot.living import live_on

    recorded = live_on(saved, options.steps, options.lifetime)
    figure = draw_raster(recorded.recording, first=recorded.first, width=results.WIDTH)
    layers = ", ".join(f"{one.name} ({one.spikes.shape[1]} neurons)" for one in recorded.recording.layers)
    caption = (
        f"{options.steps:,} env steps from the checkpoint after {saved.step:,}, in a new episode, of lifetime "
        f"{options.lifetime}. A row is a neuron, the busiest at the top. Dotted lines are thresholds, dashed ones ends "
        "of episodes."
    )
    return picture(figure, f"Raster of the spikes of {layers}, some membranes, return and td error", caption)


def _filters(saved: "SavedRun", options: Options) -> Sequence[Html]:
    """Return the section of the filters of a convolution; nothing for other agents."""
    try:
        before, now = saved.new_agent(options.lifetime), saved.agent(options.lifetime)
        agents = {"before learning": before, "at the checkpoint": now}
        figure = draw_filters({name: filters_of(agent) for name, agent in agents.items()}, width=results.WIDTH)
    except ConfigError:
        return []
    return [section("Filters", picture(figure, "Weights of the first convolution before and after learning"))]
