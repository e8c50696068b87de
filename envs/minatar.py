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

Observation = np.ndarray[Any, np.dtype[np.float32]]

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
_PIXELS = 16  # side of a cell in a rendered frame
_FIXED = ("channels", "action_map", "random")  # of a game's attributes, those that are no part of its state


class MinAtar(gym.Env[Observation, np.int64]):
    """A game of MinAtar (Young and Tian 2019, arXiv 1903.03176): each channel says where one kind of object is.

    The games are those of the package MinAtar; this is another interface to them. Unlike that package's own, an episode
    depends on nothing but the seed and the actions (there, the action that sticks outlives the episode), all random
    numbers come from ``np_random``, and frames need neither seaborn nor matplotlib. No time limit is in it; the
    registered ``tracerl/MinAtar-v0`` cuts an episode off after 5000 steps: in Seaquest an episode
    never ends where the submarine never dives, in Breakout where the ball is always returned.
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
            minimal_actions: only the actions that do something in this game; else all six: none, left, up, right, down,
                fire.
            sticky_action_prob: probability per step that the last action is taken again instead of the one given.
            difficulty_ramping: asterix, seaquest and space_invaders get faster as they go on.
            render_mode: ``rgb_array``, or None.

        Raises:
            ConfigError: naming the argument.
            DependencyNotInstalled: the package MinAtar is not there.
        """
        checks.choice("game", game, GAMES)
        checks.unit_interval("sticky_action_prob", sticky_action_prob)
        for name, switch in (("minimal_actions", minimal_actions), ("difficulty_ramping", difficulty_ramping)):
            checks.flag(name, switch)
        self.render_mode = drawing.checked_mode(render_mode)
        try:
            module = import_module(f"minatar.environments.{game}")
        except ImportError as error:
            raise gym.error.DependencyNotInstalled(
                'MinAtar is not installed: pip install "tracerl[minatar]"'
            ) from error
        self._game: Any = module.Env(ramping=difficulty_ramping)
        self._actions: list[int] = self._game.minimal_action_set() if minimal_actions else list(range(6))
        self.sticky_action_prob = sticky_action_prob
        self.observation_space = spaces.Box(0.0, 1.0, tuple(self._game.state_shape()), np.float32)
        self.action_space = spaces.Discrete(len(self._actions))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a game and show it: float32, [10, 10, channels], 1 where an object is, else 0."""
        super().reset(seed=seed)
        # The games ask for NumPy's old interface; this one draws from the env's own generator.
        self._game.random = np.random.RandomState(self.np_random.bit_generator)
        self._game.reset()
        self._last = 0  # none
        return self._show(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take the action, or the last one again."""
        if self.np_random.random() >= self.sticky_action_prob:
            self._last = self._actions[action]
        reward, terminated = self._game.act(self._last)
        return self._show(), float(reward), bool(terminated), False, {}

    def state_dict(self) -> dict[str, Any]:
        """Return what the game keeps, and the action that may be taken again; see ``tracerl.lifetime.env_state``."""
        game = {name: value for name, value in vars(self._game).items() if name not in _FIXED}
        return {"game": game, "last": getattr(self, "_last", None)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned; the game draws from ``np_random``, which is there by then.

        Raises:
            ValueError: naming what does not fit.
        """
        known = {name: forms.like(value) for name, value in vars(self._game).items() if name not in _FIXED}
        last = forms.optional(forms.whole(0, 5))
        values = fields.checked(self, state, {"game": forms.of_dict(known), "last": last})
        vars(self._game).update(values["game"])
        if values["last"] is None:  # there has been no reset, and np_random is made by the first
            vars(self).pop("_last", None)
            return
        self._game.random = np.random.RandomState(self.np_random.bit_generator)
        self._last = values["last"]

    def render(self) -> Any:
        """Draw the cells, each channel in a colour of its own, the last on top: uint8, [160, 160, 3], or None."""
        if self.render_mode is None:
            return None
        state = self._game.state()
        channels = state.shape[-1]
        hues = [colorsys.hsv_to_rgb(channel / channels, 0.7, 1.0) for channel in range(channels)]
        colours = np.array([(0.0, 0.0, 0.0), *hues])
        top = (state * np.arange(1, channels + 1)).max(-1)  # [10, 10], 0 where nothing is
        frame = (255 * colours[top]).astype(np.uint8)
        return frame.repeat(_PIXELS, 0).repeat(_PIXELS, 1)

    def _show(self) -> Observation:
        observation: Observation = self._game.state().astype(np.float32)
        return observation
