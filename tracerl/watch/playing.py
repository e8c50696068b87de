"""The loop of a watched lifetime: step, record, draw, show."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.lifetime.env_closing import closing_env
from tracerl.lifetime.evaluation import act_greedily
from tracerl.lifetime.loop import LoopState, ScheduledCallback, Step, stream
from tracerl.lifetime.record import Record
from tracerl.nn.views import Viewer
from tracerl.recording.display import pygame_environment
from tracerl.recording.recorder import Recorder
from tracerl.runs.saved_run import SavedRun, load
from tracerl.watch.composite import CompositeImage, Scene, recording_image
from tracerl.watch.options import KEYS, Options
from tracerl.watch.outputs import Files
from tracerl.watch.pace import Pace
from tracerl.watch.rendered_env import RenderedEnv, open_env
from tracerl.watch.window import Window, has_display

_WINDOW = 2_000  # newest env steps in the picture of a recording
_UNBOUNDED = 2**62  # env steps without a limit


def play(
    options: Options,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
    callbacks: Sequence[ScheduledCallback] = (),
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
        raise ConfigError("window", "needs a display, and there is none: --video out.mp4 and --raster out.png do not")
    with pygame_environment(window=options.wants_window):
        saved = load(options.run, options.checkpoint, trust=options.trust)
        draws = bool(options.videos) or options.wants_window
        with closing_env(open_env(saved, options.lifetime, draws, say)) as env:
            agent = _agent(saved, options, say)
            return _Show(saved, env, agent, options, say).play(interrupted, callbacks)


class _Show:
    """The state of one watched lifetime: recordings, images and outputs."""

    def __init__(
        self, saved: SavedRun, env: RenderedEnv, agent: Any, options: Options, say: Callable[[str], None]
    ) -> None:
        self._saved, self._env, self._agent, self._options, self._say = saved, env, agent, options, say
        self._viewer = Viewer(agent)
        self._pace = Pace(env.rate, options.speed, options.fps)
        self._titles = _titles(saved, options, hasattr(agent, "freeze"))
        with_maps = any(layer.shape is not None for layer in self._viewer().layers)
        self._image = CompositeImage(options.size, env.action_space, *self._titles, options.span, with_maps=with_maps)
        self._newest = Recorder(self._image.span)
        self._all = Recorder(_WINDOW if options.raster else 1)
        self._record = Record()
        self._loop_state = LoopState()

    def play(self, interrupted: Callable[[], bool], callbacks: Sequence[ScheduledCallback]) -> tuple[Record, list[str]]:
        """Watch until the end; see ``play``."""
        options = self._options
        self._files = Files(options.videos, options.raster, options.size, self._pace.fps)
        try:
            window = Window(self._titles[0], options.size, self._pace, interrupted) if options.wants_window else None
            with nullcontext() if window is None else closing(window) as self._window:
                if window is not None:
                    self._say(KEYS)
                self._live(interrupted, callbacks)
        except BaseException as error:
            if self._record.step and isinstance(error, Exception) and not isinstance(error, ConfigError):
                self._say_kept(self._finish()[0])
            self._files.drop()
            raise
        lines, failed = self._finish()
        if failed is not None:
            self._say_kept(lines)
            raise failed
        return self._record, lines

    def _say_kept(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._say(f"kept {line}")

    def _finish(self) -> tuple[list[str], OSError | None]:
        """Finish the files; see ``Files.finish``."""
        if self._options.raster is None or not len(self._all):
            return self._files.finish(None)
        recording = self._all.recording()
        return self._files.finish(recording_image(recording, self._env.action_space, self._titles, self._record))

    def _live(self, interrupted: Callable[[], bool], callbacks: Sequence[ScheduledCallback]) -> None:
        options, saved = self._options, self._saved
        seed = int(saved.config.seed) + options.lifetime if options.seed is None else options.seed
        steps = options.last_step or _UNBOUNDED
        steps_taken = stream(self._agent, self._env, steps, seed, self._record, callbacks, loop_state=self._loop_state)
        with closing(steps_taken):
            for step in steps_taken:
                if self._record_step(step) or interrupted() or (self._window is not None and self._window.closed):
                    return

    def _record_step(self, step: Step) -> bool:
        """Record and show an env step; return True after the last episode."""
        if step.last:
            self._show(step)
        seen = self._viewer()
        self._newest.add(seen, step)
        self._all.add(seen, step)
        over = self._options.episodes is not None and self._record.episodes >= self._options.episodes
        if not over and not self._loop_state.ended:
            self._show()
        return over

    def _show(self, last: Step | None = None) -> None:
        """Draw the newest step, or the last step of an episode, if a frame is due and there is an output."""
        if not (self._files.videos or self._window is not None) or not self._pace.due():
            return
        picture = self._image.compose(self._scene(last))
        self._files.add(picture)
        if self._window is not None:
            self._window.show(picture)

    def _scene(self, last: Step | None) -> Scene:
        """Return the scene within an episode or, with its last step, at its end."""
        record, verdict = self._record, None
        recording = self._newest.recording() if len(self._newest) else None
        past = record.returns
        returns = (len(past), record.mean_return(partial=True), past[-1]) if past else None
        if last is None:
            frame, action = self._env.frame(), self._loop_state.action
            counts = record.step, record.episodes + 1, record.episode_length, record.episode_return
        else:  # its last step is not recorded yet, and the env is reset after every step but the last of all
            frame, action = self._env.frame() if self._loop_state.ended else self._env.last_frame, last.action
            counts = record.step - 1, record.episodes, record.lengths[-1], record.returns[-1]
            verdict = "terminated" if last.terminated else "cut off"
        return Scene(frame, recording, *counts, returns, action, verdict)


def _agent(saved: SavedRun, options: Options, say: Callable[[str], None]) -> Any:
    """Build the agent, frozen unless ``options.learn``."""
    agent = saved.agent(options.lifetime, "torch")
    if options.learn:
        say("the agent learns while it is watched; the folder of the run does not change")
    elif hasattr(agent, "freeze"):
        agent.freeze()
    else:
        say(f"{type(agent).__name__} cannot be frozen; the folder of the run does not change")
    if options.greedy:
        act_greedily(agent)
    return agent


def _titles(saved: SavedRun, options: Options, can_freeze: bool) -> tuple[str, str]:
    """Return the titles: run and checkpoint, and mode of watching."""
    agent = str(saved.config.agent.get("_target_", "agent")).split(".")[-2:][0]
    lifetimes = f"lifetime {options.lifetime} of {saved.lifetimes}, " if saved.lifetimes > 1 else ""
    which = f"{saved.config.env.name} · {agent} · {lifetimes}{saved.step:,} steps old"
    how = "frozen" if can_freeze and not options.learn else "learning"
    return which, f"{how}, {'greedy' if options.greedy else 'sampling'}"


def to_stderr(line: str) -> None:
    """Print a line to stderr, apart from the output of the command."""
    print(line, file=sys.stderr)
