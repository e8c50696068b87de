"""The command line: ``python -m tracerl.report RUN``.

matplotlib is imported inside the functions, so that ``--help`` and the error of a mistyped option are quick.
"""

import argparse
from pathlib import Path

from tracerl.config import checks
from tracerl.runs.command_line import Parser, add_lifetime_options, errors_in_one_line, path_of
from tracerl.runs.files import check_output, file_of, write_named

_ABOUT = """\
Write one HTML page about a run or a sweep: curves, areas, milestones, evaluations, spikes, settings and command.

The page has no links to other files and needs no network, so it can be mailed. Several runs are compared.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    found = Parser(prog="python -m tracerl.report", description=_ABOUT, formatter_class=raw)
    add = found.add_argument
    add("runs", nargs="+", type=path_of, metavar="RUN", help="folders of runs or sweeps, or folders that contain them")
    file = "file to write (default: report.html)"
    add("-o", "--output", type=path_of, default=Path("report.html"), metavar="FILE", help=file)
    add("--title", default="", help="title of the page (default: env and agent, or the folder of a sweep)")
    inside = found.add_argument_group("spikes and filters of a lifetime (one RUN with a checkpoint)")
    add_lifetime_options(inside)
    inside.add_argument("--steps", type=int, default=200, metavar="N", help="env steps of the raster (default: 200)")
    return found


def main() -> None:
    """Write the page and print its path; exit with 0, 2 (bad input) or 130 (interrupted)."""
    arguments = parser().parse_args()
    with errors_in_one_line(OSError, ValueError, options=vars(arguments)):
        if arguments.output.suffix.lower() not in (".html", ".htm"):
            problem = f"must be a file whose name ends in .html or .htm, got '{arguments.output}'"
            raise checks.ConfigError("--output", problem)
        from tracerl.report import page_of

        options = {name: getattr(arguments, name) for name in ("title", "lifetime", "checkpoint", "steps", "trust")}
        check_output("--output", arguments.output)
        page = page_of(arguments.runs, **options)
        with file_of("--output", arguments.output):
            write_named(arguments.output, page)
        print(arguments.output)


if __name__ == "__main__":
    main()
