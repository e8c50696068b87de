"""Images have the given size and show their numbers."""

import io

import numpy as np
import pytest
from PIL import Image

from tracerl.recording import images as P
from tracerl.recording.panels import Axis, curves_panel


def is_colour(picture: P.Picture, colour: P.Colour) -> np.ndarray:
    return (picture == np.array(colour)).all(-1)


def raster(spikes: np.ndarray, width: int, height: int) -> P.Picture:
    return P.lit(P.shades(np.zeros(spikes.shape), 0.0, 1.0, width, height), spikes)


@pytest.mark.parametrize("spike", [1, -1])
def test_raster_colours_the_cells_of_the_spikes(spike: int) -> None:
    spikes = np.zeros((4, 3))  # steps, neurons
    spikes[1, 2] = spike
    lit = is_colour(raster(spikes, 40, 30), P.SPIKE)
    assert lit[20:, 10:20].all() and lit.sum() == 100


@pytest.mark.parametrize(("steps", "n"), [(1000, 7), (7, 1000), (640, 480)])
def test_raster_with_fewer_pixels_shows_every_spike(steps: int, n: int) -> None:
    spikes = np.zeros((steps, n))
    spikes[steps // 3, n // 3] = 1
    picture = raster(spikes, 50, 40)
    assert picture.shape == (40, 50, 3)
    assert (picture.max((0, 1)) - np.array(P.PANEL) >= (np.array(P.SPIKE) - P.PANEL) // 3).all()


def test_pixel_of_several_neurons_is_as_bright_as_the_root_of_the_share_that_fired() -> None:
    spikes = np.zeros((1, 16))  # four neurons a pixel, of which 4, 1 and 0 fire
    spikes[0, [0, 1, 2, 3, 5]] = 1
    shades = (raster(spikes, 1, 4)[:, 0, 0].astype(float) - P.PANEL[0]) / (P.SPIKE[0] - P.PANEL[0])
    np.testing.assert_allclose(shades, [1, 0.5, 0, 0], atol=0.01)


def test_membranes_far_below_zero_differ() -> None:
    row = P.membranes(np.array([[-np.inf], [-9.0], [-1.0], [0.0], [1.0], [9.0]]), 6, 1)[0]
    assert row[0].tolist() == list(P.DRAINED) and row[4].tolist() == row[5].tolist() == list(P.CHARGED)
    red = row[:4, 0].astype(int)
    assert (np.diff(red) < 0).all() and not (row == np.array(P.BACKGROUND)).all(-1).any()


def test_shades_increase_with_the_numbers() -> None:
    picture = P.shades(np.array([[-5.0], [0.0], [1.0], [9.0]]), 0.0, 1.0, 4, 1)
    assert picture[0, 0].tolist() == picture[0, 1].tolist() == list(P.PANEL)
    assert picture[0, 2].tolist() == picture[0, 3].tolist() == list(P.BLUE)


def test_equal_numbers_are_drawn() -> None:
    assert is_colour(P.histogram(np.full(5, 3.0), 40, 40), P.BLUE).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_histogram_of_adjacent_floats_is_drawn(dtype: type) -> None:
    quarter = dtype(0.25)
    learned = np.array([quarter, np.nextafter(quarter, dtype(1)), np.inf], dtype)
    for values, before in ((learned, None), (np.full(2, quarter), learned), (learned, np.full(3, np.nan, dtype))):
        assert is_colour(P.histogram(values, 200, 60, before=before), P.BLUE).any()
    assert P.histogram(np.full(3, np.nan, dtype), 200, 60).shape == (60, 200, 3)


def test_bar_lengths_equal_their_shares() -> None:
    picture = P.bars(np.array([0.25, 0.75]), ["left", "right"], 100, 80, [P.BLUE, P.ORANGE])
    assert is_colour(picture[3], P.BLUE).sum() == pytest.approx(25, abs=2)
    assert is_colour(picture[43], P.ORANGE).sum() == pytest.approx(75, abs=2)


def test_histogram_is_highest_at_most_numbers() -> None:
    values = np.concatenate([np.full(90, 0.9), np.full(10, 0.1), [np.inf]])
    drawn = is_colour(P.histogram(values, 80, 60, 0.0, 1.0), P.BLUE).sum(0)
    assert drawn[72:76].max() > 5 * drawn[8:12].max() > 0


def test_previous_histogram_is_drawn_as_a_line() -> None:
    drawn = P.histogram(np.full(9, 0.9), 80, 60, 0.0, 1.0, before=np.full(9, 0.1))
    assert is_colour(drawn, P.BLUE).sum(0)[72:76].max() > 30
    line = is_colour(drawn, P.ORANGE).any(0)
    assert line[8:12].all() and is_colour(drawn[:30], P.ORANGE).any(0)[:6].sum() == 0


def test_joined_images_keep_every_pixel() -> None:
    one, other = np.full((10, 20, 3), 200, np.uint8), np.full((30, 8, 3), 90, np.uint8)
    below, right = P.stacked(one, other), P.beside(one, other)
    assert below.shape == (40 + P.GAP, 20, 3) and right.shape == (30, 28 + P.GAP, 3)
    for image in (below, right):
        assert is_colour(image, (200, 200, 200)).sum() == 200 and is_colour(image, (90, 90, 90)).sum() == 240
    assert P.titled(one, "a name").shape == (26, 20, 3)


def test_png_round_trips() -> None:
    picture = raster(np.eye(5), 20, 10)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(P.png(P.beside(picture))))), picture)


def test_png_of_fewer_colours_is_smaller_and_close() -> None:
    rng = np.random.default_rng(0)
    panels = [raster(rng.integers(0, 2, (90, 40)), 90, 40), P.shades(rng.random((90, 40)), 0.0, 1.0, 90, 40)]
    curve = curves_panel([rng.random(9)], Axis(90, 9), 40, (0.0, 1.0), [P.BLUE])
    picture = P.titled(P.beside(*panels, curve), "a name")
    small = P.png(picture, exact=False)
    assert len(small) < len(P.png(picture))
    with Image.open(io.BytesIO(small)) as image:
        seen = np.asarray(image.convert("RGB"))
    assert np.abs(seen.astype(int) - picture).max() < 40 and np.abs(seen.astype(int) - picture).mean() < 2
