"""Signals of a sweep whose jobs run in other processes of this machine."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tracerl.runs.lock import NAME, is_active, read

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 0.5  # seconds after which a job has noted the SIGINT of its terminal, so that the next signal is no second one
_QUIET = 1.0  # seconds without an active job after which all have ended
_LONGEST = 60.0  # seconds in which jobs can write their checkpoints
_POLL = 0.1  # seconds between two looks at the jobs


class JobEnding:
    """End the jobs of a sweep with SIGTERM at the first SIGINT or SIGTERM of this process, and wait for them.

    Without it the launcher kills the processes of the jobs while they write their checkpoints, or leaves them running.
    A second signal has its previous effect at once. Outside the main thread, where Python allows no signal handlers,
    nothing is changed.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder of the sweep."""
        self._folder = folder
        self._previous: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for the processes of the jobs, which have handlers of their own."""
        return {"_folder": self._folder, "_previous": {}}

    def begin(self) -> None:
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._end) for number in _SIGNALS}

    def restore(self) -> None:
        """Install the previous handlers again."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.restore()
        time.sleep(_GRACE)
        self._end_jobs()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def _end_jobs(self) -> None:
        """Send SIGTERM to each active job once, also to those that begin meanwhile, until none is active.

        A job has its handler of the signal once it has taken steps. Before, the signal would end its process, and the
        launcher the processes of all other jobs.
        """
        told, end = set[Path](), time.monotonic() + _LONGEST
        quiet = time.monotonic()
        while (now := time.monotonic()) < min(quiet + _QUIET, end):
            active = [path.parent for path in self._folder.rglob(NAME) if is_active(path.parent)]
            for job in active:
                found = read(job) or {}
                process, step = found.get("pid"), found.get("step")
                begun = isinstance(step, int) and step > 0
                if begun and job not in told and isinstance(process, int) and process not in (0, os.getpid()):
                    told.add(job)
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGTERM)
            quiet = now if active else quiet
            time.sleep(_POLL)
