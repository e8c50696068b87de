"""The command line: ``python -m tracerl.sweep DIR``."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from tracerl.config.checks import stop
from tracerl.runs.folders import read_jobs
from tracerl.sweep.table import report, rows_of, write_csv


def main() -> None:
    """Print the table of a finished or active sweep; exit with 0 or 2 (bad input)."""
    parser = argparse.ArgumentParser(
        prog="python -m tracerl.sweep", description="Print the results of the jobs of a sweep."
    )
    parser.add_argument("folder", type=Path, help="folder of a sweep, or with several sweeps or runs")
    parser.add_argument("--jobs", action="store_true", help="print a row per job, not per setting")
    parser.add_argument("--sort", metavar="COLUMN", help="sort by a column, ascending (default: highest mean first)")
    parser.add_argument("--csv", metavar="FILE", help="write the rows in full precision; - for stdout")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw learning curves with bands (tracerl[plots])")
    parser.add_argument(
        "--effects", type=Path, metavar="FILE", help="draw returns against each setting (tracerl[plots])"
    )
    arguments = parser.parse_args()
    try:
        _show(arguments)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        stop('pictures need packages that are missing: pip install "tracerl[plots]"')
    except (OSError, ValueError) as error:
        stop(str(error))


def _show(arguments: argparse.Namespace) -> None:
    if not arguments.folder.is_dir():
        raise ValueError(f"there is no folder {arguments.folder}")
    jobs = read_jobs(arguments.folder)
    if not jobs:
        raise ValueError(f"no run has begun in {arguments.folder}")
    if arguments.csv == "-":
        write_csv(rows_of(jobs, arguments.jobs, arguments.sort), sys.stdout)
    else:
        report(arguments.folder, Console(highlight=False), arguments.jobs, arguments.sort)
        if arguments.csv:
            with Path(arguments.csv).open("w", encoding="utf-8", newline="") as file:
                write_csv(rows_of(jobs, arguments.jobs, arguments.sort), file)
    if arguments.plot:
        from tracerl.plot.choice import best_bands
        from tracerl.plot.curves import draw_curves
        from tracerl.plot.style import save

        save(draw_curves(best_bands(jobs)), arguments.plot)
    if arguments.effects:
        from tracerl.plot.style import save
        from tracerl.sweep.effects import draw_effects

        save(draw_effects(jobs), arguments.effects)


if __name__ == "__main__":
    main()
