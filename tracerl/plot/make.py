"""From the command line's wishes to a file or a table."""

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


def make(wish: argparse.Namespace) -> None:
    """Draw or tabulate, and say where it is."""
    if wish.what == "table":
        _tabulate(wish)
        return
    output = wish.output or Path(f"{wish.what}.{wish.format or 'png'}")
    if wish.what == "curves" and (wish.format or output.suffix) in ("csv", ".csv"):
        write_atomic(output, bands_as_csv(_bands(wish)).encode())
    else:
        kind = style.kind_of(output, wish.format)
        style.save(_DRAW[wish.what](wish), output, kind)
    print(output)


def _looks(wish: argparse.Namespace) -> style.Look:
    """Return what all pictures can be told."""
    return {"title": wish.title, "width": style.WIDTHS.get(wish.width, wish.width), "height": wish.height}


def _chosen(wish: argparse.Namespace) -> Chosen:
    chosen = choose(wish.runs, wish.by, wish.labels)
    if chosen.repeated:
        _note(
            f"{chosen.repeated} lifetimes stand in more than one run, with the same settings and seed, and count once"
        )
    return chosen


def _tabulate(wish: argparse.Namespace) -> None:
    asked_for = wish.format or (_ENDINGS.get(wish.output.suffix, "text") if wish.output else "text")
    kind = checks.choice("--format", asked_for, FORMATS)
    chosen = _chosen(wish)
    rows = table_rows(chosen.groups, chosen.labels)
    text = {"text": as_text, "markdown": as_markdown, "csv": as_csv}[kind](rows)
    if wish.output is None:
        print(text, end="")
        return
    write_atomic(wish.output, text.encode())
    print(wish.output)


def _bands(wish: argparse.Namespace) -> list[Band]:
    files = [path for path in wish.runs if path.suffix == ".csv" and path.is_file()]
    if len(files) < len(wish.runs):
        if files:
            raise ConfigError("RUN", f"must be folders or csv files, got both: {files[0]}")
        chosen = _chosen(wish)
        many = len(set(chosen.labels)) > len(style.COLOURS)
        if many and (wish.output is None or wish.output.suffix != ".csv"):
            _note(f"the best {len(style.COLOURS)} of {len(set(chosen.labels))} are drawn; --what table has all")
            chosen = chosen.best()
        return drawable(chosen, wish.statistic)
    if wish.lifetimes:
        raise ConfigError("--lifetimes", f"needs runs: {files[0]} has the middle and the band of lifetimes only")
    bands = [found for path in files for found in read_bands(path)]
    if wish.labels is None:
        return bands
    own = list(dict.fromkeys(found.label for found in bands))
    if len(own) != len(wish.labels):
        raise ConfigError("--labels", f"must be {len(own)}, one for each of: {'; '.join(own)}; got {len(wish.labels)}")
    names = dict(zip(own, wish.labels, strict=True))
    return renamed(bands, [names[found.label] for found in bands])


def _curves(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.curves import draw_curves

    return draw_curves(_bands(wish), ends=wish.ends, lifetimes=wish.lifetimes, **_looks(wish))


def _running(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.lines import draw_running

    chosen, found = _chosen(wish), {}
    for group, label in zip(chosen.groups, chosen.labels, strict=True):
        if wish.life >= len(group.lifetimes):
            raise ConfigError(
                "--life", f"must be below {len(group.lifetimes)}, the lifetimes of {label}, got {wish.life}"
            )
        life = group.lifetimes[wish.life]
        if len(life.returns):
            found[f"{life.job.env}, {label}"] = life.ends, life.returns
    if not found:
        raise ConfigError("RUN", f"has nothing to draw yet: no episode has ended in {wish.runs[0]}")
    return draw_running(found, wish.decays, **_looks(wish))


def _saved(wish: argparse.Namespace) -> "SavedRun":
    """Read the one run back."""
    from tracerl.runs.saved_run import load

    if len(wish.runs) > 1:
        raise ConfigError("RUN", f"must be one run for --what {wish.what}, got {len(wish.runs)}")
    given = wish.runs[0]
    return load(given.parent if given.name == "summary.json" else given, wish.checkpoint, trust=wish.trust)


def _raster(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.living import live_on
    from tracerl.plot.raster import draw_raster

    lived = live_on(_saved(wish), wish.steps, wish.life)
    return draw_raster(lived.recording, first=lived.first, neurons=wish.neurons, **_looks(wish))


def _traces(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.lines import draw_traces
    from tracerl.plot.living import live_on

    lived = live_on(_saved(wish), wish.steps, wish.life)
    seen, found, names = lived.recording, {}, {}
    for name, values in (("probabilities", seen.probabilities), ("mean action", seen.mean)):
        if values is not None:
            found[name], names[name] = values, [f"action {i}" for i in range(values.shape[1])]
    found |= {n: v for n, v in (("value", seen.value), ("td error", seen.td_error)) if v is not None}
    for layer in seen.layers:
        found[f"{layer.name}\nmembranes"] = _spread(layer.membrane, wish.neurons)
    for name, trace in lived.traces.items():
        found[f"{name}\neligibility"] = _spread(trace, wish.neurons)
    if not found:
        raise ConfigError("RUN", "has an agent that cannot be looked into")
    return draw_traces(found, first=lived.first, ended=seen.ended, names=names, **_looks(wish))


def _spread(values: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, Any]:
    """Return n of the columns, out of the tenth of them that move most."""
    order = np.argsort(-values.std(0), kind="stable")
    places = np.linspace(0, max(n - 1, len(order) // 10), n).clip(max=len(order) - 1).astype(int)
    found: np.ndarray[Any, Any] = values[:, order[np.unique(places)]]
    return found


def _distributions(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.distributions import draw_distributions
    from tracerl.plot.memory import distributions_of

    return draw_distributions(distributions_of(_saved(wish).memory(wish.life)), **_looks(wish))


def _frame(wish: argparse.Namespace) -> "Figure":
    from tracerl.plot.frames import draw_frames
    from tracerl.plot.living import live_on

    lived = live_on(_saved(wish), wish.steps, wish.life, frames=min(wish.frames, wish.steps))
    return draw_frames({f"step {step:,}": frame for step, frame in lived.frames.items()}, **_looks(wish))


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
