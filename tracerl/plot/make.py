"""Make the figure or table of a command line."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import WINDOW
from tracerl.lifetime.statistics import counted
from tracerl.plot import style
from tracerl.plot.choice import Chosen, choose, drawable, relabelled
from tracerl.plot.curves import draw_curves
from tracerl.plot.distributions import draw_distributions
from tracerl.plot.filters import draw_filters, filters_of
from tracerl.plot.frames import draw_frames
from tracerl.plot.lines import draw_running, draw_traces
from tracerl.plot.memory import distributions_of
from tracerl.plot.raster import draw_raster
from tracerl.plot.series import Band, bands_as_csv, read_bands, renamed
from tracerl.plot.table import FORMATS, NO_INTERVAL, as_csv, as_markdown, as_text, table_rows
from tracerl.runs.command_line import failures_in_one_line
from tracerl.runs.files import check_output, file_of, write_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tracerl.plot.living import RecordedSteps
    from tracerl.runs.saved_run import SavedRun

Draw = Callable[..., "Figure"]  # draws a figure with ``style.FigureOptions``
_ENDINGS = {".md": "markdown", ".txt": "text"}  # formats whose names are not endings of files
_FORMATS = {"curves": (*style.FORMATS, "csv"), "table": FORMATS}  # by kind of figure; of all others style.FORMATS


def make(arguments: argparse.Namespace) -> None:
    """Write the figure or table and print its path."""
    kind = format_of(arguments.what, arguments.output, arguments.format)
    if arguments.what == "table" and arguments.output is None:
        print(_table(arguments, kind), end="")
        return
    output = arguments.output or Path(f"{arguments.what}.{kind}")
    check_output("--output", output)
    data = _contents(arguments, kind)
    with file_of("--output", output):
        write_named(output, data)
    print(output)


def _contents(arguments: argparse.Namespace, kind: str) -> bytes | str:
    """Return what is written to the file."""
    if arguments.what == "table":
        return _table(arguments, kind)
    if kind == "csv":
        return bands_as_csv(_bands(arguments, every=True))
    draw, width = _DRAW[arguments.what](arguments), style.WIDTHS.get(arguments.width, arguments.width)
    return style.rendered(draw(title=arguments.title, width=width, height=arguments.height), kind)


def format_of(what: str, output: Path | None, asked_for: str | None) -> str:
    """Return the format of the output: the given one, that of the name of its file, or the default.

    Raises:
        ConfigError: there is no such format of this kind of figure, or the name of the file has no ending.
    """
    formats = _FORMATS.get(what, style.FORMATS)
    ending = "" if output is None else output.suffix.lower()
    found = asked_for or _ENDINGS.get(ending, ending.removeprefix("."))
    if found in formats:
        return found
    if not asked_for and (output is None or (what == "table" and found not in style.FORMATS)):
        return formats[0]
    given = repr(asked_for) if asked_for else f"the file '{output}'"
    raise ConfigError("--format", f"must be one of {', '.join(formats)} for --what {what}; got {given}")


def _csv_files(arguments: argparse.Namespace) -> list[Path]:
    return [path for path in arguments.runs if path.suffix.lower() == ".csv" and path.is_file()]


def _chosen(arguments: argparse.Namespace) -> Chosen:
    if files := _csv_files(arguments):
        raise ConfigError("RUN", f"must be folders for --what {arguments.what}, got the csv file {files[0]}")
    chosen = choose(arguments.runs, arguments.by, arguments.labels)
    if chosen.repeated:
        which = f"{counted(chosen.repeated, 'lifetime')} with the same settings and seed"
        is_in, count = ("is in", "counts") if chosen.repeated == 1 else ("are in", "count")
        _note(f"{which} {is_in} more than one run, and {count} once")
    return chosen


def _table(arguments: argparse.Namespace, kind: str) -> str:
    chosen = _chosen(arguments)
    rows = table_rows(chosen.groups, chosen.labels)
    if any(row["lives"] > 1 and row["iqm"] is not None and row["iqm_low"] is None for row in rows):
        _note(NO_INTERVAL)
    return {"text": as_text, "markdown": as_markdown, "csv": as_csv}[kind](rows)


def _bands(arguments: argparse.Namespace, every: bool) -> list[Band]:
    """Return the bands of the runs or csv files: of every setting or, of more than ten, of the ten best."""
    files = _csv_files(arguments)
    if len(files) < len(arguments.runs):
        if files:
            raise ConfigError("RUN", f"must be folders or csv files, got both: {files[0]}")
        chosen = _chosen(arguments)
        if len(set(chosen.labels)) > len(style.COLOURS) and not every:
            _note(f"the best {len(style.COLOURS)} of {len(set(chosen.labels))} are drawn; --what table has all")
            chosen = chosen.best()
        return drawable(chosen, arguments.statistic, arguments.window)
    changed = {"lifetimes": False, "statistic": "iqm", "window": WINDOW, "by": "settings"}  # options: defaults
    for name in (name for name, default in changed.items() if getattr(arguments, name) != default):
        raise ConfigError(f"--{name}", f"needs runs: {files[0]} has only the statistic and band over lifetimes")
    bands = [found for path in files for found in read_bands(path)]
    own, envs = [found.label for found in bands], [found.env for found in bands]
    return renamed(bands, relabelled(own, arguments.labels, envs))


def _curves(arguments: argparse.Namespace) -> Draw:
    bands = _bands(arguments, every=False)
    if arguments.ends and len({(found.env, found.measure) for found in bands}) > 1:
        _note("without effect on curves in several panels: --ends")
    return partial(draw_curves, bands, ends=arguments.ends, lifetimes=arguments.lifetimes)


def _running(arguments: argparse.Namespace) -> Draw:
    chosen, found = _chosen(arguments), {}
    for group, label in zip(chosen.groups, chosen.labels, strict=True):
        n = len(group.lifetimes)
        if arguments.lifetime >= n:
            raise ConfigError("--lifetime", f"must be below {n}, the lifetimes of {label}, got {arguments.lifetime}")
        lifetime = group.lifetimes[arguments.lifetime]
        if len(lifetime.returns):
            found[f"{lifetime.job.env}, {label}"] = lifetime.ends, lifetime.returns
    if not found:
        raise ConfigError("RUN", f"has nothing to draw yet: no episode has ended in {arguments.runs[0]}")
    return partial(draw_running, found, arguments.decays)


def _saved(arguments: argparse.Namespace) -> "SavedRun":
    """Load the only run."""
    from tracerl.runs.saved_run import load  # imports torch, which is slow

    if len(arguments.runs) > 1:
        raise ConfigError("RUN", f"must be one run for --what {arguments.what}, got {len(arguments.runs)}")
    given = arguments.runs[0]
    return load(given.parent if given.name == "summary.json" else given, arguments.checkpoint, trust=arguments.trust)


def _recorded(arguments: argparse.Namespace, frames: int = 0) -> "RecordedSteps":
    """Record steps of the only run."""
    from tracerl.plot.living import live_on  # imports torch, which is slow

    saved = _saved(arguments)
    with failures_in_one_line():
        return live_on(saved, arguments.steps, arguments.lifetime, frames)


def _raster(arguments: argparse.Namespace) -> Draw:
    recorded = _recorded(arguments)
    return partial(draw_raster, recorded.recording, first=recorded.first, neurons=arguments.neurons)


def _traces(arguments: argparse.Namespace) -> Draw:
    recorded = _recorded(arguments)
    seen, found, names = recorded.recording, {}, {}
    for name, values in (("probabilities", seen.probabilities), ("mean action", seen.mean)):
        if values is not None:
            found[name], names[name] = values, [f"action {i}" for i in range(values.shape[1])]
    found |= {n: v for n, v in (("value", seen.value), ("td error", seen.td_error)) if v is not None}
    for layer in seen.layers:
        found[f"{layer.name}\nmembranes"] = _spread(layer.membrane, arguments.neurons)
    for name, trace in recorded.traces.items():
        found[f"{name}\neligibility"] = _spread(trace, arguments.neurons)
    if not found:
        raise ConfigError("RUN", "has an agent that cannot be recorded")
    shown: dict[str, Any] = {"first": recorded.first, "ended": seen.ended, "names": names}
    return partial(draw_traces, found, outcomes=["td error"], **shown)


def _spread(values: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, Any]:
    """Return n of the tenth of the columns with the largest variance."""
    order = np.argsort(-values.std(0), kind="stable")
    n = min(n, len(order))
    places = np.linspace(0, max(n - 1, len(order) // 10), n).clip(max=len(order) - 1).astype(int)
    found: np.ndarray[Any, Any] = values[:, order[np.unique(places)]]
    return found


def _distributions(arguments: argparse.Namespace) -> Draw:
    return partial(draw_distributions, distributions_of(_saved(arguments).memory(arguments.lifetime)))


def _filters(arguments: argparse.Namespace) -> Draw:
    saved, lifetime = _saved(arguments), arguments.lifetime
    agents = {"before learning": saved.new_agent(lifetime), f"after {saved.step:,} env steps": saved.agent(lifetime)}
    return partial(draw_filters, {name: filters_of(agent) for name, agent in agents.items()})


def _frame(arguments: argparse.Namespace) -> Draw:
    frames = _recorded(arguments, min(arguments.frames, arguments.steps)).frames
    return partial(draw_frames, {f"step {step:,}": frame for step, frame in frames.items()})


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


_DRAW: dict[str, Callable[[argparse.Namespace], Draw]] = {
    "curves": _curves,
    "raster": _raster,
    "traces": _traces,
    "distributions": _distributions,
    "filters": _filters,
    "frame": _frame,
    "running": _running,
}
