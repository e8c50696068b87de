"""``running.json``: a file in the folder of a run that exists while the run is active.

On the machine of the run a lock shows whether it is active (``config.flock``). The lock does not extend to other
machines, and some file systems have no locks. There the heartbeat shows it: a thread of the run updates the file.
"""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracerl.config.flock import FolderLock, is_locked
from tracerl.config.moved import keep_names
from tracerl.lifetime.loop import ScheduledCallback
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average
from tracerl.runs.files import read_json, write_atomic
from tracerl.runs.resume import InUse

NAME = "running.json"
FRESH = 120.0  # seconds for which a heartbeat is valid: longer than an env can block the thread
_BEAT = 2.0  # seconds between two heartbeats
_CLAIM = 5.0  # seconds after which an unrenamed claim file belongs to a killed process
_PROBE = 1.0  # seconds for which a test of the lock can hold it
_SECONDS = 1.0  # seconds between two updates of the progress in the file
_OFTEN = 2_000  # env steps: a multiple of other callbacks' intervals, because each call interrupts compiled lifetimes


def read(folder: Path) -> dict[str, Any] | None:
    """Return the contents of ``running.json``; None if it cannot be read."""
    return read_json(folder / NAME)


def is_active(folder: Path) -> bool:
    """Return whether a run is active in a folder, by its lock or, where locks are unknown, by its heartbeat."""
    locked, heartbeat = is_locked(folder), read(folder)
    return locked or heartbeat is not None and _has_active_run(folder, heartbeat, locked is False, time.time())


def exists(process: object) -> bool:
    """Return whether this machine has a process with this id."""
    if not isinstance(process, int) or process <= 0:  # such an id stands for many processes
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process of another user
        pass
    return True


def _has_active_run(folder: Path, heartbeat: Mapping[str, Any], unlocked: bool, now: float) -> bool:
    """Return whether ``running.json``, with the contents ``heartbeat``, belongs to an active run.

    ``unlocked`` tells whether no process of this machine holds the lock of the folder. ``now`` is on the clock that
    dates the files of the folder.
    """
    if "machine" not in heartbeat:  # written by an earlier version without locks
        updated, elsewhere = heartbeat.get("updated"), heartbeat.get("host") != socket.gethostname()
        fresh = isinstance(updated, (int, float)) and time.time() - updated < FRESH
        return fresh and (elsewhere or exists(heartbeat.get("pid")))
    try:
        decided = unlocked and heartbeat["machine"] == _machine(folder)
        return not decided and now - (folder / NAME).stat().st_mtime < FRESH
    except OSError:  # the file was just removed
        return False


def _machine(folder: Path) -> str:
    """Return the kernel and its mount of a folder. The lock of the folder is valid within them."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # not Linux
        kernel = socket.gethostname()
    return f"{kernel}/{folder.stat().st_dev}"


def callback_interval(steps: int) -> int:
    """Return the env steps between two calls of a timed callback: at most half a minute of the slowest envs."""
    return max(1, min(steps // 100, _OFTEN))


class RunLock(ScheduledCallback):
    """A lock on the folder of a run, as a context manager and a callback that updates ``running.json``.

    A second run in the same folder raises InUse. A killed process leaves the file behind, so that other processes
    detect the kill. On a full disk only the updates of the file are lost.

    Attributes:
        lost: whether another run has taken over the folder, because the process of this run was suspended.
    """

    def __init__(self, folder: Path, steps: int, key: str) -> None:
        self.every, self.lost = callback_interval(steps), False
        self._folder, self._steps, self._key = folder, steps, key
        self._aside = folder / f"{NAME}.part"
        self._about = {"host": socket.gethostname(), "pid": os.getpid(), "id": os.urandom(8).hex()}
        self._started, self._updated, self._ended = time.time(), -math.inf, threading.Event()
        self._progress: tuple[int, float | None] = 0, None
        self._written = 0.0  # when ``running.json`` was written last, by the clock of the file system

    def __enter__(self) -> "RunLock":
        self._lock = self._locked()
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # the folder is gone or read-only: the heartbeat expires
            self._aside.unlink(missing_ok=True)
            if not self._is_lost():
                (self._folder / NAME).unlink(missing_ok=True)
        self._lock.release()

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Set the progress for the next heartbeat, at most once a second; see ``check``."""
        self.check()
        if time.monotonic() - self._updated < _SECONDS:
            return
        self._updated = time.monotonic()
        mean = average(record.mean_return(partial=True) for record in records)
        self._progress = steps_of_all(records), None if math.isnan(mean) else mean

    def check(self) -> None:
        """Raise InUse if another run has taken over the folder."""
        if self.lost:
            raise self._in_use("was taken over by")

    def _locked(self) -> FolderLock:
        until = time.monotonic() + _PROBE
        while True:
            try:
                return FolderLock(self._folder)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise self._in_use("is in use by") from None
            time.sleep(0.02)

    def _claim(self) -> None:
        """Write ``running.json``, unless the existing file belongs to an active run.

        The claim is a file that only one process can create. It is then renamed to ``running.json``. If this process is
        suspended in between, another one removes the claim, and this one begins again.
        """
        claim = self._folder / "running.part"
        self._about["machine"] = _machine(self._folder)
        while True:
            self._create(claim)
            with suppress(FileNotFoundError):
                heartbeat, locks = read(self._folder), self._lock.works
                if heartbeat is not None and _has_active_run(self._folder, heartbeat, locks, claim.stat().st_mtime):
                    claim.unlink()
                    raise self._in_use(f"had a heartbeat in the last {FRESH:.0f} s of")
                # On a full disk the file stays empty until there is space. A claim that is gone is not made here.
                with suppress(OSError), open(claim, "r+", encoding="utf-8") as file:
                    file.write(self._text())
                claim.replace(self._folder / NAME)
                self._written = (self._folder / NAME).stat().st_mtime
                return

    def _create(self, claim: Path) -> None:
        """Create the claim, after that of another process is gone or, having stayed for long, removed."""
        seen, until = 0, math.inf
        while True:
            with suppress(FileExistsError):
                claim.touch(exist_ok=False)
                return
            with suppress(FileNotFoundError):
                if time.monotonic() > until:
                    claim.unlink()
                elif seen != (seen := claim.stat().st_mtime_ns):
                    until = time.monotonic() + _CLAIM  # measured here, because the clocks of machines can differ
            time.sleep(0.02)

    def _in_use(self, how: str) -> InUse:
        heartbeat = read(self._folder)
        who = f"process {heartbeat.get('pid')} on {heartbeat.get('host')}" if heartbeat else "another process"
        return InUse(self._key, f"{how} {who}: {self._folder}")

    def _is_lost(self) -> bool:
        """Return whether another run has taken the folder over, and perhaps ended since and removed the file."""
        heartbeat, summary = read(self._folder), self._folder / "summary.json"
        if heartbeat is not None:
            return heartbeat.get("id") != self._about["id"]
        with suppress(OSError):
            return not (self._folder / NAME).exists() and summary.stat().st_mtime > self._written
        return False

    def _beat(self) -> None:
        """Update ``running.json`` until the run ends. This runs in a separate thread."""
        while not self._ended.wait(_BEAT):
            self.lost = self._is_lost()
            if self.lost:
                return
            with suppress(OSError):
                write_atomic(self._folder / NAME, self._text(), sync=False)
                self._written = (self._folder / NAME).stat().st_mtime

    def _text(self) -> str:
        step, mean_return = self._progress
        times = {"started": self._started, "updated": time.time()}
        return json.dumps({**self._about, **times, "step": step, "steps": self._steps, "return": mean_return}) + "\n"


keep_names(globals(), alive="is_active")
