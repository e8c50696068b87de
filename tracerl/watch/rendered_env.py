"""Render the frames of the env of a watched lifetime."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

from tracerl.config.checks import ConfigError
from tracerl.lifetime.env_closing import close_env
from tracerl.recording.display import mujoco_environment
from tracerl.recording.images import FRAMES_NEED, Picture
from tracerl.runs.saved_run import SavedRun

RATE = 30.0  # default of env steps per second


class RenderedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An env that keeps the last frame of an episode, which the next reset replaces.

    Attributes:
        last_frame: frame before the newest reset; None before the first episode ends, or without frames.
        rate: env steps per second, from the metadata of the env.
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
        """Return the current frame; None, with one message, if the env cannot be rendered."""
        if not self._draws:
            return None
        with mujoco_environment():
            try:
                drawn = np.asarray(self.env.render())
            except DependencyNotInstalled as error:
                raise ConfigError("env", f"{FRAMES_NEED} ({error})") from error
            except Exception as error:  # a graphics library without a display or driver can raise any error
                self._disable(f"{type(error).__name__}: {str(error).strip() or 'it gave no reason'}".splitlines()[0])
                return None
        if drawn.ndim != 3 or drawn.shape[2] != 3 or not drawn.size:
            self._disable(f"it drew an array of shape {drawn.shape}")
            return None
        picture: Picture = drawn.astype(np.uint8)
        return picture

    def _disable(self, reason: str) -> None:
        self._draws = False
        self._say(f"no frames of the env: it cannot be rendered here: {reason}")


def open_env(saved: SavedRun, lifetime: int, draws: bool, say: Callable[[str], None]) -> RenderedEnv:
    """Make the env of a lifetime, with frames if they are wanted and it can render them."""
    env = saved.env_of(lifetime)
    if not draws:
        return RenderedEnv(env, say)
    if "rgb_array" in (env.metadata.get("render_modes") or ()):
        close_env(env)
        return RenderedEnv(saved.env_of(lifetime, render_mode="rgb_array"), say)
    say("no frames of the env: it has no render_mode rgb_array")
    return RenderedEnv(env, say)
