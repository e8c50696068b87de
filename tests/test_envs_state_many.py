"""Vector envs restored from a state continue identically."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from tests.states import WRAPPED, identical, pole, round_trip
from tracerl.lifetime import env_state as states


def together(mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([WRAPPED["FrameStackObservation"]] * 3, autoreset_mode=mode)


VECTORS: dict[str, Callable[[], Any]] = {
    "disabled": lambda: together(AutoresetMode.DISABLED),
    "next step": lambda: together(AutoresetMode.NEXT_STEP),
    "same step": lambda: together(AutoresetMode.SAME_STEP),
    "native": lambda: gym.make_vec("CartPole-v1", 3, "vector_entry_point", max_episode_steps=30),
    "flattened": lambda: wrappers.vector.FlattenObservation(gym.make_vec("CartPole-v1", 3, "vector_entry_point")),
}


def step_many(envs: Any, steps: int) -> list[Any]:
    seen: list[Any] = []
    for _ in range(steps):
        observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        seen.append((observations, rewards, terminated, truncated))
        which = terminated | truncated
        if envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED and which.any():
            seen.append(envs.reset(options={"reset_mask": which})[0])
    return seen


@pytest.mark.parametrize("name", VECTORS)
def test_restored_vector_envs_continue_identically(name: str) -> None:
    envs = VECTORS[name]()
    envs.action_space.seed(0)
    envs.reset(seed=0)
    assert states.unsupported_reason(envs) is None
    for age in (0, 1, 11, 30):
        step_many(envs, age)
        state = round_trip(states.capture(envs))
        new, old = VECTORS[name](), VECTORS[name]()
        old.reset(seed=5)
        step_many(old, 9)
        states.restore(new, state)
        states.restore(old, state)
        expected = step_many(envs, 40)
        assert identical(step_many(new, 40), expected) and identical(step_many(old, 40), expected)


def test_state_of_another_number_or_kind_of_vector_envs_raises_an_error() -> None:
    three, two = VECTORS["disabled"](), SyncVectorEnv([WRAPPED["FrameStackObservation"]] * 2)
    three.reset(seed=0)
    state = states.capture(three)
    with pytest.raises(ValueError, match="the state must be of 2 envs, got 3"):
        states.restore(two, state)
    with pytest.raises(ValueError, match="CartPoleVectorEnv"):
        states.restore(VECTORS["native"](), state)
    assert "no adapter for RecordEpisodeStatistics" in str(
        states.unsupported_reason(wrappers.vector.RecordEpisodeStatistics(VECTORS["native"]()))
    )
    unknown = SyncVectorEnv([lambda: wrappers.RenderCollection(pole(render_mode="rgb_array"))])
    assert "no adapter for RenderCollection" in str(states.unsupported_reason(unknown))


def test_envs_in_other_processes_raise_an_error() -> None:
    envs = AsyncVectorEnv([pole])
    try:
        assert "no adapter for AsyncVectorEnv: only SyncVectorEnv" in str(states.unsupported_reason(envs))
    finally:
        envs.close()
