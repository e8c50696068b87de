"""The env of a watched lifetime, and the frames that it draws."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

from tracerl.config.checks import ConfigError
from tracerl.recording.images import Picture
from tracerl.runs.saved_run import SavedRun

RATE = 30.0  # env steps per second of an env that names none


class Stage(gym.Wrapper[Any, Any, Any, Any]):
    """An env that keeps the last frame of an episode, which its next reset would wipe away.

    Attributes:
        last_frame: drawn before the newest reset; None before the first episode ended, or without frames.
        rate: env steps per second, as the env names them.
    """

    def __init__(self, env: gym.Env[Any, Any], say: Callable[[str], None]) -> None:
        super().__init__(env)
        self._say, self._draws, self._begun = say, env.render_mode == "rgb_array", False
        self.last_frame: Picture | None = None
        rate = env.metadata.get("render_fps")
        self.rate = float(rate) if isinstance(rate, (int, float)) and rate > 0 else RATE

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; see ``gymnasium.Env.reset``."""
        if self._begun:
            self.last_frame = self.frame()
        self._begun = True
        return super().reset(**kwargs)

    def frame(self) -> Picture | None:
        """Draw what the env looks like now; None where it cannot, which is said once."""
        if not self._draws:
            return None
        with _drawing_without_display():
            try:
                drawn = np.asarray(self.env.render())
            except DependencyNotInstalled as error:
                extra = 'needs packages to draw its frames: pip install "tracerl[watch]"'
                raise ConfigError("env", f"{extra} ({error})") from error
            except Exception as error:  # whatever a graphics library raises without a display or a driver
                self._do_without(f"{type(error).__name__}: {str(error).strip() or 'it gave no reason'}".splitlines()[0])
                return None
        if drawn.ndim != 3 or drawn.shape[2] != 3 or not drawn.size:
            self._do_without(f"it drew an array of shape {drawn.shape}")
            return None
        picture: Picture = drawn.astype(np.uint8)
        return picture

    def _do_without(self, reason: str) -> None:
        self._draws = False
        self._say(f"no frames of the env: it cannot be drawn here: {reason}")


@contextmanager
def _drawing_without_display() -> Iterator[None]:
    """Let MuJoCo draw by EGL where there is no display: by itself it takes a library that needs one.

    Not before: without EGL, MuJoCo asked for it could not even be imported.
    """
    shown = not sys.platform.startswith("linux") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    ours = not shown and "MUJOCO_GL" not in os.environ
    if ours:
        os.environ["MUJOCO_GL"] = "egl"
    complaints, sys.unraisablehook = sys.unraisablehook, lambda _: None  # of a viewer that was only half made
    try:
        yield
    finally:
        sys.unraisablehook = complaints
        if ours:
            os.environ.pop("MUJOCO_GL", None)


def open_stage(saved: SavedRun, say: Callable[[str], None]) -> Stage:
    """Make a run's env so that it draws frames, if it can."""
    env = saved.env()
    if "rgb_array" in (env.metadata.get("render_modes") or ()):
        env.close()
        return Stage(saved.env(render_mode="rgb_array"), say)
    say("no frames of the env: it has no render_mode rgb_array")
    return Stage(env, say)
