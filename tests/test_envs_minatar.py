"""The games of MinAtar as Gymnasium envs."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tracerl.envs.minatar import GAMES  # registers them

pytest.importorskip("minatar")

NAME = "tracerl/MinAtar-v0"


@pytest.mark.parametrize("game", GAMES)
def test_gymnasiums_own_checker_passes_rendering_and_all(game: str) -> None:
    check_env(gym.make(NAME, game=game, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("game", GAMES)
def test_an_env_shows_and_pays_what_the_package_does(game: str) -> None:
    """The package's own face to a game, with the same numbers drawn, agrees; but for what sticks from lifetime to
    lifetime."""
    import minatar

    env, theirs = gym.make(NAME, game=game, minimal_actions=False), minatar.Environment(game)
    theirs.random = theirs.env.random = np.random.RandomState(gym.utils.seeding.np_random(3)[0].bit_generator)
    observation, _ = env.reset(seed=3)
    theirs.reset()
    earned = 0.0
    for action in np.random.default_rng(0).integers(6, size=500):
        np.testing.assert_array_equal(observation, theirs.state())
        observation, reward, terminated, *_ = env.step(action)
        assert (reward, terminated) == theirs.act(action)
        earned += float(reward)
        if terminated:
            observation, _ = env.reset()
            theirs.reset()
            theirs.last_action = 0
    assert earned > 0 or game in ("freeway", "seaquest")


def test_only_actions_that_do_something_are_offered_unless_all_are_asked_for() -> None:
    offered = {game: int(gym.make(NAME, game=game).action_space.n) for game in GAMES}
    assert offered == {"asterix": 5, "breakout": 3, "freeway": 3, "seaquest": 6, "space_invaders": 4}
    assert gym.make(NAME, game="breakout", minimal_actions=False).action_space.n == 6
    paddle = 0  # channel
    env = gym.make(NAME, game="breakout", sticky_action_prob=0.0)
    columns = [int(env.reset(seed=0)[0][9, :, paddle].argmax())]
    columns += [int(env.step(action)[0][9, :, paddle].argmax()) for action in (1, 1, 2, 0)]
    assert columns == [4, 3, 2, 3, 3]  # left, left, right, stay


def test_an_action_sticks_as_often_as_it_is_said_to_but_not_into_the_next_episode() -> None:
    env = gym.make(NAME, game="breakout", sticky_action_prob=1.0).unwrapped
    for _ in range(2):
        env.reset(seed=0)
        assert all(env.step(2)[0][9, 4, 0] == 1 for _ in range(4))  # nothing was done yet, and that sticks
        env._last = 2


def test_a_submarine_that_never_dives_is_cut_off_after_5000_steps() -> None:
    env = gym.make(NAME, game="seaquest", sticky_action_prob=0.0)
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(5000)]
    assert ends == [(False, False)] * 4999 + [(False, True)]


def test_frames_show_every_channel_in_a_colour_of_its_own() -> None:
    env = gym.make(NAME, game="breakout", render_mode="rgb_array")
    env.reset(seed=0)
    frame: Any = env.render()
    assert frame.shape == (160, 160, 3) and frame.dtype == np.uint8
    cells = frame[::16, ::16]
    np.testing.assert_array_equal(cells.repeat(16, 0).repeat(16, 1), frame)
    nothing, paddle, ball, brick = (tuple(cells[at].tolist()) for at in ((5, 0), (9, 4), (3, 0), (2, 0)))
    assert nothing == (0, 0, 0) and len({nothing, paddle, brick}) == 3
    assert ball == brick  # where the ball begins there is a brick, and the channel of bricks is the last


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"game": "pong"}, "game must be one of asterix, breakout, freeway, seaquest, space_invaders; got 'pong'"),
        ({"game": "breakout", "sticky_action_prob": 2}, r"sticky_action_prob must be a number in \[0, 1\], got 2"),
        ({"game": "breakout", "minimal_actions": "all"}, "minimal_actions must be true or false, got 'all'"),
        ({"game": "breakout", "difficulty_ramping": 2}, "difficulty_ramping must be true or false, got 2"),
    ],
)
def test_bad_arguments_are_named(kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        gym.make(NAME, **kwargs)
