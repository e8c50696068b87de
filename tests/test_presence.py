"""The sign that a run is going on: put up once, kept fresh, taken away; and which one counts."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracerl.presence import NAME, Presence, alive, read
from tracerl.resume import InUse
from tracerl.stats import Record


def test_the_sign_stands_while_the_context_does_and_says_how_far_the_run_is(tmp_path: Path) -> None:
    record = Record()
    for _ in range(3):
        record.add(2.0)
    record.end_episode()
    with Presence(tmp_path, 1000, "hydra.run.dir") as presence:
        sign = read(tmp_path)
        assert sign is not None and (sign["step"], sign["steps"], sign["return"]) == (0, 1000, None)
        presence._written = 0.0
        presence.look([record], None)  # type: ignore[arg-type]
        sign = read(tmp_path)
        assert sign is not None and (sign["step"], sign["return"], sign["pid"]) == (3, 6.0, os.getpid())
        assert alive(sign)
        record.add(1.0)
        presence.look([record], None)  # type: ignore[arg-type]
        assert read(tmp_path) == sign  # at most once a second
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with Presence(tmp_path, 10, "hydra.run.dir"):
        with pytest.raises(InUse, match=rf"^hydra.run.dir is in use by process {os.getpid()} on .*{tmp_path.name}"):
            Presence(tmp_path, 10, "hydra.run.dir").__enter__()
        assert (tmp_path / NAME).exists()  # the refused one takes nothing away
    (tmp_path / NAME).write_text("torn")
    with pytest.raises(InUse, match="in use by another process"):
        Presence(tmp_path, 10, "hydra.run.dir").__enter__()


def test_the_sign_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / NAME).write_text(json.dumps({"host": socket.gethostname(), "pid": dead.pid, "updated": time.time()}))
    with Presence(tmp_path, 10, "hydra.run.dir"):
        sign = read(tmp_path)
        assert sign is not None and sign["pid"] == os.getpid()


def test_the_sign_of_another_machine_counts_for_two_minutes() -> None:
    sign = {"host": "elsewhere", "pid": 1, "updated": time.time() - 100}
    assert alive(sign)
    assert not alive({**sign, "updated": time.time() - 130})


def test_a_folder_that_vanishes_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Presence(folder, 10, "hydra.run.dir") as presence:
        (folder / NAME).unlink()
        folder.rmdir()
        presence._written = 0.0
        presence.look([Record()], None)  # type: ignore[arg-type]
    assert not folder.exists()
