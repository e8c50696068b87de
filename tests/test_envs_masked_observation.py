"""Partially masked observations."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tracerl.envs.masked_observation import MaskedObservation

from tests.helpers import bare
from tracerl.config.checks import ConfigError


def test_masked_numbers_are_absent_and_the_rest_is_unchanged() -> None:
    env, whole = MaskedObservation(bare(), [3, 1]), bare()
    assert env.observation_space.shape == (2,) and env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(env.observation_space.high, whole.observation_space.high[[0, 2]])
    np.testing.assert_array_equal(env.reset(seed=4)[0], whole.reset(seed=4)[0][[0, 2]])
    for action in (0, 1, 1):
        ours, theirs = env.step(action), whole.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0][[0, 2]])
        assert ours[1:] == theirs[1:] and env.observation_space.contains(ours[0])


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")  # it is a wrapper
def test_gymnasium_checker_passes_and_the_spec_recreates_the_env() -> None:
    env = MaskedObservation(bare("Acrobot-v1"), [1])
    check_env(env, skip_render_check=True)
    again = gym.make(env.spec)
    assert isinstance(again, MaskedObservation) and again.kept.tolist() == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ([4], "hidden must be a whole number from 0 to 3, got 4"),
        ([-1], "hidden must be a whole number from 0 to 3, got -1"),
        ([1, 1], "hidden must name each index once"),
        ([0, 1, 2, 3], "hidden must leave at least one of the 4 numbers"),
        ([], "hidden must be a list of indices"),
        (1, "hidden must be a list of indices"),
    ],
)
def test_invalid_indices_raise_an_error_naming_them(hidden: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaskedObservation(bare(), hidden)


def test_observations_that_are_no_vector_raise_an_error() -> None:
    for env in (bare("FrozenLake-v1"), gym.wrappers.ReshapeObservation(bare(), (2, 2))):
        with pytest.raises(ConfigError, match="needs observations that are a Box of one axis"):
            MaskedObservation(env, [0])
