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
from tracerl.watch.composite import CompositeImage, recording_image
from tracerl.watch.options import KEYS, Options
from tracerl.watch.outputs import Files
from tracerl.watch.pace import Pace
from tracerl.watch.rendered_env import RenderedEnv, open_env
from tracerl.watch.scene import Scene, scene
from tracerl.watch.window import Window, has_display

_WINDOW = 2_000  # newest env steps in the picture of a recording
_UNBOUNDED = 2**62  # env steps without a limit


def play(
    options: Options, say: Callable[[str], None], interrupted: Callable[[], bool], callbacks: Sequence[Callback] = ()
) -> tuple[Record, list[str]]:
    """Watch a run's agent.

    Args:
        options: checked options.
        say: called with each line for the user.
        interrupted: called after every step. True ends the loop, and files are finished.
        callbacks: called on their schedules.

    Returns:
        The record of the returns, and a line about each file.
    """
    if options.wants_window and not has_display():
        raise ConfigError(
            "window", "needs a display, and there is none: --video out.mp4 and --raster out.png need none"
        )
    with _pygame_environment(not options.wants_window):
        saved = load(options.run, options.checkpoint, trust=options.trust)
        draws = bool(options.videos) or options.wants_window
        with closing(open_env(saved, say) if draws else RenderedEnv(saved.env(), say)) as env:
            agent = _agent(saved, options, say)
            return _Show(saved, env, agent, options).play(say, interrupted, callbacks)


class _Show:
    """The state of one watched lifetime: recordings, images and outputs."""

    def __init__(self, saved: SavedRun, env: RenderedEnv, agent: Any, options: Options) -> None:
        self._saved, self._env, self._agent, self._options = saved, env, agent, options
        self._viewer = Viewer(agent)
        self._pace = Pace(env.rate, options.speed, options.fps)
        self._titles = _titles(saved, options, hasattr(agent, "freeze"))
        self._image = CompositeImage(options.size, env.action_space, *self._titles, options.span)
        self._newest = Recorder(self._image.span)
        self._all = Recorder(_WINDOW if options.raster else 1)
        self._record = Record()
        self._loop_state = LoopState()
        self._window: Window | None = None

    def play(
        self, say: Callable[[str], None], interrupted: Callable[[], bool], callbacks: Sequence[Callback]
    ) -> tuple[Record, list[str]]:
        """Watch until the end; see ``play``."""
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
        """Close everything after an error, and finish the files if ``keep``."""
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
        drawn = self._options.raster is not None and len(self._all)
        whole = (
            recording_image(self._all.recording(), self._env.action_space, self._titles, self._record)
            if drawn
            else None
        )
        return self._files.finish(whole)

    def _live(self, interrupted: Callable[[], bool], callbacks: Sequence[Callback]) -> None:
        options, saved = self._options, self._saved
        seed = int(saved.config.seed) + options.life if options.seed is None else options.seed
        steps = options.last_step or _UNBOUNDED
        steps_taken = stream(self._agent, self._env, steps, seed, self._record, callbacks, loop_state=self._loop_state)
        with closing(steps_taken):
            for step in steps_taken:
                if self._record_step(step) or interrupted() or (self._window is not None and self._window.closed):
                    return

    def _record_step(self, step: Step) -> bool:
        """Record and show an env step; return True after the last episode."""
        if step.last:
            self._show(lambda: self._ending(step))
        seen = self._viewer()
        self._newest.add(seen, step)
        self._all.add(seen, step)
        over = self._options.episodes is not None and self._record.episodes >= self._options.episodes
        if not over and not self._loop_state.ended:
            self._show(lambda: self._scene(self._env.frame(), self._loop_state.action))
        return over

    def _ending(self, step: Step) -> Scene:
        frame = self._env.frame() if self._loop_state.ended else self._env.last_frame  # not reset after the last step
        verdict = "terminated" if step.terminated else "cut off"
        return self._scene(frame, step.action, verdict)

    def _scene(self, frame: Picture | None, action: Any, verdict: str | None = None) -> Scene:
        recording = self._newest.recording() if len(self._newest) else None
        return scene(frame, recording, self._record, action, verdict)

    def _show(self, loop_state: Callable[[], Scene]) -> None:
        """Draw a scene if it is due and there is an output."""
        has_output = self._files.has_videos or self._window is not None
        if not has_output or not self._pace.due():
            return
        picture = self._image.compose(loop_state())
        self._files.add(picture)
        if self._window is not None:
            self._window.show(picture)


def _agent(saved: SavedRun, options: Options, say: Callable[[str], None]) -> Any:
    """Build the agent, frozen unless ``options.learn``."""
    agent = saved.agent(options.life, "torch")
    if options.learn:
        say("the agent learns while it is watched; the folder of the run does not change")
    elif hasattr(agent, "freeze"):
        agent.freeze()
    else:
        say(f"{type(agent).__name__} cannot be frozen; the folder of the run does not change")
    if options.greedy:
        try:
            agent.act_greedily()
        except (AttributeError, ValueError) as error:
            name = type(agent).__name__
            raise ConfigError("greedy", f"needs an agent with a distribution over actions, got {name}") from error
    return agent


def _titles(saved: SavedRun, options: Options, can_freeze: bool) -> tuple[str, str]:
    """Return the titles: run and checkpoint, and mode of watching."""
    agent = str(saved.config.agent.get("_target_", "agent")).split(".")[-2:][0]
    lifetimes = f"lifetime {options.life} of {saved.lifetimes}, " if saved.lifetimes > 1 else ""
    which = f"{saved.config.env.name} · {agent} · {lifetimes}{saved.step:,} steps old"
    how = "frozen" if can_freeze and not options.learn else "learning"
    return which, f"{how}, {'greedy' if options.greedy else 'sampling'}"


@contextmanager
def _pygame_environment(hidden: bool) -> Iterator[None]:
    """Set environment variables so that pygame draws without a display and prints no banner."""
    wanted = {"PYGAME_HIDE_SUPPORT_PROMPT": "1"} | ({"SDL_VIDEODRIVER": "dummy"} if hidden else {})
    changed = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)


def to_stderr(line: str) -> None:
    """Print a line to stderr, apart from the output of the command."""
    print(line, file=sys.stderr)
