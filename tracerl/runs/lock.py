"""The sign that a run is going on in a folder: ``running.json``, there from its start to its end.

On the machine of the run a lock decides (``tracerl.runs.flock``). The lock does not reach other machines, and some file
systems have none: there the heartbeat decides, which a thread of the run's process writes into the sign.
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

from tracerl.lifetime.loop import Callback
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average
from tracerl.runs.files import read_json
from tracerl.runs.flock import FolderLock, is_locked
from tracerl.runs.resume import InUse

NAME = "running.json"
FRESH = 120.0  # seconds for which a heartbeat counts: longer than an env may keep the thread from running
_BEAT = 2.0  # seconds between two heartbeats
_CLAIM = 5.0  # seconds after which a claim that has not become a sign is that of a killed process
_PROBE = 1.0  # seconds for which a lock may be held by those who only ask
_SECONDS = 1.0  # between two updates of what the sign says
_OFTEN = 2_000  # env steps: a multiple of what others look at, for compiled lifetimes are interrupted by every look


def read(folder: Path) -> dict[str, Any] | None:
    """Return what the sign in a folder says; None where there is none that can be read."""
    return read_json(folder / NAME)


def alive(folder: Path) -> bool:
    """Return whether a run goes on in a folder.

    On the machine of the run, whether its lock is held; elsewhere, and where there are no locks, whether its heartbeat
    is less than two minutes old.
    """
    locked, sign = is_locked(folder), read(folder)
    return locked or sign is not None and _beats(folder, sign, locked is False, time.time())


def exists(process: object) -> bool:
    """Return whether a process of this machine has that number."""
    if not isinstance(process, int) or process <= 0:  # which would be every process
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _beats(folder: Path, sign: Mapping[str, Any], unlocked: bool, now: float) -> bool:
    """Return whether a sign is that of a run that goes on.

    Args:
        folder: of the run.
        sign: what is in its ``running.json``.
        unlocked: no process of this machine holds the folder's lock.
        now: by the clock that dates the folder's files.
    """
    if "machine" not in sign:  # of an earlier version, which took no lock
        updated, elsewhere = sign.get("updated"), sign.get("host") != socket.gethostname()
        fresh = isinstance(updated, (int, float)) and time.time() - updated < FRESH
        return fresh and (elsewhere or exists(sign.get("pid")))
    try:
        decided = unlocked and sign["machine"] == _machine(folder)
        return not decided and now - (folder / NAME).stat().st_mtime < FRESH
    except OSError:  # it has just been taken away
        return False


def _machine(folder: Path) -> str:
    """Name the kernel, and its mount of a folder, within which the folder's lock holds."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # not Linux
        kernel = socket.gethostname()
    return f"{kernel}/{folder.stat().st_dev}"


def look_every(steps: int) -> int:
    """Return the env steps between two looks at a clock in a lifetime of so many: half a minute of the slowest envs."""
    return max(1, min(steps // 100, _OFTEN))


class Presence(Callback):
    """A context in which ``running.json`` says where the run goes on and how far it is; a callback that keeps it fresh.

    Of two runs that are told the same folder, the second raises InUse. A process that is killed leaves the sign behind,
    by which others know. A full disk costs nothing but its freshness.

    Attributes:
        lost: the folder belongs to another run by now, which took this one for killed: its process stood still.
    """

    def __init__(self, folder: Path, steps: int, key: str) -> None:
        self.every, self.lost = look_every(steps), False
        self._folder, self._steps, self._key = folder, steps, key
        self._aside = folder / f"{NAME}.part"
        self._about = {"host": socket.gethostname(), "pid": os.getpid(), "id": os.urandom(8).hex()}
        self._started, self._looked, self._ended = time.time(), -math.inf, threading.Event()
        self._progress: tuple[int, float | None] = 0, None

    def __enter__(self) -> "Presence":
        self._lock = self._locked()
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._heart.join()
        with suppress(OSError):  # the folder is gone or cannot be written any more: the sign goes stale by itself
            self._aside.unlink(missing_ok=True)
            if not self._is_lost():
                (self._folder / NAME).unlink(missing_ok=True)
        self._lock.release()

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Note what the next heartbeat says, at most once a second; InUse where another run took the folder over."""
        self.check()
        if time.monotonic() - self._looked < _SECONDS:
            return
        self._looked = time.monotonic()
        mean = average(record.mean_return(partial=True) for record in records)
        self._progress = steps_of_all(records), None if math.isnan(mean) else mean

    def check(self) -> None:
        """Raise InUse where another run has taken the folder over."""
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
        """Put up the sign, unless another stands for a run that goes on.

        The claim is a file that one process alone can create; renamed, it is the sign.
        """
        claim, seen, until = self._folder / "running.part", 0, math.inf
        while not _create(claim):
            with suppress(FileNotFoundError):
                if time.monotonic() > until:
                    claim.unlink()
                elif seen != (seen := claim.stat().st_mtime_ns):
                    until = time.monotonic() + _CLAIM  # watched, for the clocks of machines may differ
            time.sleep(0.02)
        self._about["machine"] = _machine(self._folder)
        sign = read(self._folder)
        if sign is not None and _beats(self._folder, sign, self._lock.works, claim.stat().st_mtime):
            claim.unlink()
            raise self._in_use(f"had a heartbeat in the last {FRESH:.0f} s of")
        with suppress(OSError):  # a full disk: the sign is empty until there is room
            claim.write_text(self._text(), encoding="utf-8")
        claim.replace(self._folder / NAME)

    def _in_use(self, how: str) -> InUse:
        sign = read(self._folder)
        who = f"process {sign.get('pid')} on {sign.get('host')}" if sign else "another process"
        return InUse(self._key, f"{how} {who}: {self._folder}")

    def _is_lost(self) -> bool:
        sign = read(self._folder)
        return sign is not None and sign.get("id") != self._about["id"]

    def _beat(self) -> None:
        """Bring the sign up to date until the run ends; runs in a thread of its own, which does not outlive it."""
        while not self._ended.wait(_BEAT):
            self.lost = self._is_lost()
            if self.lost:
                return
            with suppress(OSError):
                self._aside.write_text(self._text(), encoding="utf-8")
                self._aside.replace(self._folder / NAME)

    def _text(self) -> str:
        step, mean_return = self._progress
        times = {"started": self._started, "updated": time.time()}
        return json.dumps({**self._about, **times, "step": step, "steps": self._steps, "return": mean_return}) + "\n"


def _create(path: Path) -> bool:
    """Create an empty file; return False where there is one already."""
    try:
        path.open("x", encoding="utf-8").close()
    except FileExistsError:
        return False
    return True
