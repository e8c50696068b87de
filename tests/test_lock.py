"""The lock of a running run: taken once, refreshed, removed; and which locks are stale."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracerl.config import flock
from tracerl.lifetime.record import Record
from tracerl.runs import lock
from tracerl.runs.lock import NAME, RunLock, is_active, read
from tracerl.runs.resume import InUse

LOCKS = pytest.mark.parametrize("kind", ["flock", "none"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"_BEAT": 0.02, "_PROBE": 0.1, "_CLAIM": 0.2}.items():
        monkeypatch.setattr(lock, name, seconds)


def here(folder: Path) -> RunLock:
    return RunLock(folder, 1000, "hydra.run.dir")


def leave(folder: Path, age: float = 0.0, **about: Any) -> None:
    """Write the lock of a run, by default of this machine with a running process."""
    sign = {"host": socket.gethostname(), "pid": os.getppid(), "machine": lock._machine(folder), "id": "x"}
    (folder / NAME).write_text(json.dumps({**sign, **about}))
    os.utime(folder / NAME, (time.time() - age, time.time() - age))


def wait_for(true: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def without_locks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "none":
        monkeypatch.setattr(flock, "fcntl", None)


def test_lock_exists_within_the_context_and_has_the_step_of_the_run(tmp_path: Path) -> None:
    record = Record()
    for _ in range(3):
        record.add(2.0)
    record.end_episode()
    with here(tmp_path) as sign:
        first = read(tmp_path)
        assert first is not None and (first["step"], first["steps"], first["return"]) == (0, 1000, None)
        sign.call([record], None)  # type: ignore[arg-type]
        wait_for(lambda: (read(tmp_path) or {}).get("step") == 3)
        newest = read(tmp_path)
        assert newest is not None and (newest["return"], newest["pid"]) == (6.0, os.getpid())
        assert newest["started"] == first["started"] < newest["updated"]
        assert is_active(tmp_path)
        record.add(1.0)
        sign.call([record], None)  # type: ignore[arg-type]
        assert sign._progress == (3, 6.0)  # at most once a second
    assert not list(tmp_path.iterdir()) and not is_active(tmp_path)


def test_heartbeat_continues_while_the_env_blocks(tmp_path: Path) -> None:
    with here(tmp_path):
        stamps = set()
        wait_for(lambda: len(stamps.add((tmp_path / NAME).stat().st_mtime_ns) or stamps) > 3)  # type: ignore[func-returns-value]
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}


@LOCKS
def test_folder_has_one_run_at_a_time(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(kind, monkeypatch)
    problem = "is in use by" if kind == "flock" else "had a heartbeat in the last 120 s of"
    with here(tmp_path):
        with pytest.raises(InUse, match=rf"^hydra.run.dir {problem} process {os.getpid()} on .*{tmp_path.name}"):
            here(tmp_path).__enter__()
        assert is_active(tmp_path)  # the second does not remove the lock
    assert not list(tmp_path.iterdir())


@LOCKS
@pytest.mark.parametrize("stale", ["elsewhere", "empty"])
def test_exactly_one_of_many_processes_takes_over_a_stale_lock(
    tmp_path: Path, kind: str, stale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(kind, monkeypatch)
    monkeypatch.setattr(lock, "_PROBE", 0.0)
    contenders, entered = 8, list[int]()
    together = threading.Barrier(contenders, timeout=30)

    def contend(folder: Path) -> None:
        sign = here(folder)
        together.wait()
        try:
            sign.__enter__()
        except InUse:
            together.wait()
        else:
            entered.append(1)
            together.wait()
            sign.__exit__(None, None, None)

    for i in range(30):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / NAME).touch() if stale == "empty" else leave(folder, age=130, machine="another", host="elsewhere")
        threads = [threading.Thread(target=contend, args=(folder,)) for _ in range(contenders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(entered) == i + 1 and not list(folder.iterdir())


@pytest.mark.parametrize(
    ("left", "going_on"),
    [
        ({}, False),  # a killed and restarted container: the same host and process id
        ({"age": 10**6}, False),
        ({"machine": "another", "host": "elsewhere", "age": 100}, True),
        ({"machine": "another", "host": "elsewhere", "age": 130}, False),
        ({"machine": "another", "host": "elsewhere", "updated": 0}, True),  # its clock is wrong
        ({"machine": "another", "age": -3600}, True),  # this clock is wrong
    ],
)
def test_killed_run_is_detected_by_the_lock_here_and_by_the_heartbeat_elsewhere(
    tmp_path: Path, left: dict[str, Any], going_on: bool
) -> None:
    leave(tmp_path, **left)
    assert is_active(tmp_path) is going_on
    if going_on:
        with pytest.raises(InUse, match="had a heartbeat in the last 120 s of process"):
            here(tmp_path).__enter__()
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    else:
        with here(tmp_path):
            assert (read(tmp_path) or {})["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "torn", "[]", '{"host": 5, "pid": "x", "machine": []}'])
def test_unreadable_lock_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert not is_active(tmp_path) or "machine" in content
    os.utime(tmp_path / NAME, (0, 0))
    with here(tmp_path):
        assert is_active(tmp_path)


def test_lock_of_an_earlier_version_holds_while_its_process_runs(tmp_path: Path) -> None:
    old = {"host": socket.gethostname(), "pid": os.getppid()}
    for about, going_on in (
        ({"updated": time.time() - 60}, True),
        ({"updated": time.time() - 180}, False),
        ({"updated": time.time(), "pid": 2**31 - 1}, False),
        ({"updated": time.time() - 60, "host": "elsewhere", "pid": 2**31 - 1}, True),
        ({}, False),
    ):
        (tmp_path / NAME).write_text(json.dumps({**old, **about}))
        assert is_active(tmp_path) is going_on, about


KILLED = """
import sys, time
from pathlib import Path
from tracerl.runs.lock import RunLock
with RunLock(Path(sys.argv[1]), 10, "folder"):
    print("entered", flush=True)
    time.sleep(60)
"""


def test_folder_of_a_killed_run_is_free_immediately(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"entered\n"
        assert is_active(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / NAME).exists() and not is_active(tmp_path)
    with here(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_claim_of_a_killed_process_expires(tmp_path: Path) -> None:
    (tmp_path / "running.part").touch()
    with here(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_claim_that_another_process_has_removed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, really_read = [], lock.read

    def removing(folder: Path) -> Any:
        if not reads:  # as after a suspension for longer than a claim lasts
            (folder / "running.part").unlink()
        reads.append(folder)
        return really_read(folder)

    monkeypatch.setattr(lock, "read", removing)
    with here(tmp_path):
        assert len(reads) >= 2 and [path.name for path in tmp_path.iterdir()] == [NAME]


def test_checking_a_lock_does_not_block_a_run(tmp_path: Path) -> None:
    asked = flock._lock(tmp_path, shared=True)
    assert asked is not None
    threading.Timer(0.03, os.close, [asked]).start()
    with here(tmp_path):
        pass


def test_forked_worker_does_not_hold_the_folder(tmp_path: Path) -> None:
    with here(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: a fork beside threads
        worker = os.fork()
        if not worker:
            time.sleep(60)
            os._exit(0)
    try:
        with here(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_paused_run_ends_after_another_run_took_its_folder(tmp_path: Path) -> None:
    with here(tmp_path) as sign:
        leave(tmp_path, machine="another", host="elsewhere", pid=7)
        wait_for(lambda: sign.lost)
        with pytest.raises(InUse, match="was taken over by process 7 on elsewhere"):
            sign.call([Record()], None)  # type: ignore[arg-type]
    assert (read(tmp_path) or {})["pid"] == 7


def test_paused_run_ends_after_another_run_has_ended_in_its_folder(tmp_path: Path) -> None:
    with here(tmp_path) as running:
        (tmp_path / lock.NAME).unlink()
        wait_for(lambda: (tmp_path / lock.NAME).exists())  # a removed file is written again
        summary = tmp_path / "summary.json"
        summary.write_text("{}")
        os.utime(summary, (running._written + 100, running._written + 100))  # of the other run
        wait_for(lambda: (tmp_path / lock.NAME).unlink(missing_ok=True) or running.lost)
        with pytest.raises(InUse, match="was taken over by another process"):
            running.check()


def test_removed_folder_raises_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with here(folder) as running:
        folder.rename(tmp_path / "elsewhere")
        time.sleep(5 * lock._BEAT)
        running.call([Record()], None)  # type: ignore[arg-type]
        assert running._thread.is_alive()
    assert not folder.exists()
