"""What a folder that holds a run already means for the next one."""

import json
from pathlib import Path

import pytest
import yaml

from tracerl.checks import ConfigError
from tracerl.resume import InUse, finished_run, flat

SETTINGS = {"steps": 10, "env": {"id": "A", "kwargs": {}}, "threads": 1, "resume": True, "list": [1, 2]}


def left(folder: Path, status: str | None) -> None:
    """A run's folder, as one leaves it that ended with a status, or was killed."""
    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    for name in ("returns.part", "error.txt", "events.out.tfevents.1.host.2.0", "notes.md"):
        (folder / name).write_text("old")
    if status is not None:
        (folder / "summary.json").write_text(json.dumps({"status": status}))


def test_a_fresh_folder_is_free(tmp_path: Path) -> None:
    for resume in (False, True):
        assert finished_run(tmp_path, SETTINGS, resume, "hydra.run.dir") is None


def test_a_folder_that_holds_a_run_is_refused_unless_resumed(tmp_path: Path) -> None:
    left(tmp_path, "finished")
    with pytest.raises(InUse, match=rf"^hydra.sweep.dir holds a run already, .*resume=true.*{tmp_path.name}"):
        finished_run(tmp_path, SETTINGS, False, "hydra.sweep.dir")
    assert (tmp_path / "returns.part").exists()


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    left(tmp_path, "finished")
    assert finished_run(tmp_path, {**SETTINGS, "threads": 8, "resume": False}, True, "k") == {"status": "finished"}
    assert (tmp_path / "returns.part").read_text() == "old"


@pytest.mark.parametrize("status", ["interrupted", "failed", None, "torn"])
def test_an_unfinished_run_makes_room_and_other_files_stay(tmp_path: Path, status: str | None) -> None:
    left(tmp_path, status)
    if status == "torn":
        (tmp_path / "summary.json").write_text('{"status": "fin')
    assert finished_run(tmp_path, SETTINGS, True, "k") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "notes.md"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 11}, r"^steps must be 10, as in the run to be gone on with \(.*\), got 11"),
        ({"env": {"id": "B", "kwargs": {}}}, r"^env.id must be 'A'"),
        ({"env": {"id": "A", "kwargs": {"x": 1}}}, r"^env.kwargs"),
        ({"list": [1]}, r"^list must be \[1, 2\]"),
        ({"more": 1}, r"^more must be None"),
    ],
)
def test_other_settings_are_named_and_nothing_is_removed(tmp_path: Path, change: dict, message: str) -> None:
    left(tmp_path, None)
    with pytest.raises(ConfigError, match=message):
        finished_run(tmp_path, {**SETTINGS, **change}, True, "k")
    assert (tmp_path / "returns.part").exists()


def test_flat_keeps_every_setting() -> None:
    assert flat({"a": {"b": 1, "c": {"d": None}}, "e": {}}) == {"a.b": 1, "a.c.d": None, "e": {}}
