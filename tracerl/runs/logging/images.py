"""Record windows of consecutive env steps and draw them as pictures. The env step alone decides the windows."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tracerl.lifetime.protocol import Agent, ManyAgents, agents_of
from tracerl.lifetime.record import Record
from tracerl.nn.views import Numbers, Viewer, constants, is_visible
from tracerl.recording.images import Picture
from tracerl.recording.raster import constants_image, raster_image
from tracerl.recording.recorder import Recorder

NEVER = sys.maxsize  # env step of an event that never happens
_ENDED, _EPISODES = "ended", "episodes"


class Snapshots:
    """Record lifetime 0 over the first ``length`` env steps and over the last ones before each multiple of ``every``.

    The state of an unfinished window can be saved, so that a resumed run completes its picture.
    """

    def __init__(
        self, every: int, length: int, initial: Mapping[str, Numbers] | None, kept: Mapping[str, Any] | None = None
    ) -> None:
        """Start a new recording, or continue a saved one.

        Args:
            every: env steps between two pictures.
            length: env steps in a picture, at most ``every``.
            initial: decays and thresholds of the initialised agent (``views.constants``); None: at the first call.
            kept: result of ``capture``.
        """
        self.every, self.length = every, min(length, every)
        self._initial, self._recorder = initial, Recorder(self.length)
        self._ended: list[bool] = []
        self._episodes = 0
        self._viewer: Viewer | None = None
        self._unsupported = False
        if kept:
            self._ended, self._episodes = kept[_ENDED].tolist(), int(kept[_EPISODES])
            self._recorder.restore({name: kept[name] for name in kept if name not in (_ENDED, _EPISODES)})

    def next_call(self, step: int) -> int:
        """Return the first env step after ``step`` within a window; ``NEVER`` if the agent cannot be recorded."""
        return NEVER if self._unsupported else max(step + 1, self._end(step + 1) - self.length + 1)

    def _end(self, step: int) -> int:
        """Return the last env step of the window that contains a step, or of the next window."""
        return self.length if step <= self.length else -(-step // self.every) * self.every

    def call(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> dict[str, Picture]:
        """Record the current env step and, at the end of a window, return the pictures by tag."""
        if self._viewer is None:
            self._viewer = Viewer(agent)
            self._initial = constants(agent) if self._initial is None else self._initial
            self._unsupported = not is_visible(agents_of(agent)[0])
        if self._unsupported:
            return {}
        if step == self._end(step) - self.length + 1:
            self._clear()
        self._ended.append(len(self._recorder) > 0 and records[0].episodes > self._episodes)
        self._episodes = records[0].episodes
        self._recorder.add(self._viewer())
        return self._draw(step, agent) if step == self._end(step) else {}

    def replace_newest(self, agent: Agent | ManyAgents) -> None:
        """View the agent again at the newest env step of an unfinished window."""
        if len(self._recorder):
            self._recorder.replace_newest(Viewer(agent)())

    def _draw(self, step: int, agent: Agent | ManyAgents) -> dict[str, Picture]:
        assert self._initial is not None
        recording = self._recorder.recording()
        ended = np.array(self._ended[-len(self._recorder) :])
        self._clear()
        now = constants(agent)
        changed = any(not np.array_equal(now[tag], self._initial.get(tag)) for tag in now)  # type: ignore[arg-type]
        with np.errstate(all="ignore"):  # a diverging lifetime has non-finite numbers
            found = {
                "pictures/raster": raster_image(replace(recording, ended=ended), step, self._episodes + 1),
                "pictures/decays": constants_image(self._initial, now) if changed or step == self.length else None,
            }
        return {tag: picture for tag, picture in found.items() if picture is not None}

    def _clear(self) -> None:
        self._recorder.clear()
        self._ended.clear()

    def capture(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state of the unfinished window as arrays by name; empty between windows."""
        if not len(self._recorder):
            return {}
        mine = {_ENDED: np.array(self._ended), _EPISODES: np.array(self._episodes)}
        return mine | self._recorder.capture()
