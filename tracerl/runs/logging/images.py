"""When a run's pictures are taken: windows of consecutive env steps, by the number of the step alone."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record
from tracerl.nn.views import Numbers, Viewer, Visible, constants
from tracerl.recording.images import Picture
from tracerl.recording.raster import constants_sheet, raster_sheet
from tracerl.recording.recorder import Recorder

NEVER = sys.maxsize  # the env step of what is not to come
_ENDED, _EPISODES = "ended", "episodes"


class Snapshots:
    """Looks at lifetime 0 over the first ``length`` env steps and over those before every multiple of ``every``.

    What it has seen of a window so far can be kept, so that a run killed within one has the picture all the same.
    """

    def __init__(
        self, every: int, length: int, born: Mapping[str, Numbers] | None, kept: Mapping[str, Any] | None = None
    ) -> None:
        """Start, or go on.

        Args:
            every: env steps between two pictures.
            length: env steps in a picture; no more than ``every`` are taken.
            born: decays and thresholds of the newly initialised agent (``view.constants``); None: of the first look.
            kept: what ``capture`` returned.
        """
        self.every, self.length = every, min(length, every)
        self._born, self._recorder = born, Recorder(self.length)
        self._ended: list[bool] = []
        self._episodes = 0
        self._viewer: Viewer | None = None
        self._blind = False
        if kept:
            self._ended, self._episodes = kept[_ENDED].tolist(), int(kept[_EPISODES])
            self._recorder.restore({name: kept[name] for name in kept if name not in (_ENDED, _EPISODES)})

    def next_call(self, step: int) -> int:
        """Return the first env step after ``step`` that belongs in a picture; ``NEVER`` where nothing can be seen."""
        return NEVER if self._blind else max(step + 1, self._end(step + 1) - self.length + 1)

    def _end(self, step: int) -> int:
        """Return the last env step of the window that a step is in or, between two, of the one to come."""
        return self.length if step <= self.length else -(-step // self.every) * self.every

    def call(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> dict[str, Picture]:
        """Look once more and, at the end of a window, return the pictures by tag."""
        if self._viewer is None:
            self._viewer = Viewer(agent)
            self._born = constants(agent) if self._born is None else self._born
            self._blind = not isinstance(getattr(agent, "agents", [agent])[0], Visible)
        if self._blind:
            return {}
        if step == self._end(step) - self.length + 1:
            self._forget()
        self._ended.append(len(self._recorder) > 0 and records[0].episodes > self._episodes)
        self._episodes = records[0].episodes
        self._recorder.add(self._viewer())
        return self._develop(step, agent) if step == self._end(step) else {}

    def _develop(self, step: int, agent: Agent | ManyAgents) -> dict[str, Picture]:
        assert self._born is not None
        recording = self._recorder.recording()
        ended = np.array(self._ended[-len(self._recorder) :])
        self._forget()
        now = constants(agent)
        changed = any(not np.array_equal(now[tag], self._born.get(tag)) for tag in now)  # type: ignore[arg-type]
        with np.errstate(all="ignore"):  # a lifetime that diverges is drawn as far as it can be
            found = {
                "pictures/raster": raster_sheet(replace(recording, ended=ended)),
                "pictures/decays": constants_sheet(self._born, now) if changed or step == self.length else None,
            }
        return {tag: picture for tag, picture in found.items() if picture is not None}

    def _forget(self) -> None:
        self._recorder.clear()
        self._ended.clear()

    def capture(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what was seen of the running window, as arrays by name; nothing between two."""
        if not len(self._recorder):
            return {}
        mine = {_ENDED: np.array(self._ended), _EPISODES: np.array(self._episodes)}
        return mine | self._recorder.capture()
