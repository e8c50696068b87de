"""Command lines in new processes, forked from one that has imported what a run imports: each saves four seconds."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import tracerl.run
from tests.helpers import compose_choices_once
from tests.kills import modules_of_a_run


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``tracerl.run`` in a folder; deprecated names in tracerl are errors."""
    with tempfile.TemporaryDirectory() as logs:
        process = start(folder, *arguments, logs=logs)
        process.join()
        output, errors = (Path(logs, name).read_text() for name in ("1", "2"))
    assert process.exitcode is not None
    return subprocess.CompletedProcess(arguments, process.exitcode, output, errors)


def start(folder: Path, *arguments: str, logs: str | None = None) -> ForkServerProcess:
    """Start ``tracerl.run`` in a folder and return its process.

    Args:
        folder: working directory.
        arguments: of the command line.
        logs: folder for the output, in files named 1 and 2; None: the output is discarded.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([*modules_of_a_run(), __name__])
    process = forks.Process(target=_run, args=(folder, arguments, dict(os.environ), logs))
    process.start()
    return process


def _run(folder: Path, arguments: tuple[str, ...], environment: Mapping[str, str], logs: str | None) -> None:
    for number in (1, 2):
        name = os.devnull if logs is None else f"{logs}/{number}"
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(environment)
    os.chdir(folder)
    compose_choices_once()
    warnings.filterwarnings("error", category=DeprecationWarning, module="tracerl")
    sys.argv = ["tracerl.run", *arguments]
    tracerl.run.main()
