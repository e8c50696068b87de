"""An env state that cannot be captured or does not fit raises an error naming it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

from tests.states import WRAPPED, pole
from tests.test_envs_contract import spec_of
from tracerl.lifetime import env_state as states


def test_classes_without_a_known_state_raise_an_error_naming_them() -> None:
    class Unknown(gym.Wrapper):
        pass

    class MyLimit(wrappers.TimeLimit):
        pass

    assert states.unsupported_reason(pole()) is None
    assert "no adapter for Unknown: it has no state_dict" in str(
        states.unsupported_reason(MyLimit(Unknown(pole()), 3).env)
    )
    assert "no adapter for MyLimit" in str(states.unsupported_reason(MyLimit(Unknown(pole()), 3)))
    recorded = wrappers.RenderCollection(pole(render_mode="rgb_array"))
    assert "no adapter for RenderCollection: it keeps every picture" in str(states.unsupported_reason(recorded))


def cart_pole_state() -> tuple[gym.Env, states.EnvState]:
    env = pole(disable_env_checker=True)
    env.reset(seed=0)
    return env, states.capture(env)


def test_state_of_another_wrapper_stack_raises_an_error_naming_both() -> None:
    env, state = cart_pole_state()
    there, here = "TimeLimit<OrderEnforcing<CartPoleEnv>>", "TimeLimit<OrderEnforcing<PendulumEnv>>"
    with pytest.raises(ValueError, match=f"the state is of {there}, the env is {here}"):
        states.restore(gym.make("Pendulum-v1", disable_env_checker=True), state)
    with pytest.raises(ValueError, match=f"the state is of {there}, the env is OrderEnforcing<CartPoleEnv>"):
        states.restore(env.env, state)


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        (2, {"state": np.zeros(3)}, "CartPoleEnv.state must be"),
        (2, {"state": np.zeros(4, np.int64)}, "CartPoleEnv.state must be"),
        (2, {"length": "long"}, "CartPoleEnv.length must be a number, got 'long'"),
        (2, {"length": np.zeros(2)}, r"CartPoleEnv.length must be a number, got an array of float64, \[2\]"),
        (2, {"__class__": 1.0}, "CartPoleEnv has no __class__ in its state"),
        (2, {"step": 1.0}, "CartPoleEnv has no step in its state"),
        (2, {"render_mode": "human"}, "CartPoleEnv has no render_mode in its state"),
        (1, {"_has_reset": 1}, "OrderEnforcing._has_reset must be true or false, got 1"),
        (0, {"_elapsed_steps": -1}, "TimeLimit._elapsed_steps must be a whole number of 0 or above, got -1"),
        (0, {"_elapsed_steps": 1.5}, "TimeLimit._elapsed_steps must be a whole number"),
    ],
)
def test_values_that_do_not_fit_raise_an_error_naming_them(layer: int, changes: dict[str, Any], message: str) -> None:
    env, state = cart_pole_state()
    state["layers"][layer]["state"].update(changes)
    with pytest.raises(ValueError, match=message):
        states.restore(env, state)


@pytest.mark.parametrize("key", ["format", "layers", "generator", "seed"])
def test_missing_or_invalid_parts_raise_an_error_naming_them(key: str) -> None:
    env, state = cart_pole_state()
    with pytest.raises(ValueError, match=key):
        states.restore(env, {**state, key: "odd"})
    del state[key]
    with pytest.raises(ValueError, match=f"must be a dict of .*{key}"):
        states.restore(env, state)


def test_missing_attribute_raises_an_error_naming_it() -> None:
    env, state = cart_pole_state()
    del state["layers"][-1]["state"]["state"]
    with pytest.raises(ValueError, match="the state of CartPoleEnv must have state"):
        states.restore(env, state)


def test_states_of_project_envs_that_do_not_fit_raise_an_error_naming_it() -> None:
    spec = spec_of("MemoryChain")
    env = spec.make()
    env.reset(seed=0)
    state = states.capture(env)
    state["layers"][-1]["state"]["cue"] = 2
    with pytest.raises(ValueError, match="MemoryChain.cue must be a whole number from 0 to 1, got 2"):
        states.restore(env, state)
    drifting = WRAPPED["Drift, MaskedObservation"]()
    drifting.reset(seed=0)
    state = states.capture(drifting)
    state["layers"][1]["state"]["order"] = np.array([0, 0, 1, 2])
    with pytest.raises(ValueError, match="Drift.order must have each of 0 to 3 once"):
        states.restore(drifting, state)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("RepeatFirst", {"card": 4}, "RepeatFirstEasy.card must be a whole number from 0 to 3, got 4"),
        ("RepeatPrevious", {"deck.deck_len": 53}, "deck.deck_len must be a whole number from 0 to 52, got 53"),
        ("RepeatPrevious", {"deck.hands": {"player": [52]}}, "deck.hands.player.0 must be a whole number from 0 to 51"),
        ("CountRecall", {"query": None}, "CountRecallEasy.query must be a whole number from 0 to 1, got None"),
        ("Autoencode", {"mode": 2}, "AutoencodeEasy.mode must be a whole number from 0 to 1, got 2"),
    ],
)
def test_states_of_popgym_that_do_not_fit_raise_an_error(name: str, changes: dict[str, Any], message: str) -> None:
    pytest.importorskip("popgym")
    env = spec_of(name).make()
    env.reset(seed=0)
    state = states.capture(env)
    state["layers"][-1]["state"].update(changes)
    with pytest.raises(ValueError, match=message):
        states.restore(env, state)


def test_state_of_another_atari_game_raises_an_error() -> None:
    ale_py = pytest.importorskip("ale_py")
    gym.register_envs(ale_py)
    options = {"frameskip": 1, "repeat_action_probability": 0.0, "disable_env_checker": True}
    breakout, pong = gym.make("ALE/Breakout-v5", **options), gym.make("ALE/Pong-v5", **options)
    breakout.reset(seed=0)
    state = states.capture(breakout)
    with pytest.raises(ValueError, match=r"AtariEnv.emulator must be a state of this game \(pong\)"):
        states.restore(pong, state)
    state["layers"][-1]["state"]["emulator"] = np.zeros(100, np.uint8)
    with pytest.raises(ValueError, match="AtariEnv.emulator must be a state of this game"):
        states.restore(breakout, state)
