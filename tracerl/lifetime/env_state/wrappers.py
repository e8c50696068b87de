"""Gymnasium's own wrappers. Settings of a wrapper, such as the time limit, are not part of its state."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tracerl.config import forms
from tracerl.config.forms import Check, flag, optional, real, whole

from .adapter import Adapter
from .fields import Fields

# Their results depend on the newest observation, action or reward only, and those of the third line also on the env's
# generator. A function given to a wrapper (such as TransformObservation) is assumed to have no state either.
STATELESS = {
    *("DtypeObservation", "DiscretizeObservation", "FilterObservation", "FlattenObservation", "GrayscaleObservation"),
    *("TransformObservation", "ResizeObservation", "ReshapeObservation", "RescaleObservation", "AddRenderObservation"),
    *("AddWhiteNoise", "ObstructView"),
    *("ClipAction", "DiscretizeAction", "TransformAction", "RescaleAction", "RepeatAction"),
    *("ClipReward", "TransformReward", "HumanRendering"),
    *("ArrayConversion", "JaxToNumpy", "JaxToTorch", "NumpyToTorch"),
}

_CLOCK = "episode_start_time"  # -1 before the first episode


def _statistics(env: Any) -> Fields:
    return {
        "episode_count": whole(0),
        _CLOCK: real,
        "episode_returns": real,
        "episode_lengths": whole(0),
        "time_queue": forms.several(real, most=env.time_queue.maxlen),
        "return_queue": forms.several(real, most=env.return_queue.maxlen),
        "length_queue": forms.several(whole(0), most=env.length_queue.maxlen),
    }


def _queue(env: Any, n: int | None = None, most: int | None = None) -> Check:
    """Return the check of a queue of observations of the env inside a wrapper."""
    return forms.several(forms.of_space(env.env.observation_space), n, most)


def _atari(env: Any) -> Fields:
    frame = forms.array(np.shape(env.obs_buffer[0]), "u")
    return {"obs_buffer": forms.several(frame, n=2), "lives": whole(0), "game_over": flag}


def _running(name: str, shape: tuple[int, ...]) -> Fields:
    """Return the fields of a ``RunningMeanStd`` and of the flag that stops it."""
    numbers = forms.array(shape, "f")
    return {f"{name}.mean": numbers, f"{name}.var": numbers, f"{name}.count": real, "_update_running_mean": flag}


def _sticky(env: Any) -> Fields:
    return {
        "last_action": optional(forms.of_space(env.action_space)),
        "is_sticky_actions": flag,
        "num_repeats": whole(0),
        "repeats_taken": whole(0),
    }


FIELDS: dict[str, Callable[[Any], Fields]] = {
    "TimeLimit": lambda env: {"_elapsed_steps": optional(whole(0))},
    "Autoreset": lambda env: {"autoreset": flag},
    "OrderEnforcing": lambda env: {"_has_reset": flag},
    "PassiveEnvChecker": lambda env: {"checked_reset": flag, "checked_step": flag, "checked_render": flag},
    "RecordEpisodeStatistics": _statistics,
    "TimeAwareObservation": lambda env: {"timesteps": whole(0)},
    # Left out: padding_value, which is a setting or is set by every reset.
    "FrameStackObservation": lambda env: {"obs_queue": _queue(env, n=env.stack_size)},
    "DelayObservation": lambda env: {"observation_queue": _queue(env, most=env.delay)},
    "MaxAndSkipObservation": lambda env: {"_obs_buffer": forms.like(env._obs_buffer)},
    "NormalizeObservation": lambda env: _running("obs_rms", env.observation_space.shape),
    "NormalizeReward": lambda env: {**_running("return_rms", ()), "discounted_reward": forms.array((1,), "f")},
    "AtariPreprocessing": _atari,
    "StickyAction": _sticky,
}


class StatefulWrappers(Adapter):
    """Wrappers with attributes that change from step to step."""

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the attributes; the start of an episode as the seconds since then, because clocks differ."""
        state = super().capture(env)
        if state.get(_CLOCK, -1) != -1:
            state[_CLOCK] = time.perf_counter() - state[_CLOCK]
        return state

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the attributes."""
        super().restore(env, state)
        if state.get(_CLOCK, -1) != -1:
            env.episode_start_time = time.perf_counter() - state[_CLOCK]
        if hasattr(env, "checked_data_reuse"):
            # PassiveEnvChecker compares the results of two calls, and the first one is not part of the state.
            env.checked_data_reuse, env._previous_data = True, ((), {})


WRAPPERS = (
    Adapter("gymnasium.wrappers", dict.fromkeys(STATELESS, lambda _: {})),
    StatefulWrappers("gymnasium.wrappers", FIELDS),
)
