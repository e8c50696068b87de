"""Frames of the project's envs."""

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers the envs
from tracerl.envs import drawing

from tracerl.config.checks import ConfigError

ENVS = ("ContextualBandit", "DelayedBandit", "PoissonClicks", "MemoryChain", "Digits")
JUDGED = (drawing.RIGHT, drawing.WRONG)


@pytest.mark.parametrize("env_id", ENVS)
def test_frames_of_an_episode_have_one_shape_and_show_the_result(env_id: str) -> None:
    env = gym.make(f"tracerl/{env_id}-v0", render_mode="rgb_array")
    env.reset(seed=0)
    pictures, over = [env.render()], False
    while not over:
        over = env.step(0)[2]
        pictures.append(env.render())
    assert {(picture.shape, picture.dtype) for picture in pictures} == {(pictures[0].shape, np.dtype(np.uint8))}
    paid = [(pictures[-1] == colour).all(-1).any() for colour in JUDGED]
    assert sorted(paid) == [False, True]  # the action that counted is green or red
    assert not any((picture == colour).all(-1).any() for picture in pictures[:-1] for colour in JUDGED)


@pytest.mark.parametrize("env_id", ENVS)
def test_no_render_mode_draws_nothing_and_an_unknown_one_raises_an_error(env_id: str) -> None:
    env = gym.make(f"tracerl/{env_id}-v0").unwrapped
    env.reset(seed=0)
    assert env.render() is None
    with pytest.raises(ConfigError, match="^render_mode must be one of rgb_array; got 'human'"):
        type(env)(render_mode="human")


def test_squares_have_the_brightness_of_their_numbers() -> None:
    picture = drawing.tiles(drawing.shades(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])), side=10)
    pitch = 10 + drawing.MARGIN
    assert picture.shape == (3 * pitch + drawing.MARGIN, 2 * pitch + drawing.MARGIN, 3)
    middles = picture[pitch // 2 + 2 :: pitch, pitch // 2 + 2 :: pitch]
    assert [[tuple(colour) == drawing.ON for colour in row] for row in middles] == [[0, 1], [1, 0], [0, 0]]
    assert (picture[: drawing.MARGIN] == drawing.BACKGROUND).all()


def test_enlarged_image_keeps_its_pixels_and_a_bar_its_share() -> None:
    image = drawing.enlarged(np.array([[0.0, 1.0]]), 5)[drawing.MARGIN :, drawing.MARGIN : -drawing.MARGIN]
    assert image.shape == (5, 10, 3) and not image[:, :5].any() and (image[:, 5:] == 255).all()
    lit = (drawing.bar(0.25, 40 + 2 * drawing.MARGIN)[0] == drawing.ON).all(-1)
    assert np.flatnonzero(lit).tolist() == list(range(drawing.MARGIN, drawing.MARGIN + 10))


def test_stacked_images_are_left_aligned() -> None:
    wide, narrow = np.full((2, 6, 3), 200, np.uint8), np.full((3, 4, 3), 100, np.uint8)
    picture = drawing.stacked(wide, narrow)
    assert picture.shape == (5, 6, 3)
    assert (picture[2:, :4] == 100).all() and (picture[2:, 4:] == drawing.BACKGROUND).all()
