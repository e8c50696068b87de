"""The command line: ``python -m tracerl.plot RUN...``.

What drawing needs is imported inside the functions, so that ``--help`` and a mistyped option answer at once.
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from tracerl.config import checks
from tracerl.config.checks import stop

WHAT = ("curves", "table", "raster", "traces", "distributions", "frame", "running")
_WIDTHS = ("one", "two")
_ABOUT = """\
Draw runs for print, or tabulate them.

  curves         learning curves: the middle of lifetimes and its 95% interval, a colour per setting, a panel per env
  table          final returns over lifetimes; share of those that reached each milestone, and the median step
  raster         spikes of every layer, some membranes, return and td error, as the run goes on from its checkpoint
  traces         probabilities, value, td error, membranes and eligibility traces over the same steps
  distributions  weights, traces, decays, thresholds and rates of each layer, at the checkpoint
  frame          rendered images of the env over the same steps
  running        every return of a lifetime, and its exponential averages at several decays
"""
_RUNS = "folders of runs, of sweeps, or of several of them; for curves also a csv that -o FILE.csv wrote"


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        stop(f"{message} (--help shows what there is)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = _Parser(
        prog="python -m tracerl.plot", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = found.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help=_RUNS)
    add("-o", "--output", type=Path, metavar="FILE", help="png, pdf or svg; csv for the numbers of curves (WHAT.png)")
    add("--what", choices=WHAT, default="curves", metavar="WHAT", help="one of the above (default: curves)")
    add("--format", metavar="FORMAT", help="png, pdf, svg; of a table text, markdown, csv (as FILE ends; else text)")
    add("--title", default="", help="above the picture")
    add("--width", default="two", metavar="W", help="one or two columns of a page, or inches (default: two)")
    add("--height", type=float, metavar="INCHES", help="of the picture (default: what it needs)")
    compare = found.add_argument_group("curves, tables and running averages")
    add = compare.add_argument
    add("--statistic", default="iqm", help="over lifetimes: iqm (interquartile mean), mean or median (default: iqm)")
    add("--by", default="settings", help="what is compared: settings, run or argument (default: settings)")
    add("--labels", nargs="+", metavar="LABEL", help="names in the order of what is compared (default: what differs)")
    add("--ends", action="store_true", help="name curves at their ends, in place of a legend")
    add("--lifetimes", "--lives", action="store_true", help="draw every lifetime as a thin line, in place of the band")
    add("--decays", nargs="+", type=float, default=[0.9, 0.99], metavar="D", help="of averages (default: .9 .99)")
    alive = found.add_argument_group("what is inside a lifetime (one RUN with a checkpoint)")
    add = alive.add_argument
    add("--life", "--lifetime", type=int, default=0, metavar="I", help="which of the run's lifetimes (default: 0)")
    add("--steps", type=int, default=300, metavar="N", help="env steps to live on (default: 300)")
    add("--checkpoint", metavar="NAME", help="which one (default: the newest)")
    add("--neurons", type=int, default=4, metavar="N", help="whose membranes are drawn (default: 4)")
    add("--trust", action="store_true", help="run code of any package that the run names: SECURITY.md")
    add("--frames", type=int, default=5, metavar="N", help="images, evenly spaced (default: 5)")
    return found


def main() -> None:
    """Draw what the command line asks for; exit with 0, 2 (bad input) or 130 (interrupted)."""
    arguments = parser().parse_args()
    try:
        _check(arguments)
        from tracerl.plot.make import make

        make(arguments)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        stop('pictures need packages that are missing: pip install "tracerl[plots]"')
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError) as error:
        stop(str(error))


def _check(arguments: argparse.Namespace) -> None:
    """Check the options, before anything is read."""
    checks.choice("--statistic", arguments.statistic, ("iqm", "mean", "median"))
    for decay in arguments.decays:
        checks.decay("--decays", decay)
    checks.whole("--life", arguments.life, 0)
    for name, low in (("steps", 1), ("neurons", 1), ("frames", 1)):
        checks.whole(f"--{name}", getattr(arguments, name), low)
    if arguments.width not in _WIDTHS:
        try:
            inches = float(arguments.width)
        except ValueError:
            problem = f"must be one, two (columns of a page) or a number of inches, got {arguments.width!r}"
            raise checks.ConfigError("--width", problem) from None
        arguments.width = checks.number("--width", inches, "a number of inches from 1 to 40", 1.0, 40.0)
    if arguments.height is not None:
        checks.number("--height", arguments.height, "a number of inches from 1 to 40", 1.0, 40.0)


if __name__ == "__main__":
    main()
