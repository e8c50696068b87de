"""Atari's frames against Gymnasium's wrappers, and their state."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, StickyAction
from tracerl.envs.atari import AtariFrames, StackedFrames

from tracerl.config.checks import ConfigError
from tracerl.lifetime import env_state

ale_py = pytest.importorskip("ale_py")
pytest.importorskip("cv2")
gym.register_envs(ale_py)


def sticky(obs_type: str) -> gym.Env[Any, Any]:
    options = {"frameskip": 1, "repeat_action_probability": 0.0, "disable_env_checker": True, "obs_type": obs_type}
    return StickyAction(gym.make("ALE/Breakout-v5", **options), 0.25)


def frames(stack_size: int = 4, **settings: Any) -> gym.Env[Any, Any]:
    return StackedFrames(AtariFrames(sticky("ram"), **settings), stack_size)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"terminal_on_life_loss": True, "noop_max": 0, "stack_size": 1},
        {"grayscale_obs": False, "frame_skip": 1, "screen_size": (40, 50), "stack_size": 3},
    ],
)
def test_steps_equal_those_of_gymnasiums_wrappers(settings: dict[str, Any]) -> None:
    others = {name: value for name, value in settings.items() if name != "stack_size"}
    theirs = FrameStackObservation(
        AtariPreprocessing(sticky("rgb"), scale_obs=True, **others), settings.get("stack_size", 4)
    )
    ours, rng, ended = frames(**settings), np.random.default_rng(0), 0
    assert ours.observation_space == theirs.observation_space
    pairs = [env.reset(seed=5) for env in (ours, theirs)]
    kept: list[tuple[Any, Any]] = []
    for _ in range(400):
        (seen, _), (expected, _) = pairs
        np.testing.assert_array_equal(seen, expected)
        kept.append((seen, expected))
        action = int(rng.integers(4))
        (seen, *outcome, info), (expected, *expected_outcome, expected_info) = (
            env.step(action) for env in (ours, theirs)
        )
        assert (outcome, info) == (expected_outcome, expected_info)
        pairs = [(seen, info), (expected, expected_info)]
        if outcome[1] or outcome[2]:
            ended += 1
            pairs = [env.reset() for env in (ours, theirs)]
    assert ended or settings.get("frame_skip") == 1
    for seen, expected in kept:  # later steps do not change an observation
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("age", [0, 3, 40])
def test_restored_env_continues_identically(age: int) -> None:
    first, second = (frames() for _ in range(2))
    first.reset(seed=1)
    for i in range(age):
        first.step(i % 4)
    env_state.restore(second, env_state.capture(first))
    for i in range(40):
        (seen, *outcome), (expected, *expected_outcome) = (env.step(i % 3) for env in (second, first))
        np.testing.assert_array_equal(seen, expected)
        assert outcome == expected_outcome


def test_state_that_does_not_fit_raises_an_error() -> None:
    env = frames()
    env.reset(seed=0)
    state = env_state.capture(env)
    state["layers"][0]["state"]["frames"] = np.zeros((3, 84, 84), np.float32)
    with pytest.raises(ValueError, match="StackedFrames.frames must be"):
        env_state.restore(env, state)


def test_stack_without_frames_raises_an_error() -> None:
    with pytest.raises(ConfigError, match="stack_size"):
        frames(stack_size=0)
