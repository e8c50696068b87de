"""The run of a tracking service that belongs to a run folder, so that a resumed run continues it."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from tracerl.config.forms import fits
from tracerl.runs.files import read_json, write_atomic
from tracerl.runs.saved import COUNT

Kind = Literal["step", "histograms", "pictures"]  # what has a last env step in the file; "step": points of the curves
_NONE = -1  # last env step of what was never logged
_FIRST_PAUSE = 10.0  # seconds without writes after a first failure


class ServiceRun:
    """The id of a run of a service and the last env steps that it has, in a file of the run folder.

    A resumed run computes the steps after its checkpoint again, bit-identically. The service has some of them, and
    their points, histograms and pictures are left out. A kill can hit between those of one step, so each kind has a
    last step of its own.

    Attributes:
        id: id at the service; None before the service has given one.
        resumed: whether an earlier part of the run has begun it.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one with a sound id."""
        found = read_json(path) or {}
        known = isinstance(found.get("id"), str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found["id"]) is not None
        self.id: str | None = found["id"] if known else None
        self.resumed = known
        self._path, self._last = path, _last_steps(found if known else {})
        self._skipped = dict(self._last)  # steps up to these are from an earlier part of the run

    def begin(self, run_id: str) -> None:
        """Take the id of a new run, which has no steps yet."""
        self.id, self.resumed, self._last, self._skipped = run_id, False, _last_steps({}), _last_steps({})
        self._write()

    def is_new(self, step: int, kind: Kind = "step") -> bool:
        """Return whether the service lacks what is logged of a kind at an env step."""
        return step > self._skipped[kind]

    def reached(self, step: int, kind: Kind = "step") -> None:
        """Store that the service has what is logged of a kind at an env step."""
        if step > self._last[kind]:
            self._last[kind] = step
            self._write()

    def _write(self) -> None:
        """Replace the file, without waiting for the disk."""
        write_atomic(self._path, json.dumps({"id": self.id, **self._last}) + "\n", sync=False)


def _last_steps(found: Mapping[str, Any]) -> dict[str, int]:
    """Return the last env step of each kind in a file. Older files have that of the points only, for all kinds."""
    points = found.get("step", _NONE)
    steps = {kind: found.get(kind, points) for kind in get_args(Kind)}
    return {kind: int(step) if fits(COUNT, step) else _NONE for kind, step in steps.items()}


class Pauses:
    """The times without writes after writes that failed, so that a service that is gone does not slow the run.

    A pause is twice as long as the one before it. A write that succeeds begins again with the shortest.
    """

    def __init__(self) -> None:
        self._seconds, self._until = _FIRST_PAUSE, -math.inf

    def paused(self) -> bool:
        """Return whether there is a pause now."""
        return time.monotonic() < self._until

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A context of a write. An error in it begins a pause."""
        try:
            yield
        except Exception:
            self._until = time.monotonic() + self._seconds
            self._seconds *= 2
            raise
        self._seconds = _FIRST_PAUSE


def plain(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary as JSON has it: keys are texts."""
    found: dict[str, Any] = json.loads(json.dumps(summary))
    return found


def name_of(folder: Path, settings: Mapping[str, Any]) -> str:
    """Return the default name of a run at a service: env, agent and the name of its folder."""
    parts = (settings.get("env.name"), settings.get("agent.name"), folder.name)
    return " ".join(str(part) for part in parts if part)
