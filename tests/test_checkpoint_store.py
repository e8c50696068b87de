"""Writing checkpoints: what an interrupted write leaves on the disk."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import Disk, Killed, found, quick, save  # noqa: F401  quick is a fixture
from tracerl.config.checks import ConfigError
from tracerl.runs import disk
from tracerl.runs.checkpoint.names import aside
from tracerl.runs.checkpoint.read import newest, newest_good, read
from tracerl.runs.checkpoint.store import write


def first(root: Path) -> None:
    """Return a folder that does not exist."""


def next_one(root: Path) -> None:
    save(root, 1, 1.0)


def same_step(root: Path) -> None:
    save(root, 1, 1.0)
    save(root, 2, 1.5)


def after_a_kill(root: Path) -> None:
    """Return a folder that a killed writer left: partial files, and step 2 renamed before its replacement."""
    save(root, 1, 1.0)
    save(root, 2, 1.5).rename(root / "step-000000000002.replaced")
    half_written = root / aside(2)
    half_written.mkdir()
    (half_written / "agent.safetensors").write_bytes(b"half")
    (root / ".step-000000000000.01234567.gone").mkdir()


@pytest.mark.parametrize("before", [first, next_one, same_step, after_a_kill], ids=lambda case: case.__name__)
@pytest.mark.parametrize("kind", ["killed before", "killed within", "fails once", "full from then on"])
def test_write_stopped_at_any_call_leaves_the_previous_or_the_new_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, before: Callable[[Path], None]
) -> None:
    for at in range(1, 100):
        root = tmp_path / str(at)
        before(root)
        old = found(root)
        with monkeypatch.context() as patch:
            shim = Disk(patch, kind, at)
            ended: BaseException | None = None
            try:
                save(root, 2, 2.0)
            except (Killed, OSError) as error:
                ended = error
        assert found(root) in ((old, (2, 2.0)) if ended else ((2, 2.0),))
        if isinstance(ended, OSError):
            assert not list(root.glob(".*.part"))
            assert old is None or (root / f"step-{old[0]:012d}").is_dir()
        assert save(root, 3, 3.0) == root / "step-000000000003" and found(root) == (3, 3.0)
        assert all(path.name[:5] == "step-" and path.name[5:].isdigit() for path in root.iterdir())
        if shim.made < at:
            return
    raise AssertionError("a write of two files takes fewer calls")


def test_checkpoint_is_synced_before_it_is_renamed_and_the_name_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[int, Path] = {}
    log: list[tuple[str, str]] = []
    create, open_folder, rename = disk.create, disk.open_folder, disk.rename

    def noted(real: Callable[[Path], int]) -> Callable[[Path], int]:
        def call(path: Path) -> int:
            file = real(path)
            opened[file] = path
            return file

        return call

    def moved(old: Path, new: Path) -> None:
        log.append(("rename", new.name))
        rename(old, new)

    monkeypatch.setattr(disk, "create", noted(create))
    monkeypatch.setattr(disk, "open_folder", noted(open_folder))
    monkeypatch.setattr(disk, "sync", lambda file: log.append(("sync", opened[file].name)))
    monkeypatch.setattr(disk, "rename", moved)
    path = save(tmp_path / "root", 1, 1.0)
    assert log[0] == ("sync", tmp_path.name)
    assert {name for _, name in log[1:4]} == {"agent.safetensors", "world.safetensors", "manifest.json"}
    assert log[4][0] == "sync" and log[4][1].endswith(".part")
    assert log[5:] == [("rename", path.name), ("sync", "root")]


CHILD = """
import sys
from pathlib import Path
import torch
from tracerl.runs.checkpoint.retention import prune
from tracerl.runs.checkpoint.store import write
for step in range(10**9):
    for _ in range(2):
        write(Path(sys.argv[1]), step, {"agent": {"weight": torch.full((1000,), float(step))}}, {})
    prune(Path(sys.argv[1]), 2, 0)
"""


def test_killed_writer_leaves_a_valid_checkpoint_and_removable_files(tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(root)]) as writer:
        until = time.monotonic() + 60
        while (path := newest(root)) is None or path.name < "step-000000000003":
            assert writer.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    checkpoint, messages = newest_good(root)
    assert checkpoint is not None and checkpoint.step >= 3 and messages == []
    assert checkpoint.parts["agent"]["weight"].tolist() == [float(checkpoint.step)] * 1000
    save(root, 10**9, 1.0)
    assert not list(root.glob(".*")) and not list(root.glob("*.replaced"))


def test_only_files_without_a_running_owner_are_removed(tmp_path: Path) -> None:
    def leave(host: str, pid: int, age: float = 0.0) -> Path:
        path = tmp_path / f".step-000000000005.{host}.{pid}.{pid:08x}.part"
        path.mkdir()
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    host = aside(0).split(".")[2]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    going = [leave(host, os.getppid(), age=60), leave("elsewhere", 1, age=60)]
    leave(host, dead.pid), leave(host, os.getpid()), leave(host, 1, age=180), leave("elsewhere", 2, age=180)
    others = [tmp_path / ".step-notes.part", tmp_path / "step-1", tmp_path / ".step-000000000005.part"]
    for path in others:
        path.mkdir()
    new = save(tmp_path, 6, 1.0)
    assert sorted(tmp_path.iterdir()) == sorted([*going, *others, new])


def test_host_of_any_name_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mädchen's/..\n" + "x" * 300)
    (tmp_path / aside(1)).mkdir()
    assert list(tmp_path.iterdir()) and save(tmp_path, 1, 1.0).is_dir()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("step", [-1, 1.0, True, 10**15 + 1])
def test_step_must_be_an_integer(tmp_path: Path, step: Any) -> None:
    with pytest.raises(ConfigError, match="^step must be a whole number"):
        write(tmp_path, step, {}, {})


def test_missing_folder_raises_an_oserror_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkpoints"):
        save(tmp_path / "run" / "checkpoints", 1, 1.0)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save(tmp_path / "file", 1, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_link_or_file_at_the_path_of_a_checkpoint_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "step-000000000001").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "step-000000000002").write_text("a file")
    for step in (1, 2):
        assert read(save(tmp_path, step, 1.0)).step == step
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "elsewhere"
    assert len(list(tmp_path.iterdir())) == 3


def test_manifest_has_the_version_and_the_time_of_writing(tmp_path: Path) -> None:
    manifest = json.loads((save(tmp_path, 12_345, 1.0, score=2.0) / "manifest.json").read_text())
    assert (manifest["format"], manifest["step"], manifest["info"]["score"]) == (1, 12_345, 2.0)
    assert set(manifest["versions"]) == {"tracerl", "torch", "numpy", "gymnasium", "python"}
    assert manifest["created"].endswith("+00:00")
    assert set(manifest["files"]) == {"agent.safetensors", "world.safetensors"}
