"""The command line: ``python -m tracerl.sweep DIR``."""

import argparse
from pathlib import Path

from rich.console import Console

from tracerl.config.checks import ConfigError
from tracerl.plot.choice import best_bands
from tracerl.plot.curves import draw_curves
from tracerl.plot.style import FORMATS, save
from tracerl.plot.table import as_csv
from tracerl.runs.command_line import Parser, errors_in_one_line, path_of
from tracerl.runs.files import check_output, write_named
from tracerl.runs.folders import read_jobs
from tracerl.sweep.effects import draw_effects
from tracerl.sweep.table import report, rows_of

_STDOUT = Path("-")


def main() -> None:
    """Print the table of a finished or active sweep; exit with 0 or 2 (bad input)."""
    about = "Print the results of the jobs of a sweep."
    parser = Parser(prog="python -m tracerl.sweep", description=about)
    add = parser.add_argument
    add("folder", type=path_of, help="folder of a sweep, or with several sweeps or runs")
    add("--jobs", action="store_true", help="print a row per job, not per setting")
    add("--sort", metavar="COLUMN", help="sort by a column, ascending (default: highest mean first)")
    add("--csv", type=path_of, metavar="FILE", help="write the rows in full precision; - for stdout")
    add("--plot", type=path_of, metavar="FILE", help="draw learning curves with bands (tracerl[plots])")
    add("--effects", type=path_of, metavar="FILE", help="draw returns against each setting (tracerl[plots])")
    arguments = parser.parse_args()
    with errors_in_one_line(OSError, ValueError):
        _show(arguments)


def _show(arguments: argparse.Namespace) -> None:
    if not arguments.folder.is_dir():
        raise ValueError(f"there is no folder {arguments.folder}")
    jobs = read_jobs(arguments.folder)
    if not jobs:
        raise ValueError(f"no run has begun in {arguments.folder}")
    _check_files(arguments)
    rows = rows_of(jobs, arguments.jobs, arguments.sort)
    if arguments.csv == _STDOUT:
        print(as_csv(rows), end="")
    else:
        report(arguments.folder, Console(highlight=False), arguments.jobs, arguments.sort, jobs)
        if arguments.csv:
            write_named(arguments.csv, as_csv(rows))
    if arguments.plot:
        save(draw_curves(best_bands(jobs)), arguments.plot)
    if arguments.effects:
        save(draw_effects(jobs), arguments.effects)


def _check_files(arguments: argparse.Namespace) -> None:
    """Check the named files before the table is printed."""
    for option in ("csv", "plot", "effects"):
        path = getattr(arguments, option)
        if path is None or (option == "csv" and path == _STDOUT):
            continue
        if option != "csv" and path.suffix.lower().removeprefix(".") not in FORMATS:
            raise ConfigError(f"--{option}", f"must end with .{', .'.join(FORMATS)}; got {str(path)!r}")
        check_output(f"--{option}", path)


if __name__ == "__main__":
    main()
