"""The layout of a frame of a watched lifetime, and gifs that round-trip."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from tracerl.recording import actions
from tracerl.recording import images as P
from tracerl.recording.maps import first_convolution, maps
from tracerl.recording.panels import Axis, Scales, curves_panel, layer_panel, shares_panel, traces_panel
from tracerl.recording.recorder import LayerRecording, Recording
from tracerl.recording.timeline import Timeline
from tracerl.watch.composite import CompositeImage, Scene
from tracerl.watch.pace import Pace
from tracerl.watch.video import Video

STEPS, NEURONS = 20, 4
AXIS = Axis(80, STEPS)  # four pixels a step


def layer(name: str = "policy_0", threshold: float = 0.5) -> LayerRecording:
    """Return a layer in which neuron 2 spikes only at step 5 and rates rise with the neuron."""
    spikes, membrane = np.zeros((STEPS, NEURONS)), np.zeros((STEPS, NEURONS))
    spikes[5, 2] = 1
    membrane[7, 0] = np.nan_to_num(threshold, nan=9.0)
    rate = np.linspace(0.1, 0.4, NEURONS)
    return LayerRecording(name, spikes, membrane, np.full((STEPS, NEURONS), threshold), rate)


def recording(**changed: Any) -> Recording:
    shares = np.tile([0.25, 0.75], (STEPS, 1))
    ended = np.arange(STEPS) == 8
    there: dict[str, Any] = dict.fromkeys(("mean", "std"))
    there |= {"layers": [layer()], "probabilities": shares, "value": np.linspace(0, 1, STEPS)}
    there |= {"td_error": np.zeros(STEPS), "reward": np.ones(STEPS), "ended": ended}
    return Recording(**(there | changed))


def places(picture: P.Picture, colour: P.Colour) -> np.ndarray:
    """Return the rows and columns of the pixels of a colour, [n, 2]."""
    return np.argwhere((picture == np.array(colour)).all(-1))


def test_spike_is_at_its_row_and_step_with_the_most_active_neurons_at_the_top() -> None:
    order = np.argsort(-layer().rate)
    lit = places(layer_panel(layer(), order, AXIS, 40, P.SPIKE), P.SPIKE)
    assert (lit.min(0).tolist(), lit.max(0).tolist()) == ([10, 20], [19, 22])  # neuron 2 is second; a gap behind it
    full = places(layer_panel(layer(), order, AXIS, 40, P.SPIKE), P.CHARGED)
    assert (full.min(0).tolist(), full.max(0).tolist()) == ([30, 28], [39, 31])  # neuron 0, at its threshold


def test_membranes_without_a_threshold_are_scaled_by_their_own_range() -> None:
    picture = layer_panel(layer(threshold=np.nan), np.arange(NEURONS), AXIS, 40, P.SPIKE)
    assert len(places(picture, P.CHARGED)) == 10 * 4


def test_membrane_traces_have_a_mark_per_spike() -> None:
    neurons, colours = np.array([1, 2]), [P.BLUE, P.ORANGE]
    picture = traces_panel(layer(), neurons, AXIS, 40, (-1.0, 2.0), colours)
    strokes = places(picture[:10], P.ORANGE)  # above the curves, two rows of marks
    assert picture.shape == (40, 80, 3) and set(strokes[:, 1]) == {20, 21, 22}
    assert not len(places(picture[:10], P.BLUE)) and len(places(picture[10:], P.ORANGE))


def test_action_probabilities_fill_the_height() -> None:
    picture = shares_panel(np.array([[0.25, 0.75], [1.0, 0.0]]), AXIS, 40, [P.BLUE, P.ORANGE])
    assert (picture[30:, :4] == P.BLUE).all() and (picture[:30, :4] == P.ORANGE).all()
    assert (picture[:, 4:8] == P.BLUE).all() and (picture[:, 8:] == P.PANEL).all()


def test_curves_are_centred_on_their_steps_and_end_at_the_current_step() -> None:
    series = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    picture = curves_panel([series], AXIS, 60, (0.0, 1.0), [P.GREEN])
    drawn = (picture.astype(int) - np.array(P.PANEL)).clip(0)[..., 1] > 60
    peak = np.flatnonzero(drawn[:6].any(0))
    assert peak.min() >= 8 and peak.max() <= 11  # step 2: pixels 8 to 11
    assert not drawn[:50, 24:].any()


def test_curves_follow_their_numbers_and_break_at_nan() -> None:
    rising = np.linspace(0.0, 1.0, 60)
    gap = np.where(np.arange(60) == 30, np.nan, 1 - rising)
    picture = curves_panel([rising, gap], Axis(240, 60), 50, (0.0, 1.0), [P.BLUE, P.ORANGE])
    drawn = (picture == np.array(P.BLUE)).all(-1)
    tops = [np.flatnonzero(drawn[:, 4 * step : 4 * step + 4].any(1)).min() for step in (20, 40, 58)]
    assert tops[0] > tops[1] > tops[2]
    other = (picture == np.array(P.ORANGE)).all(-1)
    assert other[:, 110:118].any() and not other[:, 121:124].any() and other[:, 126:134].any()
    assert curves_panel([np.full(4, np.nan)], Axis(20, 4), 20, (0.0, 1.0), [P.BLUE]).shape == (20, 20, 3)


def test_panels_share_one_axis_and_mark_episodes() -> None:
    picture = Timeline(spaces.Discrete(2)).draw(recording(), 20, 2, (440, 400), STEPS)  # gutter 40, 20 pixels a step
    marks = places(picture, (176, 176, 183))
    assert set(marks[:, 1]) == {40 + 8 * 20, 40 + 9 * 20}  # of the agent, and of the transition before it
    runs = np.flatnonzero(np.diff(np.unique(marks[:, 0])) > 1)
    assert len(runs) + 1 == 5  # layer, membranes, probabilities, value, td error
    spikes = places(picture[:90], P.SPIKE)
    assert spikes[:, 1].min() == 40 + 5 * 20 and spikes[:, 1].max() == 40 + 6 * 20 - 2  # a gap of a pixel


@pytest.mark.parametrize(
    ("space", "changed"),
    [
        (spaces.Discrete(2), {"layers": []}),
        (spaces.Discrete(2), {"layers": [], "probabilities": None, "value": None, "td_error": None}),
        (spaces.Discrete(2), {"layers": [layer(f"policy_{i}") for i in range(12)]}),
        (spaces.Discrete(40), {"probabilities": np.full((STEPS, 40), 1 / 40)}),
        (spaces.MultiBinary(2), {}),
        (
            spaces.Box(-1, 1, (7,)),
            {"probabilities": None, "mean": np.zeros((STEPS, 7)), "std": np.ones((STEPS, 7))},
        ),
        (spaces.Box(-1, 1, (2,)), {"probabilities": None, "mean": np.zeros((STEPS, 2)), "std": np.ones((STEPS, 2))}),
        (spaces.Discrete(2), {"value": np.full(STEPS, np.nan), "layers": [layer(threshold=np.nan)]}),
    ],
)
@pytest.mark.parametrize("size", [(640, 400), (1280, 720)])
def test_composite_image_has_its_size_for_any_content(
    space: Any, changed: dict[str, Any], size: tuple[int, int]
) -> None:
    sheet = CompositeImage(size, space, "a title that is longer than all sheets are wide " * 4, "frozen", STEPS)
    shown = recording(**changed)
    scene = Scene(None, shown, 20, 2, 11, 11.0, None, space.sample())
    picture = sheet.compose(scene)
    assert picture.shape == (size[1], size[0], 3)
    middle = picture[:, size[0] // 2 : -12]
    assert (middle != np.array(P.BACKGROUND)).any()
    assert (picture[:, -10:] == np.array(P.BACKGROUND)).all()  # nothing is drawn in the margin
    assert (picture[-4:] == np.array(P.BACKGROUND)).all()


def test_composite_image_has_the_frame_the_bars_and_a_mark_at_the_action() -> None:
    frame = np.full((40, 60, 3), (10, 200, 250), np.uint8)
    sheet = CompositeImage((960, 540), spaces.Discrete(2), "a title", "frozen")
    assert sheet.span == 139
    picture = sheet.compose(Scene(frame, recording(), 20, 2, 11, 11.0, (1, 9.0, 9.0), 1))
    framed = places(picture, (10, 200, 250))
    assert np.ptp(framed, axis=0).tolist() == [40 * 5 - 1, 60 * 5 - 1]  # whole pixels, five times as large
    ended = sheet.compose(Scene(frame, None, 0, 1, 1, 1.0, (1, 1.0, 1.0), 1, "terminated"))
    assert (ended[:, 400:900] == P.BACKGROUND).mean() > 0.95
    marks = [
        places(sheet.compose(Scene(frame, recording(), 20, 2, 11, 11.0, None, a))[:, 320:346], P.INK) for a in (0, 1)
    ]
    assert marks[1][:, 0].mean() - marks[0][:, 0].mean() == pytest.approx(26)


def image_layer(shape: tuple[int, int, int]) -> LayerRecording:
    """Return a layer on an image in which only the last neuron of the first row of channel 1 spikes at the end."""
    n, spikes = int(np.prod(shape)), np.zeros((STEPS, *shape))
    spikes[-1, 1, 0, -1] = 1
    still = np.zeros((STEPS, n))
    return LayerRecording("policy_0", spikes.reshape(STEPS, n), still, still + 0.5, np.zeros(n), shape)


def test_maps_show_the_newest_spikes_at_their_places() -> None:
    picture = maps(image_layer((4, 3, 5)), 60, 40)  # two rows of two tiles, five pixels a neuron, two between tiles
    assert picture.shape == (2 * 15 + 2, 2 * 25 + 2, 3)
    lit = places(picture, P.SPIKE)
    assert (lit.min(0).tolist(), lit.max(0).tolist()) == ([0, 25 + 2 + 20], [4, 25 + 2 + 24])
    gap = places(picture, P.BACKGROUND)
    assert set(gap[gap[:, 0] == 0][:, 1]) == {25, 26}


@pytest.mark.parametrize("shape", [(16, 8, 8), (2, 40, 90), (64, 6, 6), (300, 20, 20)])
def test_maps_fit_into_their_room(shape: tuple[int, int, int]) -> None:
    picture = maps(image_layer(shape), 200, 100)
    assert 10 < picture.shape[0] <= 100 and 10 < picture.shape[1] <= 200


def test_maps_stand_beside_the_frame() -> None:
    shown = recording(layers=[layer("policy_1"), image_layer((4, 3, 5))])
    assert first_convolution(shown) is shown.layers[1] and first_convolution(recording()) is None
    frame = np.full((40, 40, 3), (10, 200, 250), np.uint8)
    sheet = CompositeImage((960, 540), spaces.Discrete(2), "a title", "frozen", with_maps=True)
    picture = sheet.compose(Scene(frame, shown, 20, 2, 11, 11.0, None, 1))
    framed, lit = places(picture, (10, 200, 250)), places(picture[:280, :450], P.SPIKE)
    assert np.ptp(framed, axis=0).tolist() == [40 * 5 - 1, 40 * 5 - 1]
    assert len(lit) and lit[:, 1].min() > framed[:, 1].max()


def test_scales_cover_the_values_and_do_not_change_at_every_frame() -> None:
    scales = Scales()
    assert scales.ends("value", np.array([0.13, 0.88])) == (0.0, 1.0)
    assert scales.ends("value", np.array([0.3, 0.99])) == (0.0, 1.0)
    assert scales.ends("value", np.array([0.3, 7.1])) == (0.0, 8.0)
    assert scales.ends("value", np.array([5.0, 5.5])) == pytest.approx((5.0, 5.6))
    assert scales.ends("other", np.full(3, 2.0))[0] <= 2.0 < scales.ends("other", np.full(3, 2.0))[1]
    low, high = scales.ends("none", np.full(3, np.nan))
    assert low < high


def test_frames_are_skipped_if_the_env_is_faster() -> None:
    pace = Pace(rate=50.0, speed=1.0, fps=25.0)
    assert [pace.due() for _ in range(6)] == [True, False, True, False, True, False]
    assert pace.fps == 25
    slow = Pace(rate=4.0, speed=0.5, fps=25.0)
    assert slow.fps == 2 and all(slow.due() for _ in range(5))
    uneven = Pace(rate=50.0, speed=1.0, fps=30.0)
    assert sum(uneven.due() for _ in range(500)) == 300


@pytest.mark.parametrize(
    ("space", "action", "n", "names", "marked"),
    [
        (spaces.Discrete(3, start=-1), 0, 3, ["-1", "0", "1"], [1]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), 5, ["0: 0", "0: 1", "1: 0", "1: 1", "1: 2"], [1, 2]),
        (spaces.MultiDiscrete([2, 1], start=[4, -1]), np.array([5, -1]), 3, ["0: 4", "0: 5", "1: -1"], [1, 2]),
        (spaces.MultiBinary(3), np.array([1, 0, 1]), 3, ["0", "1", "2"], [0, 2]),
        (spaces.Box(-2, 2, (2,)), np.array([1.0, -2.0]), 2, ["0", "1"], []),
    ],
)
def test_actions_have_names_and_marks(space: Any, action: Any, n: int, names: list[str], marked: list[int]) -> None:
    assert (actions.labels(space, n), list(actions.marks(space, action, n))) == (names, marked)


def test_continuous_actions_are_shown_in_the_units_of_the_policy() -> None:
    space = spaces.Box(np.array([0.0, -np.inf], np.float32), np.array([10.0, np.inf], np.float32))
    found = actions.in_units_of_the_policy(space, np.array([7.5, 3.0]))
    assert found is not None and found.tolist() == [0.5, 3.0]
    assert actions.in_units_of_the_policy(spaces.Discrete(2), 1) is None


def test_gif_round_trips_every_pixel_and_the_durations(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (6, 3)).astype(np.uint8)
    pictures = [colours[rng.integers(0, 6, (30, 50))]]
    for i in range(6):
        newer = pictures[-1].copy()
        newer[5 + i, 7:20] = colours[i]
        pictures.append(newer)
    pictures += [pictures[-1], np.full((30, 50, 3), (1, 250, 3), np.uint8)]  # an equal frame; a new colour
    gif = Video(tmp_path / "a.gif", (50, 30), 30.0)
    for picture in pictures:
        gif.add(picture)
    gif.close()
    with Image.open(tmp_path / "a.gif") as found:
        assert (found.n_frames, found.info["loop"]) == (len(pictures), 0)  # type: ignore[attr-defined]
        time = 0
        for i, picture in enumerate(pictures):
            found.seek(i)
            time += found.info["duration"]
            np.testing.assert_array_equal(np.asarray(found.convert("RGB")), picture)
    assert time == 300  # milliseconds
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_gif_keeps_colours_of_later_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few = rng.integers(0, 256, (200, 3)).astype(np.uint8)
    noise = few[rng.integers(0, 200, (64, 64))]
    later = noise.copy()
    later[10:14, 10:14] = P.ORANGE
    gif = Video(tmp_path / "a.gif", (64, 64), 25.0)
    for picture in (noise, later):
        gif.add(picture)
    gif.close()
    with Image.open(tmp_path / "a.gif") as found:
        found.seek(1)
        assert (np.asarray(found.convert("RGB"))[10:14, 10:14] == P.ORANGE).all()
