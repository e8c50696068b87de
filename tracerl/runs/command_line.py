"""Options and error handling that the command lines about saved runs share."""

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

from tracerl.config.checks import ConfigError, stop
from tracerl.runs.output import StdoutFailed, discard_unwritten, naming_failed_writes


class Parser(argparse.ArgumentParser):
    """A parser with errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with 2."""
        stop(f"{message} (--help lists the options)")


def path_of(text: str) -> Path:
    """Return a path; empty text, as of a variable of the shell that is not set, is an error."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, got ''")
    return Path(text)


def add_lifetime_options(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options that choose a lifetime and a checkpoint of a run."""
    add = parser.add_argument
    add("--lifetime", type=int, default=0, metavar="I", help="index of the lifetime (default: 0)")
    add("--life", type=int, default=argparse.SUPPRESS, dest="lifetime", help=argparse.SUPPRESS)  # the previous name
    add_checkpoint_options(parser)


def add_checkpoint_options(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options that choose a checkpoint of a run, and that allow its code."""
    add = parser.add_argument
    checkpoint = "folder in checkpoints/, newest, or best: of the highest mean return (default: the newest valid one)"
    add("--checkpoint", metavar="NAME", help=checkpoint)
    add("--trust", action="store_true", help="run code of any package that the run names; see SECURITY.md")


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Exit with 1 and one line for a failed env, a number that diverged or a file that cannot be written."""
    from tracerl.lifetime.loop import Diverged, EnvFailed  # imports torch, which is slow

    try:
        yield
    except (EnvFailed, Diverged, OSError) as error:
        if _is_of_stdout(error):
            raise
        stop(str(error), 1)


def _is_of_stdout(error: Exception) -> bool:
    """Return whether stdout failed: its reader has ended, such as ``head``, or it is on a full disk.

    A pipe that a user has named has a name.
    """
    return isinstance(error, StdoutFailed) or (isinstance(error, BrokenPipeError) and error.filename is None)


@contextmanager
def _stopped_by_failed_stdout() -> Iterator[None]:
    """Exit if stdout fails: with the code of SIGPIPE if its reader has ended, else with 1 and one line.

    Characters that stdout cannot encode are escaped.
    """
    try:
        with naming_failed_writes():
            try:
                yield
            finally:
                if sys.stdout is not None:  # closed before the start
                    sys.stdout.flush()
    except StdoutFailed as error:
        discard_unwritten()
        stop(f"stdout cannot be written: {error.strerror}", 1)
    except BrokenPipeError as error:
        if not _is_of_stdout(error):
            raise
        discard_unwritten()
        sys.exit(128 + signal.SIGPIPE)


@contextmanager
def errors_in_one_line(*bad_input: type[Exception], options: Collection[str] = ()) -> Iterator[None]:
    """Exit with 2 and one line for bad input or a missing matplotlib, and with 130 for an interrupt.

    A closed stdout ends the command without a message, and one that cannot be written with 1 and one line. Warnings are
    printed in one line.

    Args:
        bad_input: errors of bad input; a ConfigError is always one.
        options: names of options in Python. An error of such a key names the option, and one of ``run`` names RUN.
    """
    try:
        with _stopped_by_failed_stdout(), warnings.catch_warnings():
            warnings.showwarning = partial(show_warning, UserWarning, warnings.showwarning)
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        stop('pictures need packages that are not installed: pip install "tracerl[plots]"')
    except KeyboardInterrupt:
        sys.exit(130)
    except ConfigError as error:
        key = "RUN" if error.key == "run" else error.key
        stop(f"--{key.replace('_', '-')} {error.problem}" if key in options else f"{key} {error.problem}")
    except bad_input as error:
        stop(str(error))


def show_warning(
    kind: type[Warning],
    usual: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *where: object,
    **more: object,
) -> None:
    """Show warnings of a kind in one line, others as Python does (``usual``); see ``warnings.showwarning``."""
    if issubclass(category, kind):
        print(f"warning: {message}", file=sys.stderr)
    else:
        usual(message, category, *where, **more)
