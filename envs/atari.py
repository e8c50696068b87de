"""Atari's frames, preprocessed and stacked with few copies: observations equal to those of Gymnasium's wrappers."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import AtariPreprocessing

from tracerl.config import checks, forms
from tracerl.lifetime.env_state import fields

from .episodic import Observation


class AtariFrames(AtariPreprocessing):
    """``AtariPreprocessing`` with frames in [0, 1], float32, of an env with any ``obs_type``.

    The emulator writes its grey screen into a buffer twice per env step. What the env itself returns is not used, and
    ``ram`` takes the least time.
    """

    def __init__(self, env: gym.Env[Any, Any], **settings: Any) -> None:
        """Wrap an env of ale_py with ``frameskip=1``; ``settings`` are those of ``AtariPreprocessing``."""
        super().__init__(env, **settings)
        shape: Any = self.observation_space.shape
        screen = (*self.ale.getScreenDims(), *(() if self.grayscale_obs else (3,)))
        self.obs_buffer = [np.zeros(screen, np.uint8), np.zeros(screen, np.uint8)]
        self.observation_space = spaces.Box(0.0, 1.0, shape, np.float32)
        self._resized = np.zeros((*self.screen_size[::-1], *screen[2:]), np.uint8)

    def state_dict(self) -> dict[str, Any]:
        """Return the last two screens and the lives; see ``tracerl.lifetime.env_state``."""
        return {"screens": np.stack(self.obs_buffer), "lives": int(self.lives), "game_over": bool(self.game_over)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``; a ValueError names what does not fit."""
        screens = forms.array((2, *self.obs_buffer[0].shape), "u")
        values = fields.checked(self, state, {"screens": screens, "lives": forms.whole(0), "game_over": forms.flag})
        self.obs_buffer = list(values["screens"].astype(np.uint8))
        self.lives, self.game_over = values["lives"], values["game_over"]

    def _get_obs(self) -> Observation:
        """Return the pixel-wise maximum of the last two screens, resized and scaled; for ``AtariPreprocessing``."""
        import cv2  # part of an extra

        screen, before = self.obs_buffer
        if self.frame_skip > 1:
            np.maximum(screen, before, out=screen)
        cv2.resize(screen, self.screen_size, dst=self._resized, interpolation=cv2.INTER_AREA)
        frame: Observation = np.divide(self._resized, np.float32(255), dtype=np.float32)
        return frame.reshape(self.observation_space.shape)


class StackedFrames(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """``FrameStackObservation`` of arrays, with one copy per observation where Gymnasium's makes two."""

    def __init__(self, env: gym.Env[Any, Any], stack_size: int) -> None:
        """Wrap an env.

        Args:
            env: its observations are a Box.
            stack_size: newest observations in one of this wrapper, the first of an episode repeated.
        """
        gym.utils.RecordConstructorArgs.__init__(self, stack_size=checks.whole("stack_size", stack_size, 1))
        gym.ObservationWrapper.__init__(self, env)
        space: Any = env.observation_space
        low, high = np.stack([space.low] * stack_size), np.stack([space.high] * stack_size)
        self.observation_space = spaces.Box(low, high, dtype=space.dtype)
        self._frames = np.zeros(low.shape, space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start an episode."""
        self._frames[:], info = self.env.reset(seed=seed, options=options)
        return self._frames.copy(), info

    def observation(self, frame: Any) -> Any:
        """Return the stack with a further frame as the newest."""
        self._frames[:-1] = self._frames[1:]
        self._frames[-1] = frame
        return self._frames.copy()

    def state_dict(self) -> dict[str, Any]:
        """Return the stack; see ``tracerl.lifetime.env_state``."""
        return {"frames": self._frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``; a ValueError names what does not fit."""
        self._frames[:] = fields.checked(self, state, {"frames": forms.like(self._frames)})["frames"]
