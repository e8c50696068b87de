"""Which checkpoints are kept, and what an interrupted removal leaves on the disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints import Disk, Killed, found, quick, save  # noqa: F401  quick is a fixture
from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint.read import newest_good, read
from tracerl.runs.checkpoint.retention import prune


@pytest.mark.parametrize("kind", ["killed before", "killed within", "fails once"])
def test_removal_stopped_at_any_call_leaves_no_partial_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for at in range(1, 20):
        root = tmp_path / str(at)
        for step in range(4):
            save(root, step, float(step))
        with monkeypatch.context() as patch:
            shim = Disk(patch, kind, at)
            try:
                prune(root, 1, 0)
            except (Killed, OSError):
                pass
        assert found(root) == (3, 3.0)
        for path in root.glob("step-*"):
            read(path)
        save(root, 4, 4.0)
        assert not list(root.glob(".*"))
        if shim.made < at:
            return
    raise AssertionError("a removal of three folders takes fewer calls")


def kept(root: Path) -> Iterator[int]:
    return (int(path.name[5:]) for path in sorted(root.glob("step-*")))


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path: Path) -> None:
    scores = [5.0, 9.0, None, 9.0, -1.0, 7.0, None, 0.0]
    for step, score in enumerate(scores):
        save(tmp_path, step, 1.0, score)
    removed = prune(tmp_path, keep_last=2, keep_best=2)
    assert list(kept(tmp_path)) == [1, 3, 6, 7]
    assert [path.name[-1] for path in removed] == ["5", "4", "2", "0"]
    assert prune(tmp_path, keep_last=2, keep_best=1) == [
        tmp_path / "step-000000000001"
    ]  # among equals the newer is kept
    prune(tmp_path, keep_last=0, keep_best=0)
    assert list(kept(tmp_path)) == [7]
    assert prune(tmp_path / "nothing", 1, 1) == []
    with pytest.raises(ConfigError, match="^keep_last must be a whole number of 0 or above, got -1"):
        prune(tmp_path, -1, 0)


def test_newest_valid_checkpoint_is_kept_and_unreadable_ones_are_not_counted(tmp_path: Path) -> None:
    for step in range(6):
        save(tmp_path, step, 1.0, score=float(step))
    (tmp_path / "step-000000000005" / "manifest.json").write_text("{}")
    (tmp_path / "step-000000000002" / "world.safetensors").unlink()
    rotten = tmp_path / "step-000000000004" / "agent.safetensors"  # its size is unchanged
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"\xff")
    prune(tmp_path, keep_last=1, keep_best=0)
    assert list(kept(tmp_path)) == [2, 3, 4, 5]
    checkpoint, messages = newest_good(tmp_path)
    assert checkpoint is not None and checkpoint.step == 3 and len(messages) == 2


def test_newest_checkpoint_is_kept_even_with_damaged_tensors(tmp_path: Path) -> None:
    for step in range(3):
        save(tmp_path, step, 1.0)
    rotten = tmp_path / "step-000000000002" / "agent.safetensors"
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"\xff")
    prune(tmp_path, keep_last=0, keep_best=0)
    assert list(kept(tmp_path)) == [1, 2]
