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
def test_gymnasium_checker_passes_with_rendering(game: str) -> None:
    check_env(gym.make(NAME, game=game, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("game", GAMES)
def test_observations_and_rewards_equal_those_of_the_package(game: str) -> None:
    """The package's own interface gives the same steps with the same random numbers."""
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
            theirs.last_action = 0  # the package keeps it across episodes
    assert earned > 0 or game in ("freeway", "seaquest")


def test_action_space_is_the_minimal_set_unless_all_actions_are_requested() -> None:
    offered = {game: int(gym.make(NAME, game=game).action_space.n) for game in GAMES}
    assert offered == {"asterix": 5, "breakout": 3, "freeway": 3, "seaquest": 6, "space_invaders": 4}
    assert gym.make(NAME, game="breakout", minimal_actions=False).action_space.n == 6
    paddle = 0  # channel
    env = gym.make(NAME, game="breakout", sticky_action_prob=0.0)
    columns = [int(env.reset(seed=0)[0][9, :, paddle].argmax())]
    columns += [int(env.step(action)[0][9, :, paddle].argmax()) for action in (1, 1, 2, 0)]
    assert columns == [4, 3, 2, 3, 3]  # left, left, right, stay


def test_sticky_actions_have_the_given_probability_within_an_episode() -> None:
    env = gym.make(NAME, game="breakout", sticky_action_prob=1.0).unwrapped
    for _ in range(2):
        env.reset(seed=0)
        assert all(env.step(2)[0][9, 4, 0] == 1 for _ in range(4))  # the first action is no-op, and it repeats
        env._last = 2


def test_endless_seaquest_episode_is_truncated_after_5000_steps() -> None:
    env = gym.make(NAME, game="seaquest", sticky_action_prob=0.0)
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(5000)]
    assert ends == [(False, False)] * 4999 + [(False, True)]


def test_frames_show_every_channel_in_its_own_colour() -> None:
    env = gym.make(NAME, game="breakout", render_mode="rgb_array")
    env.reset(seed=0)
    frame: Any = env.render()
    assert frame.shape == (160, 160, 3) and frame.dtype == np.uint8
    cells = frame[::16, ::16]
    np.testing.assert_array_equal(cells.repeat(16, 0).repeat(16, 1), frame)
    nothing, paddle, ball, brick = (tuple(cells[at].tolist()) for at in ((5, 0), (9, 4), (3, 0), (2, 0)))
    assert nothing == (0, 0, 0) and len({nothing, paddle, brick}) == 3
    assert ball == brick  # the ball begins on a brick, and the channel of bricks is the last


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"game": "pong"}, "game must be one of asterix, breakout, freeway, seaquest, space_invaders; got 'pong'"),
        ({"game": "breakout", "sticky_action_prob": 2}, r"sticky_action_prob must be a number in \[0, 1\], got 2"),
        ({"game": "breakout", "minimal_actions": "all"}, "minimal_actions must be true or false, got 'all'"),
        ({"game": "breakout", "difficulty_ramping": 2}, "difficulty_ramping must be true or false, got 2"),
    ],
)
def test_invalid_arguments_raise_an_error_naming_them(kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        gym.make(NAME, **kwargs)
