"""Runs whose stdout or stderr cannot be written: a closed pipe, a full disk, a closed stream."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tests.helpers import command
from tracerl.runs.output import dropping_failed_writes

RUN = ["agent=random", "steps=200", "logger=csv", "hydra.run.dir=run"]
PROGRAM = """
from tracerl.runs.output import discard_unwritten, dropping_failed_writes
with dropping_failed_writes():
    print("a line")
    print("a line", flush=True)
discard_unwritten()
"""


@pytest.fixture(params=["pipe", "disk", "closed"])
def broken(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """A text stream that cannot be written."""
    if request.param == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
    elif not os.path.exists("/dev/full"):
        pytest.skip("the system has no /dev/full")
    else:
        writing = os.open("/dev/full", os.O_WRONLY)
    stream = open(writing, "w", buffering=1)
    if request.param == "closed":
        stream.close()
    yield stream
    stream.close()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_run_whose_output_fails_goes_on(
    name: str, broken: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, name, broken)
    assert command(RUN, monkeypatch, tmp_path) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "finished"
    assert (tmp_path / "run" / "checkpoints" / "step-000000000200").is_dir()
    assert not (tmp_path / "run" / "error.txt").exists() and getattr(sys, name) is broken


def test_run_from_python_goes_on_too(broken: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracerl

    monkeypatch.setattr(sys, "stdout", broken)
    assert tracerl.launch({"agent": "random", "steps": 50, "logger": "none"}, tmp_path)["status"] == "finished"
    if not broken.closed:  # as a command does at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), broken.fileno())


def test_process_ends_without_an_error_of_its_output() -> None:
    root = Path(__file__).parents[1]
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(line, cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_characters_that_a_stream_cannot_encode_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with dropping_failed_writes():
        print("übrig")
        sys.stdout.writelines(["a", "b"])
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xfcbrig\nab"  # type: ignore[attr-defined]
