"""Helpers that serialise, compare and restore the states of envs, and wrappers of every kind."""

import json
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from tracerl.envs.drift import Drift
from tracerl.envs.masked_observation import MaskedObservation

from tracerl.lifetime import env_state as states

Make = Callable[[], gym.Env]


def round_trip(state: states.EnvState) -> states.EnvState:
    """Serialise a state and return what is read back."""
    arrays, rest = states.split(state)
    for array in arrays.values():
        assert array.dtype.kind in "biuf" and array.flags.c_contiguous
    rest = json.loads(json.dumps(rest, allow_nan=False))
    return states.join({path: array.copy() for path, array in arrays.items()}, rest)


def identical(ours: Any, theirs: Any) -> bool:
    """Return whether two states are bit-identical and of the same types."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(identical(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(identical(x, y) for x, y in zip(ours, theirs, strict=True))
    if ours is None or type(ours) in (int, str):
        return type(ours) is type(theirs) and bool(ours == theirs)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def without_clock(state: Any) -> Any:
    """Return a state without the start time of its episode, which changes with the clock."""
    if isinstance(state, dict):
        return {key: without_clock(value) for key, value in state.items() if key != "episode_start_time"}
    return [without_clock(value) for value in state] if isinstance(state, list) else state


def resets_itself(env: gym.Env) -> bool:
    return isinstance(env, wrappers.Autoreset)


def step_through(env: gym.Env, steps: int) -> list[Any]:
    """Return the steps of an env over an end or at least one reset; its action space samples the actions."""
    seen: list[Any] = []
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        info.get("episode", {}).pop("t", None)  # seconds
        seen.append((observation, reward, terminated, truncated, info))
        if (terminated or truncated or step == steps // 2) and not resets_itself(env):
            seen.append(env.reset())
    return seen


def used_env(make: Make) -> gym.Env:
    """Return an env that has run another lifetime."""
    env = make()
    env.action_space.seed(7)
    env.reset(seed=7)
    step_through(env, 3)
    return env


def assert_restored_envs_continue(make: Make, ages: tuple[int, ...] = (0, 1, 13, 40), steps: int = 40) -> None:
    env = make()
    env.action_space.seed(0)
    env.reset(seed=0)
    for age in ages:
        for _ in range(age):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if (terminated or truncated) and not resets_itself(env):
                env.reset()
        state = round_trip(states.capture(env))
        new, old = make(), used_env(make)
        states.restore(new, state)
        states.restore(old, state)
        assert identical(without_clock(states.capture(old)), without_clock(state))
        expected = step_through(env, steps)
        assert identical(step_through(new, steps), expected), f"a new env, {age} steps on"
        assert identical(step_through(old, steps), expected), f"a used env, {age} steps on"
        new.close()
        old.close()
    env.close()


def pole(**options: Any) -> gym.Env:
    return gym.make("CartPole-v1", **options)


def swing() -> gym.Env:
    return gym.make("Pendulum-v1", max_episode_steps=17)


def pictures() -> gym.Env:
    return wrappers.AddRenderObservation(pole(render_mode="rgb_array"))


WRAPPED: dict[str, Make] = {
    "TimeLimit": lambda: wrappers.TimeLimit(pole(), 5),
    "Autoreset": lambda: wrappers.Autoreset(pole()),
    "OrderEnforcing": lambda: wrappers.OrderEnforcing(pole()),
    "PassiveEnvChecker": lambda: wrappers.PassiveEnvChecker(pole(disable_env_checker=True)),
    "RecordEpisodeStatistics": lambda: wrappers.RecordEpisodeStatistics(pole(), buffer_length=3),
    "TimeAwareObservation": lambda: wrappers.TimeAwareObservation(pole(), flatten=False),
    "FrameStackObservation": lambda: wrappers.FrameStackObservation(wrappers.TimeAwareObservation(pole(), False), 3),
    "FrameStackObservation of zeros": lambda: wrappers.FrameStackObservation(pole(), 3, padding_type="zero"),
    "DelayObservation": lambda: wrappers.DelayObservation(pole(), 3),
    "MaxAndSkipObservation": lambda: wrappers.MaxAndSkipObservation(pole(), 3),
    "NormalizeObservation": lambda: wrappers.NormalizeObservation(pole()),
    "NormalizeReward": lambda: wrappers.NormalizeReward(swing()),
    "StickyAction": lambda: wrappers.StickyAction(pole(), 0.5, (1, 3)),
    "StickyAction of a Box": lambda: wrappers.StickyAction(swing(), 0.5),
    "RescaleAction": lambda: wrappers.RescaleAction(swing(), np.float32(-1), np.float32(1)),
    "ClipAction": lambda: wrappers.ClipAction(swing()),
    "ClipReward": lambda: wrappers.ClipReward(swing(), -1, 0),
    "FilterObservation": lambda: wrappers.FilterObservation(wrappers.TimeAwareObservation(pole(), False), ["obs"]),
    "DtypeObservation": lambda: wrappers.DtypeObservation(pole(), np.float64),
    "ReshapeObservation": lambda: wrappers.ReshapeObservation(pole(), (2, 2)),
    "RescaleObservation": lambda: wrappers.RescaleObservation(swing(), np.float32(0), np.float32(1)),
    "AddRenderObservation": pictures,
    "AddWhiteNoise": lambda: wrappers.AddRenderObservation(
        wrappers.AddWhiteNoise(pole(render_mode="rgb_array"), probability_of_noise_per_pixel=0.5)
    ),
    "Drift, MaskedObservation": lambda: MaskedObservation(
        Drift(pole(), 5, {"length": (0.5, 2)}, permute_observation=True, flip_reward=True), [0]
    ),
}
