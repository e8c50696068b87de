"""The sign that a run is going on in a folder: ``running.json``, there from its start to its end."""

import json
import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tracerl.agent import Agent, ManyAgents
from tracerl.lifetime import Monitor
from tracerl.resume import InUse
from tracerl.stats import Record, average, lived_by_all
from tracerl.torn import read_json

NAME = "running.json"
_FRESH = 120.0  # seconds for which a sign from another machine counts
_SECONDS = 1.0  # between two writings
_OFTEN = 2_000  # env steps: a multiple of what others look at, for compiled lives are interrupted by every look


def read(folder: Path) -> dict[str, Any] | None:
    """Return what the sign in a folder says; None where there is none that can be read."""
    return read_json(folder / NAME)


def alive(sign: Mapping[str, Any]) -> bool:
    """Say whether the run that left a sign goes on.

    On this machine, whether its process is there; of another, whether the sign is less than two minutes old.
    """
    updated, process = sign.get("updated"), sign.get("pid")
    if sign.get("host") != socket.gethostname():
        return isinstance(updated, (int, float)) and time.time() - updated < _FRESH
    if not isinstance(process, int) or process <= 0:  # which would be every process
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def look_every(steps: int) -> int:
    """Return the env steps between two looks at a clock, in a life of so many: half a minute of the slowest envs."""
    return max(1, min(steps // 100, _OFTEN))


class Presence(Monitor):
    """A context in which ``running.json`` says where the run goes on and how far it is; a monitor that keeps it fresh.

    It is created exclusively: of two runs that are told the same folder, the second is refused. A process that is
    killed leaves it behind, by which others know. A full disk costs nothing but its freshness.
    """

    def __init__(self, folder: Path, steps: int, key: str) -> None:
        """Prepare the sign of a run.

        Args:
            folder: of the run, which exists.
            steps: env steps of each life.
            key: setting that named the folder, for messages.
        """
        self.every = look_every(steps)
        self._path, self._steps, self._key = folder / NAME, steps, key
        self._started, self._written = time.time(), 0.0

    def __enter__(self) -> "Presence":
        """Put up the sign.

        Raises:
            InUse: another run goes on in the folder.
            OSError: the folder cannot be written.
        """
        sign = read(self._path.parent)
        if sign is not None and not alive(sign):
            self._path.unlink(missing_ok=True)
        try:
            self._path.open("x", encoding="utf-8").close()
        except FileExistsError:
            where = f"process {sign['pid']} on {sign['host']}" if sign else "another process"
            raise InUse(self._key, f"is in use by {where}: {self._path.parent}") from None
        self._write(0, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the sign away."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            self._written = math.inf  # the folder is gone, or not ours any more: the sign goes stale by itself

    def look(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Bring the sign up to date, at most once a second."""
        if time.time() - self._written < _SECONDS:
            return
        mean = average(record.mean_return(partial=True) for record in records)
        self._write(lived_by_all(records), None if math.isnan(mean) else mean)

    def _write(self, step: int, mean_return: float | None) -> None:
        self._written = time.time()
        sign = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "updated": self._written,
            "step": step,
            "steps": self._steps,
            "return": mean_return,
        }
        aside = self._path.with_suffix(".part")
        try:
            aside.write_text(json.dumps(sign) + "\n", encoding="utf-8")
            aside.replace(self._path)
        except OSError:
            return
