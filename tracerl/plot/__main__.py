"""The command line: ``python -m tracerl.plot RUN...``.

matplotlib is imported inside the functions, so that ``--help`` and the error of a mistyped option are quick.
"""

import argparse
import sys

from tracerl.config import checks
from tracerl.plot.style import MOST_FRAMES, MOST_STEPS
from tracerl.runs.command_line import Parser, add_lifetime_options, errors_in_one_line, path_of
from tracerl.runs.files import as_utf8

_RECORDED = ("raster", "traces", "frame")  # from steps that continue a lifetime
_OF_ONE_RUN = (*_RECORDED, "distributions", "filters")
WHAT = ("curves", "table", "raster", "traces", "distributions", "filters", "frame", "running")
# Kinds of figures with an effect of an option; all other options have one on every kind.
_USED_BY = {
    **dict.fromkeys(("statistic", "window", "ends", "lifetimes"), ("curves",)),
    **dict.fromkeys(("by", "labels"), ("curves", "table", "running")),
    **dict.fromkeys(("title", "width", "height"), tuple(what for what in WHAT if what != "table")),
    "decays": ("running",),
    "lifetime": (*_OF_ONE_RUN, "running"),
    **dict.fromkeys(("checkpoint", "trust"), _OF_ONE_RUN),
    "steps": _RECORDED,
    "neurons": ("raster", "traces"),
    "frames": ("frame",),
}
_INCHES = "a number of inches from 1 to 40"
_ABOUT = """\
Draw figures of runs for print, or print tables of them.

  curves         learning curves: a statistic over lifetimes and its 95% interval, a colour per setting, a panel per env
  table          final returns over lifetimes; area under their curves; share that reached each milestone, and when
  raster         spikes of every layer, some membranes, return and td error, in steps from the checkpoint
  traces         probabilities, value, td error, membranes and eligibility traces over the same steps
  distributions  weights, traces, decays, thresholds and rates of each layer, at the checkpoint
  filters        weights of the first convolution, before learning and at the checkpoint
  frame          rendered images of the env over the same steps
  running        every return of a lifetime, and exponential averages at several decays
"""
_RUNS = "folders of runs or sweeps, or folders that contain them; for curves also a csv written with -o FILE.csv"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    found = Parser(prog="python -m tracerl.plot", description=_ABOUT, formatter_class=raw)
    add = found.add_argument
    add("runs", nargs="+", type=path_of, metavar="RUN", help=_RUNS)
    file = "png, pdf or svg; csv for the numbers of curves (default: WHAT.png)"
    add("-o", "--output", type=path_of, metavar="FILE", help=file)
    add("--what", choices=WHAT, default="curves", metavar="WHAT", help="kind of figure, see above (default: curves)")
    kind = "png, pdf, svg; for a table text, markdown, csv (default: by FILE, else text)"
    add("--format", metavar="FORMAT", help=kind)
    add("--title", type=as_utf8, default="", help="title of the figure")
    add("--width", default="two", metavar="W", help="one or two columns of a page, or inches (default: two)")
    add("--height", type=float, metavar="INCHES", help="height of the figure (default: by its content)")
    add = found.add_argument_group("curves, tables and running averages").add_argument
    statistic = "statistic over lifetimes: iqm (interquartile mean), mean or median (default: iqm)"
    add("--statistic", default="iqm", help=statistic)
    window = "episodes in a mean return (default: 100); 1 draws the return of the newest episode"
    add("--window", type=int, default=100, metavar="N", help=window)
    add("--by", default="settings", help="group runs by settings, run or argument (default: settings)")
    names = "names of the groups, in order (default: the differing settings)"
    add("--labels", nargs="+", type=as_utf8, metavar="LABEL", help=names)
    add("--ends", action="store_true", help="label curves at their ends instead of in a legend")
    add("--lifetimes", action="store_true", help="draw every lifetime as a thin line instead of the band")
    add("--lives", action="store_true", default=argparse.SUPPRESS, dest="lifetimes", help=argparse.SUPPRESS)
    decays = "decays of the averages (default: .9 .99)"
    add("--decays", nargs="+", type=float, default=[0.9, 0.99], metavar="D", help=decays)
    inside = found.add_argument_group("network activity of a lifetime (one RUN with a checkpoint)")
    add_lifetime_options(inside)
    add = inside.add_argument
    add("--steps", type=int, default=300, metavar="N", help="env steps to run (default: 300)")
    add("--neurons", type=int, default=4, metavar="N", help="number of neurons with membranes (default: 4)")
    add("--frames", type=int, default=5, metavar="N", help="number of images, evenly spaced (default: 5)")
    return found


def main() -> None:
    """Draw a figure or print a table; exit with 0, 1 (env failed or diverged), 2 (bad input) or 130 (interrupted)."""
    found = parser()
    arguments = found.parse_args()
    with errors_in_one_line(OSError, ValueError, options=vars(arguments)):
        _check(arguments, found)
        from tracerl.plot.make import make

        make(arguments)


def _check(arguments: argparse.Namespace, options: argparse.ArgumentParser) -> None:
    """Check the options before any run is read."""
    checks.choice("--statistic", arguments.statistic, ("iqm", "mean", "median"))
    given = [name for name in _USED_BY if getattr(arguments, name) != options.get_default(name)]
    without_effect = [f"--{name}" for name in given if arguments.what not in _USED_BY[name]]
    for option in {"--statistic", "--window"}.intersection(without_effect):
        raise checks.ConfigError(option, f"needs --what curves, got --what {arguments.what}")
    for decay in arguments.decays:
        checks.decay("--decays", decay)
    checks.whole("--lifetime", arguments.lifetime, 0)
    for name, most in (("window", None), ("steps", MOST_STEPS), ("neurons", None), ("frames", MOST_FRAMES)):
        checks.whole(f"--{name}", getattr(arguments, name), 1, most)
    if arguments.width not in ("one", "two"):
        try:
            inches = float(arguments.width)
        except ValueError:
            problem = f"must be one, two (columns of a page) or {_INCHES}, got {arguments.width!r}"
            raise checks.ConfigError("--width", problem) from None
        arguments.width = checks.number("--width", inches, _INCHES, 1.0, 40.0)
    if arguments.height is not None:
        checks.number("--height", arguments.height, _INCHES, 1.0, 40.0)
    if without_effect:
        print(f"note: without effect on --what {arguments.what}: {', '.join(without_effect)}", file=sys.stderr)


if __name__ == "__main__":
    main()
