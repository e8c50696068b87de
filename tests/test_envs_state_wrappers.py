"""Restored wrappers of Gymnasium continue identically."""

from typing import Any

import pytest
from gymnasium import wrappers

from tests.states import WRAPPED, assert_restored_envs_continue, pole, round_trip, step_through
from tracerl.lifetime import env_state as states
from tracerl.lifetime.env_state.stack import REASONS
from tracerl.lifetime.env_state.wrappers import FIELDS, STATELESS


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_restored_wrappers_continue_identically(name: str) -> None:
    drawn = "Render" in name or "Noise" in name
    assert_restored_envs_continue(WRAPPED[name], *(((0, 1, 9), 6) if drawn else ((0, *[1] * 20), 40)))


@pytest.mark.parametrize("wrap", [wrappers.NormalizeObservation, wrappers.NormalizeReward])
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_frozen_statistics_are_frozen_after_a_restore(wrap: Any) -> None:
    env, other = wrap(pole()), wrap(pole())
    env.reset(seed=0)
    env.update_running_mean = False
    states.restore(other, round_trip(states.capture(env)))
    assert other.update_running_mean is False


def test_every_gymnasium_wrapper_is_stateless_supported_or_unsupported_with_a_reason() -> None:
    """New wrappers of a later Gymnasium must be added to one of the three lists."""
    unsupported = {name for package, name in REASONS if package == "gymnasium.wrappers"}
    assert not STATELESS & FIELDS.keys() and not (STATELESS | FIELDS.keys()) & unsupported
    assert set(wrappers.__all__) - {"vector"} <= STATELESS | FIELDS.keys() | unsupported


def test_every_wrapper_with_a_state_is_in_these_tests() -> None:
    assert {name for name in FIELDS if name != "AtariPreprocessing"} <= set(WRAPPED)


def test_restored_statistics_and_their_clock_continue() -> None:
    env, other = WRAPPED["RecordEpisodeStatistics"](), WRAPPED["RecordEpisodeStatistics"]()
    env.action_space.seed(0)
    env.reset(seed=0)
    step_through(env, 200)
    env.episode_start_time -= 1000  # seconds
    states.restore(other, round_trip(states.capture(env)))
    for name in ("return_queue", "length_queue", "time_queue"):
        assert list(getattr(other, name)) == list(getattr(env, name)) and getattr(other, name).maxlen == 3
    assert other.episode_count == env.episode_count > 3
    assert abs(other.episode_start_time - env.episode_start_time) < 10
