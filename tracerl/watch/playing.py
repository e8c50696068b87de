"""The loop of a watched lifetime: step, record, draw, show."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import Callback, LoopState, Step, stream
from tracerl.lifetime.record import Record
from tracerl.nn.views import Viewer
from tracerl.recording.images import Picture
from tracerl.recording.recorder import Recorder
from tracerl.runs.saved_run import SavedRun, load
from tracerl.watch.options import KEYS, Options
from tracerl.watch.outputs import Files
from tracerl.watch.pace import Pace
from tracerl.watch.scene import Scene, scene
from tracerl.watch.sheet import Sheet, stretch
from tracerl.watch.stage import Stage, open_stage
from tracerl.watch.window import Window, has_display

_STRETCH = 2_000  # newest env steps that the picture of a recording shows
_FOR_EVER = 2**62  # env steps


def play(
    options: Options, say: Callable[[str], None], interrupted: Callable[[], bool], callbacks: Sequence[Callback] = ()
) -> tuple[Record, list[str]]:
    """Watch a run's agent.

    Args:
        options: checked already.
        say: called with lines for the user.
        interrupted: asked after every step; true ends the watching, and files are finished.
        callbacks: look at the lifetime on their schedules.

    Returns:
        What was earned, and a line about each file.
    """
    if options.wants_window and not has_display():
        raise ConfigError(
            "window", "needs a display, and there is none: --video out.mp4 and --raster out.png need none"
        )
    with _drawing_unseen(not options.wants_window):
        saved = load(options.run, options.checkpoint, trust=options.trust)
        draws = bool(options.videos) or options.wants_window
        with closing(open_stage(saved, say) if draws else Stage(saved.env(), say)) as stage:
            agent = _agent(saved, options, say)
            return _Show(saved, stage, agent, options).play(say, interrupted, callbacks)


class _Show:
    """One watching: what is drawn, and where it goes."""

    def __init__(self, saved: SavedRun, stage: Stage, agent: Any, options: Options) -> None:
        self._saved, self._stage, self._agent, self._options = saved, stage, agent, options
        self._viewer = Viewer(agent)
        self._pace = Pace(stage.rate, options.speed, options.fps)
        self._titles = _titles(saved, options, hasattr(agent, "freeze"))
        self._sheet = Sheet(options.size, stage.action_space, *self._titles, options.span)
        self._newest = Recorder(self._sheet.span)
        self._all = Recorder(_STRETCH if options.raster else 1)
        self._record = Record()
        self._loop_state = LoopState()
        self._window: Window | None = None

    def play(
        self, say: Callable[[str], None], interrupted: Callable[[], bool], callbacks: Sequence[Callback]
    ) -> tuple[Record, list[str]]:
        """Watch to the end; see ``play``."""
        options = self._options
        self._files = Files(options.videos, options.raster, options.size, self._pace.fps)
        try:
            if options.wants_window:
                self._window = Window(self._titles[0], options.size, self._pace, interrupted)
                say(KEYS)
            self._live(interrupted, callbacks)
        except BaseException as error:
            self._close(say, isinstance(error, Exception) and not isinstance(error, ConfigError))
            raise
        lines, failed = self._finish()
        if failed is not None:
            for line in lines:
                say(f"kept {line}")
            raise failed
        return self._record, lines

    def _close(self, say: Callable[[str], None], keep: bool) -> None:
        """Let go of everything after an error; keep what there is of the files where that makes sense."""
        if keep and self._record.step:
            for line in self._finish()[0]:
                say(f"kept {line}")
            return
        self._files.drop()
        if self._window is not None:
            self._window.close()

    def _finish(self) -> tuple[list[str], OSError | None]:
        """Close the window and finish the files; see ``Files.finish``."""
        if self._window is not None:
            self._window.close()
        there = self._options.raster is not None and len(self._all)
        whole = stretch(self._all.recording(), self._stage.action_space, self._titles, self._record) if there else None
        return self._files.finish(whole)

    def _live(self, interrupted: Callable[[], bool], callbacks: Sequence[Callback]) -> None:
        options, saved = self._options, self._saved
        seed = int(saved.config.seed) + options.life if options.seed is None else options.seed
        steps = options.last_step or _FOR_EVER
        lived = stream(self._agent, self._stage, steps, seed, self._record, callbacks, loop_state=self._loop_state)
        with closing(lived):
            for step in lived:
                enough = self._look(step)
                if enough or interrupted() or (self._window is not None and self._window.closed):
                    return

    def _look(self, step: Step) -> bool:
        """Show what an env step led to; true after the last episode asked for."""
        if step.last:
            self._show(lambda: self._ending(step))
        seen = self._viewer()
        self._newest.add(seen, step)
        self._all.add(seen, step)
        over = self._options.episodes is not None and self._record.episodes >= self._options.episodes
        if not over and not self._loop_state.ended:
            self._show(lambda: self._scene(self._stage.frame(), self._loop_state.action))
        return over

    def _ending(self, step: Step) -> Scene:
        frame = (
            self._stage.frame() if self._loop_state.ended else self._stage.last_frame
        )  # not reset after the last step
        verdict = "terminated" if step.terminated else "cut off"
        return self._scene(frame, step.action, verdict)

    def _scene(self, frame: Picture | None, action: Any, verdict: str | None = None) -> Scene:
        recording = self._newest.recording() if len(self._newest) else None
        return scene(frame, recording, self._record, action, verdict)

    def _show(self, loop_state: Callable[[], Scene]) -> None:
        """Draw a moment where it is due and anybody looks."""
        looks = self._files.has_videos or self._window is not None
        if not looks or not self._pace.due():
            return
        picture = self._sheet.compose(loop_state())
        self._files.add(picture)
        if self._window is not None:
            self._window.show(picture)


def _agent(saved: SavedRun, options: Options, say: Callable[[str], None]) -> Any:
    """Build the agent, frozen unless it shall learn."""
    agent = saved.agent(options.life, "torch")
    if options.learn:
        say("the agent learns while it is watched; nothing is written back into the run")
    elif hasattr(agent, "freeze"):
        agent.freeze()
    else:
        say(f"{type(agent).__name__} cannot be frozen; what it learns is not written back into the run")
    if options.greedy:
        try:
            agent.act_greedily()
        except (AttributeError, ValueError) as error:
            name = type(agent).__name__
            raise ConfigError("greedy", f"needs an agent with a distribution over actions, got {name}") from error
    return agent


def _titles(saved: SavedRun, options: Options, can_freeze: bool) -> tuple[str, str]:
    """Return which run this is, and how it is watched."""
    agent = str(saved.config.agent.get("_target_", "agent")).split(".")[-2:][0]
    lifetimes = f"lifetime {options.life} of {saved.lifetimes}, " if saved.lifetimes > 1 else ""
    which = f"{saved.config.env.name} · {agent} · {lifetimes}{saved.step:,} steps old"
    how = "frozen" if can_freeze and not options.learn else "learning"
    return which, f"{how}, {'greedy' if options.greedy else 'sampling'}"


@contextmanager
def _drawing_unseen(unseen: bool) -> Iterator[None]:
    """Let envs that draw with pygame do so without looking for a display, and keep it from greeting."""
    wanted = {"PYGAME_HIDE_SUPPORT_PROMPT": "1"} | ({"SDL_VIDEODRIVER": "dummy"} if unseen else {})
    changed = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)


def to_stderr(line: str) -> None:
    """Print a line where it does not mix with what is asked for."""
    print(line, file=sys.stderr)
