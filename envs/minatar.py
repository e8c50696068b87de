"""MinAtar, five arcade games of ten by ten cells, as a Gymnasium env."""

import colorsys
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from tracerl.config import checks, forms
from tracerl.lifetime.env_state import fields

from . import drawing
from .episodic import Observation

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
_PIXELS = 16  # side of a cell in a rendered frame
_FIXED = ("channels", "action_map", "random")  # attributes of a game that are no part of its state


class MinAtar(gym.Env[Observation, np.int64]):
    """A game of MinAtar (Young and Tian 2019, arXiv 1903.03176): each channel shows one kind of object.

    This is another interface to the games of the package MinAtar. Unlike the package's env, an episode depends on the
    seed and the actions only (there, the sticky action is kept between episodes), all random numbers come from
    ``np_random``, and frames need neither seaborn nor matplotlib. This class has no time limit. The registered
    ``tracerl/MinAtar-v0`` truncates an episode after 5000 steps, because some policies never end an episode: in
    Seaquest without dives, in Breakout if the ball is always returned.
    """

    metadata: dict[str, Any] = {"render_modes": drawing.MODES, "render_fps": 10}

    def __init__(
        self,
        game: str,
        minimal_actions: bool = True,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Make the game and the spaces.

        Args:
            game: one of ``GAMES``.
            minimal_actions: only the actions with an effect in this game; else all six: none, left, up, right, down,
                fire.
            sticky_action_prob: probability per step that the previous action is repeated instead of the given one.
            difficulty_ramping: asterix, seaquest and space_invaders become faster with time.
            render_mode: ``rgb_array``, or None.

        Raises:
            ConfigError: naming the argument.
            DependencyNotInstalled: the package MinAtar is not installed.
        """
        checks.choice("game", game, GAMES)
        checks.unit_interval("sticky_action_prob", sticky_action_prob)
        checks.flag("minimal_actions", minimal_actions)
        checks.flag("difficulty_ramping", difficulty_ramping)
        self.render_mode = drawing.checked_mode(render_mode)
        try:
            module = import_module(f"minatar.environments.{game}")
        except ImportError as error:
            problem = 'MinAtar is not installed: pip install "tracerl[minatar]"'
            raise gym.error.DependencyNotInstalled(problem) from error
        self._game: Any = module.Env(ramping=difficulty_ramping)
        self._actions: list[int] = self._game.minimal_action_set() if minimal_actions else list(range(6))
        self.sticky_action_prob = sticky_action_prob
        self.observation_space = spaces.Box(0.0, 1.0, tuple(self._game.state_shape()), np.float32)
        self.action_space = spaces.Discrete(len(self._actions))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a game and return its state: float32, [10, 10, channels], 1 for an object, else 0."""
        super().reset(seed=seed)
        # The games need NumPy's old interface, here on top of the env's generator.
        self._game.random = np.random.RandomState(self.np_random.bit_generator)
        self._game.reset()
        self._last = 0  # none
        return self._show(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take the action, or repeat the previous one."""
        if self.np_random.random() >= self.sticky_action_prob:
            self._last = self._actions[action]
        reward, terminated = self._game.act(self._last)
        return self._show(), float(reward), bool(terminated), False, {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the game and the previous action; see ``tracerl.lifetime.env_state``."""
        game = {name: value for name, value in vars(self._game).items() if name not in _FIXED}
        return {"game": game, "last": getattr(self, "_last", None)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``. ``np_random`` must be restored before.

        Raises:
            ValueError: naming what does not fit.
        """
        known = {name: forms.like(value) for name, value in vars(self._game).items() if name not in _FIXED}
        last = forms.optional(forms.whole(0, 5))
        values = fields.checked(self, state, {"game": forms.of_dict(known), "last": last})
        vars(self._game).update(values["game"])
        if values["last"] is None:  # before the first reset, which creates np_random
            vars(self).pop("_last", None)
            return
        self._game.random = np.random.RandomState(self.np_random.bit_generator)
        self._last = values["last"]

    def render(self) -> Any:
        """Draw the cells with a colour per channel: uint8, [160, 160, 3]; None without a render mode."""
        if self.render_mode is None:
            return None
        state = self._game.state()
        channels = state.shape[-1]
        hues = [colorsys.hsv_to_rgb(channel / channels, 0.7, 1.0) for channel in range(channels)]
        colours = np.array([(0.0, 0.0, 0.0), *hues])
        top = (state * np.arange(1, channels + 1)).max(-1)  # [10, 10], 0 for an empty cell
        frame = (255 * colours[top]).astype(np.uint8)
        return frame.repeat(_PIXELS, 0).repeat(_PIXELS, 1)

    def _show(self) -> Observation:
        observation: Observation = self._game.state().astype(np.float32)
        return observation
