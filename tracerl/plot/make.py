"""Make the figure or table of a command line."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.plot import style
from tracerl.plot.choice import Chosen, choose, drawable
from tracerl.plot.series import Band, bands_as_csv, read_bands, renamed
from tracerl.plot.table import FORMATS, as_csv, as_markdown, as_text, table_rows
from tracerl.runs.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tracerl.runs.saved_run import SavedRun

_ENDINGS = {".md": "markdown", ".csv": "csv", ".txt": "text"}


def make(arguments: argparse.Namespace) -> None:
    """Write the figure or table and print its path."""
    if arguments.what == "table":
        _tabulate(arguments)
        return
    output = arguments.output or Path(f"{arguments.what}.{arguments.format or 'png'}")
    if arguments.what == "curves" and (arguments.format or output.suffix) in ("csv", ".csv"):
        write_atomic(output, bands_as_csv(_bands(arguments)).encode())
    else:
        kind = style.kind_of(output, arguments.format)
        style.save(_DRAW[arguments.what](arguments), output, kind)
    print(output)


def _figure_options(arguments: argparse.Namespace) -> style.FigureOptions:
    """Return the options of all figures."""
    return {
        "title": arguments.title,
        "width": style.WIDTHS.get(arguments.width, arguments.width),
        "height": arguments.height,
    }


def _chosen(arguments: argparse.Namespace) -> Chosen:
    chosen = choose(arguments.runs, arguments.by, arguments.labels)
    if chosen.repeated:
        _note(f"{chosen.repeated} lifetimes with the same settings and seed are in more than one run, and count once")
    return chosen


def _tabulate(arguments: argparse.Namespace) -> None:
    asked_for = arguments.format or (_ENDINGS.get(arguments.output.suffix, "text") if arguments.output else "text")
    kind = checks.choice("--format", asked_for, FORMATS)
    chosen = _chosen(arguments)
    rows = table_rows(chosen.groups, chosen.labels)
    text = {"text": as_text, "markdown": as_markdown, "csv": as_csv}[kind](rows)
    if arguments.output is None:
        print(text, end="")
        return
    write_atomic(arguments.output, text.encode())
    print(arguments.output)


def _bands(arguments: argparse.Namespace) -> list[Band]:
    files = [path for path in arguments.runs if path.suffix == ".csv" and path.is_file()]
    if len(files) < len(arguments.runs):
        if files:
            raise ConfigError("RUN", f"must be folders or csv files, got both: {files[0]}")
        chosen = _chosen(arguments)
        many = len(set(chosen.labels)) > len(style.COLOURS)
        if many and (arguments.output is None or arguments.output.suffix != ".csv"):
            _note(f"the best {len(style.COLOURS)} of {len(set(chosen.labels))} are drawn; --what table has all")
            chosen = chosen.best()
        return drawable(chosen, arguments.statistic)
    if arguments.lifetimes:
        raise ConfigError("--lifetimes", f"needs runs: {files[0]} has only the statistic and band over lifetimes")
    bands = [found for path in files for found in read_bands(path)]
    if arguments.labels is None:
        return bands
    own = list(dict.fromkeys(found.label for found in bands))
    if len(own) != len(arguments.labels):
        raise ConfigError(
            "--labels", f"must be {len(own)}, one for each of: {'; '.join(own)}; got {len(arguments.labels)}"
        )
    names = dict(zip(own, arguments.labels, strict=True))
    return renamed(bands, [names[found.label] for found in bands])


def _curves(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.curves import draw_curves

    return draw_curves(
        _bands(arguments), ends=arguments.ends, lifetimes=arguments.lifetimes, **_figure_options(arguments)
    )


def _running(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.lines import draw_running

    chosen, found = _chosen(arguments), {}
    for group, label in zip(chosen.groups, chosen.labels, strict=True):
        if arguments.life >= len(group.lifetimes):
            raise ConfigError(
                "--life", f"must be below {len(group.lifetimes)}, the lifetimes of {label}, got {arguments.life}"
            )
        life = group.lifetimes[arguments.life]
        if len(life.returns):
            found[f"{life.job.env}, {label}"] = life.ends, life.returns
    if not found:
        raise ConfigError("RUN", f"has nothing to draw yet: no episode has ended in {arguments.runs[0]}")
    return draw_running(found, arguments.decays, **_figure_options(arguments))


def _saved(arguments: argparse.Namespace) -> "SavedRun":
    """Load the only run."""
    from tracerl.runs.saved_run import load

    if len(arguments.runs) > 1:
        raise ConfigError("RUN", f"must be one run for --what {arguments.what}, got {len(arguments.runs)}")
    given = arguments.runs[0]
    return load(given.parent if given.name == "summary.json" else given, arguments.checkpoint, trust=arguments.trust)


def _raster(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.living import live_on
    from tracerl.plot.raster import draw_raster

    recorded = live_on(_saved(arguments), arguments.steps, arguments.life)
    return draw_raster(
        recorded.recording, first=recorded.first, neurons=arguments.neurons, **_figure_options(arguments)
    )


def _traces(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.lines import draw_traces
    from tracerl.plot.living import live_on

    recorded = live_on(_saved(arguments), arguments.steps, arguments.life)
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
    return draw_traces(found, first=recorded.first, ended=seen.ended, names=names, **_figure_options(arguments))


def _spread(values: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, Any]:
    """Return n of the tenth of the columns with the largest variance."""
    order = np.argsort(-values.std(0), kind="stable")
    places = np.linspace(0, max(n - 1, len(order) // 10), n).clip(max=len(order) - 1).astype(int)
    found: np.ndarray[Any, Any] = values[:, order[np.unique(places)]]
    return found


def _distributions(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.distributions import draw_distributions
    from tracerl.plot.memory import distributions_of

    return draw_distributions(distributions_of(_saved(arguments).memory(arguments.life)), **_figure_options(arguments))


def _frame(arguments: argparse.Namespace) -> "Figure":
    from tracerl.plot.frames import draw_frames
    from tracerl.plot.living import live_on

    recorded = live_on(
        _saved(arguments), arguments.steps, arguments.life, frames=min(arguments.frames, arguments.steps)
    )
    return draw_frames(
        {f"step {step:,}": frame for step, frame in recorded.frames.items()}, **_figure_options(arguments)
    )


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


_DRAW = {
    "curves": _curves,
    "raster": _raster,
    "traces": _traces,
    "distributions": _distributions,
    "frame": _frame,
    "running": _running,
}
