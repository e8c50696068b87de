"""Gymnasium's wrappers, restored, go on as the captured ones do."""

from typing import Any

import pytest
from gymnasium import wrappers

from tests.states import WRAPPED, assert_lifetimes_go_on, lived, pole, stored
from tracerl.lifetime import env_state as states
from tracerl.lifetime.env_state.unsupported_reason import REASONS
from tracerl.lifetime.env_state.wrappers import FIELDS, STATELESS


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_wrappers_go_on_as_they_would_have(name: str) -> None:
    drawn = "Render" in name or "Noise" in name
    assert_lifetimes_go_on(WRAPPED[name], *(((0, 1, 9), 6) if drawn else ((0, *[1] * 20), 40)))


@pytest.mark.parametrize("wrap", [wrappers.NormalizeObservation, wrappers.NormalizeReward])
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_statistics_that_stand_still_do_so_after_a_restore(wrap: Any) -> None:
    env, other = wrap(pole()), wrap(pole())
    env.reset(seed=0)
    env.update_running_mean = False
    states.restore(other, stored(states.capture(env)))
    assert other.update_running_mean is False


def test_every_wrapper_of_gymnasium_is_stateless_known_or_refused_with_a_reason() -> None:
    """A new version of Gymnasium brings new ones; whoever raises the version puts them into one of the three."""
    refused = {name for package, name in REASONS if package == "gymnasium.wrappers"}
    assert not STATELESS & FIELDS.keys() and not (STATELESS | FIELDS.keys()) & refused
    assert set(wrappers.__all__) - {"vector"} <= STATELESS | FIELDS.keys() | refused


def test_every_wrapper_with_a_state_is_tried_here() -> None:
    assert {name for name in FIELDS if name != "AtariPreprocessing"} <= set(WRAPPED)


def test_statistics_and_their_clock_go_on() -> None:
    env, other = WRAPPED["RecordEpisodeStatistics"](), WRAPPED["RecordEpisodeStatistics"]()
    env.action_space.seed(0)
    env.reset(seed=0)
    lived(env, 200)
    env.episode_start_time -= 1000  # seconds
    states.restore(other, stored(states.capture(env)))
    for name in ("return_queue", "length_queue", "time_queue"):
        assert list(getattr(other, name)) == list(getattr(env, name)) and getattr(other, name).maxlen == 3
    assert other.episode_count == env.episode_count > 3
    assert abs(other.episode_start_time - env.episode_start_time) < 10
