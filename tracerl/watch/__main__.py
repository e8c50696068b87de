"""The command line: ``python -m tracerl.watch RUN``."""

import argparse
import re
import sys
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.runs.command_line import Parser, add_lifetime_options, errors_in_one_line, failures_in_one_line, path_of
from tracerl.runs.signals import DeferredInterrupt
from tracerl.watch.options import KEYS, STEPS, Options

if TYPE_CHECKING:
    from tracerl.lifetime.record import Record


def main() -> None:
    """Watch a run; exit with 0, 1 (failed env, diverged number or failed file), 2 (bad input) or 128 + signal."""
    given = vars(_parser().parse_args())
    with errors_in_one_line(options=("video", *(field.name for field in fields(Options)))):
        code = _watch(Options(**given))
    sys.exit(code)


def _watch(options: Options) -> int:
    """Watch, print the result and return the exit code."""
    from tracerl.runs.logging.progress import ProgressBar  # imports torch, which is slow
    from tracerl.watch.playing import play, to_stderr

    shown = None if options.wants_window else options.last_step
    with DeferredInterrupt() as interrupted, failures_in_one_line():
        with nullcontext() if shown is None else ProgressBar(options.run.name, shown) as bar:
            record, files = play(options, to_stderr, interrupted, () if bar is None else (bar,))
    if interrupted():
        to_stderr("interrupted: the files are kept" if files else "interrupted")
    print(_summary(record), *files, sep="\n")
    return 128 + interrupted.signal if interrupted.signal is not None else 0


def _summary(record: "Record") -> str:
    """Return the steps, episodes and return in one line."""
    watched = f"{record.step:,} steps watched"
    if not record.episodes:
        return f"{watched}, return so far {record.episode_return:,.4g}"
    mean = f"{record.mean_return(partial=True):,.4g}"
    if record.episodes == 1:
        return f"{watched}, 1 episode ended, return {mean}"
    of = "" if record.episodes <= 100 else " of the last 100"
    return f"{watched}, {record.episodes:,} episodes ended, mean return{of} {mean}"


def _parser() -> argparse.ArgumentParser:
    """Return a parser whose result has the given options only: ``Options`` has the defaults."""
    parser = Parser(
        prog="python -m tracerl.watch",
        description="Watch a run's agent: its env beside spikes, membranes, action probabilities, value and td error.",
        epilog=KEYS,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("run", type=path_of, help="folder of a run or of one of its checkpoints")
    video = "write .mp4 or .gif; may be given more than once"
    add("--video", type=Path, action="append", dest="videos", metavar="FILE", help=video)
    picture = "write one picture of the whole recording, .png"
    add("--raster", type=Path, action=_Once, metavar="FILE", help=picture)
    add("--window", action="store_true", default=None, help="show a window (default: if no file is written)")
    add("--episodes", type=int, metavar="N", help="watch N episodes")
    add("--steps", type=int, metavar="N", help=f"watch N env steps (default: {STEPS} to files, no limit in a window)")
    add_lifetime_options(parser)
    add("--greedy", action="store_true", help="take the most probable action (default: sample, as in the run)")
    add("--learn", action="store_true", help="keep learning; the run's folder does not change (default: frozen)")
    add("--fps", type=float, metavar="F", help="maximum of frames per second (default: 30)")
    add("--speed", type=float, metavar="X", help="env time per watched time; 2: twice as fast (default: 1)")
    add("--seed", type=int, metavar="S", help="seed of the env (default: seed of the lifetime)")
    add("--span", type=int, metavar="N", help="env steps in the panels (default: four pixels each)")
    add("--size", type=_size, metavar="WxH", help="size of a frame (default: 960x540)")
    return parser


class _Once(argparse.Action):
    """Keep the value of an option; an error if it is given twice."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        if hasattr(namespace, self.dest):
            raise argparse.ArgumentError(self, f"must be given once, got '{values}' too")
        setattr(namespace, self.dest, values)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"must look like 960x540, got {text!r}")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    main()
