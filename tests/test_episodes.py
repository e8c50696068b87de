"""Every episode on disk: columns that NumPy reads, and a warning for a full disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracerl.lifetime.record import Record
from tracerl.runs.logging import episodes
from tracerl.runs.logging.episodes import EpisodeLog, read_episodes


def test_every_episode_of_every_lifetime_round_trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "_CHUNK", 3)  # more rows than the buffer
    log = EpisodeLog(tmp_path)
    records = [Record(lifetime=lifetime, keep=log.keep) for lifetime in range(2)]
    for length in range(1, 5):
        for record in records:
            for _ in range(length):
                record.add(0.25 + record.lifetime)
            record.end_episode()
    log.close()
    with np.load(tmp_path / "returns.npz") as found:
        assert {name: found[name].dtype for name in found.files} == {
            "life": np.int32,
            "length": np.int32,
            "step": np.int64,
            "return": np.float64,
        }
        assert found["life"].tolist() == [0, 1] * 4
        assert found["length"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
        assert found["step"][found["life"] == 1].tolist() == [1, 3, 6, 10]
        assert found["return"][found["life"] == 1].tolist() == [1.25, 2.5, 3.75, 5.0]
    assert [path.name for path in tmp_path.iterdir()] == ["returns.npz"]


def test_run_without_an_ended_episode_writes_empty_columns(tmp_path: Path) -> None:
    EpisodeLog(tmp_path).close()
    with np.load(tmp_path / "returns.npz") as found:
        assert found["return"].shape == (0,)


def test_full_disk_raises_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EpisodeLog(tmp_path)
    log._file.close()
    log._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    for step in range(3):
        log.keep(0, step, 1.0, 1)
    warnings = capsys.readouterr().err
    assert warnings.count("warning: cannot write") == 1
    assert "the run continues" in warnings
    log._file.close()


def test_disk_full_at_the_end_keeps_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EpisodeLog(tmp_path)
    log.keep(0, 7, 1.5, 7)

    def full_disk(rows: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(episodes, "_write_columns", full_disk)
    log.close()
    assert "No space left" in capsys.readouterr().err
    assert (tmp_path / "returns.part").stat().st_size == 24


def filled(log: EpisodeLog, start: int, stop: int) -> None:
    for step in range(start, stop):
        log.keep(step % 2, step, step / 3, 1)


@pytest.mark.parametrize("closed", [False, True])
def test_resumed_run_drops_episodes_after_its_checkpoint(tmp_path: Path, closed: bool) -> None:
    """A killed run leaves rows, the last one partial; an ended run leaves columns."""
    log = EpisodeLog(tmp_path)
    filled(log, 1, 6)
    assert log.flush() == 5
    filled(log, 100, 103)
    if closed:
        log.close()
    else:
        log._file.write(b"torn")
        log._file.close()
    second = EpisodeLog(tmp_path, rows=5)
    filled(second, 6, 9)
    assert second.flush() == 8
    second.close()
    whole = EpisodeLog(tmp_path / "..")
    filled(whole, 1, 9)
    whole.close()
    with np.load(second.path) as ours, np.load(whole.path) as theirs:
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name])
    whole.path.unlink()


def counted(folder: Path) -> list[int]:
    return read_episodes(folder)["step"].tolist()


@pytest.mark.parametrize(
    ("lose", "left"),
    [
        (lambda part, npz: part.unlink(), 0),
        (lambda part, npz: part.write_bytes(part.read_bytes()[:100]), 4),
        (lambda part, npz: part.write_text("a text of somebody who saved it under another name\n" * 9), 0),
        (lambda part, npz: (part.unlink(), npz.write_bytes(b"PK\x03\x04 garbage")), 0),
        (lambda part, npz: (part.unlink(), np.savez(npz, step=np.arange(9))), 0),
        (lambda part, npz: (part.unlink(), np.savez(npz, **{n: np.full(9, "x") for n in ("life", "step")})), 0),
        (lambda part, npz: (part.unlink(), npz.symlink_to("/dev/zero")), 0),
    ],
)
def test_missing_episodes_raise_a_warning_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lose: Any, left: int
) -> None:
    log = EpisodeLog(tmp_path)
    filled(log, 1, 8)
    log._file.close()
    lose(tmp_path / "returns.part", tmp_path / "returns.npz")
    second = EpisodeLog(tmp_path, rows=7)
    output = capsys.readouterr().err
    assert output.count("warning: ") == 1 and f"warning: {7 - left} of 7 episodes are lost" in output
    filled(second, 8, 10)
    assert second.flush() == left + 2  # as the next checkpoint requests
    second.close()
    assert counted(tmp_path) == [*range(1, 1 + left), 8, 9]


def test_damaged_episodes_are_a_warning_unless_rows_replace_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert counted(tmp_path) == [] and capsys.readouterr().err == ""
    log = EpisodeLog(tmp_path)
    filled(log, 1, 4)
    log._file.close()
    (tmp_path / "returns.npz").write_bytes(b"PK\x03\x04 garbage")
    assert counted(tmp_path) == [1, 2, 3] and capsys.readouterr().err == ""
    (tmp_path / "returns.part").unlink()
    assert counted(tmp_path) == []
    output = capsys.readouterr().err
    assert output.startswith(f"warning: cannot read {tmp_path / 'returns.npz'}: ") and output.count("\n") == 1


def test_run_killed_while_restoring_columns_keeps_them(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path)
    filled(log, 1, 8)
    log.close()
    (tmp_path / "returns.part").write_bytes(b"half")
    second = EpisodeLog(tmp_path, rows=7)
    assert second.flush() == 7
    second.close()
    assert counted(tmp_path) == [*range(1, 8)]


def test_discarded_log_writes_nothing(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path)
    log.keep(0, 3, 1.0, 3)
    assert log.flush() == 1
    log.keep(0, 6, 1.0, 3)
    log.discard()
    assert (tmp_path / "returns.part").stat().st_size == 24
