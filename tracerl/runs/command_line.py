"""Options and error handling that the command lines about saved runs share."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tracerl.config.checks import stop


def add_lifetime_options(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options that choose a lifetime and a checkpoint of a run."""
    add = parser.add_argument
    add("--life", "--lifetime", type=int, default=0, metavar="I", help="index of the lifetime (default: 0)")
    add("--checkpoint", metavar="NAME", help="folder in checkpoints/ (default: the newest valid one)")
    add("--trust", action="store_true", help="run code of any package that the run names; see SECURITY.md")


@contextmanager
def errors_in_one_line(*bad_input: type[Exception]) -> Iterator[None]:
    """Exit with 2 and one line for bad input or a missing matplotlib, and with 130 for an interrupt."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        stop('pictures need packages that are not installed: pip install "tracerl[plots]"')
    except KeyboardInterrupt:
        sys.exit(130)
    except bad_input as error:
        stop(str(error))
