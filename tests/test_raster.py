"""A lifetime's images show its layers, its values and the ends of its episodes."""

import numpy as np

from tracerl.recording import images as P
from tracerl.recording.raster import constants_image, raster_image
from tracerl.recording.recorder import LayerRecording, Recording

STEPS, N = 40, 30


def recording(*layers: LayerRecording, **outputs: np.ndarray) -> Recording:
    names = ("probabilities", "mean", "std", "value", "td_error", "reward", "ended")
    return Recording(list(layers), **{name: outputs.get(name) for name in names})  # type: ignore[arg-type]


def layer(membrane: np.ndarray, threshold: float = 0.5) -> LayerRecording:
    spikes = np.zeros(membrane.shape)
    spikes[3, 2] = 1
    return LayerRecording("policy_0", spikes, membrane, np.full(membrane.shape, threshold), np.zeros(membrane.shape[1]))


def count(picture: P.Picture, colour: P.Colour) -> int:
    return int((picture == np.array(colour)).all(-1).sum())


def drawn(found: Recording) -> P.Picture | None:
    return raster_image(found, STEPS, 2)


def test_spikes_ends_of_episodes_and_curves_are_drawn() -> None:
    quiet = layer(np.zeros((STEPS, N)))
    alone = drawn(recording(quiet))
    assert alone is not None and count(alone, P.SPIKE) > 0
    ended = np.arange(STEPS) == 10
    value = np.sin(np.arange(STEPS))
    whole = drawn(recording(quiet, quiet, value=value, td_error=value, ended=ended))
    assert whole is not None and whole.shape[1] == 350  # width of TensorBoard's cards
    assert whole.shape[0] > alone.shape[0]
    assert count(whole, P.GREEN) > 50 > count(alone, P.GREEN)
    marks = np.flatnonzero((whole[40:60] == np.array((176, 176, 183))).all(-1).all(0))
    assert marks.tolist() == [40 + np.ceil(10 * 310 / STEPS)]


def test_spike_is_at_its_step_and_a_long_recording_is_wider() -> None:
    sheet = drawn(recording(layer(np.zeros((STEPS, N)))))
    assert sheet is not None and sheet.shape[1] == 350
    lit = np.flatnonzero((sheet[:100] == np.array(P.SPIKE)).all(-1).any(0))
    assert (lit.min(), lit.max()) == (40 + np.ceil(3 * 310 / STEPS), 40 + 4 * 310 // STEPS - 2)  # a gap of a pixel
    for steps, width in ((500, 540), (5000, 806)):
        sheet = drawn(recording(value=np.sin(np.arange(steps))))
        assert sheet is not None and sheet.shape[1] == width


def test_every_layer_has_a_panel() -> None:
    one, three, twenty = (drawn(recording(*[layer(np.zeros((STEPS, N)))] * n)) for n in (1, 3, 20))
    assert one is not None and three is not None and twenty is not None
    assert (twenty.shape[0] - three.shape[0]) / 17 == (three.shape[0] - one.shape[0]) / 2 > 60


def test_non_finite_numbers_are_omitted() -> None:
    wild = np.full((STEPS, N), np.nan)
    assert drawn(recording(layer(wild, np.nan), value=wild[:, 0])) is not None
    wild[::2], wild[1] = 0.3, np.inf
    assert drawn(recording(layer(wild))) is not None


def test_agent_without_views_has_no_image() -> None:
    assert drawn(recording()) is None
    assert constants_image({}, {}) is None
    assert constants_image({}, {"decays/x": np.array([np.nan])}) is None


def test_decays_are_bars_with_a_line_of_their_initial_distribution() -> None:
    initial, now = {"decays/policy_0_membrane": np.full(9, 0.2)}, {"decays/policy_0_membrane": np.full(9, 0.8)}
    sheet = constants_image(initial, now)
    assert sheet is not None
    width = sheet.shape[1]
    blue = np.flatnonzero((sheet[32:60] == np.array(P.BLUE)).all(-1).any(0))
    orange = np.flatnonzero((sheet[32:60] == np.array(P.ORANGE)).all(-1).any(0))
    assert 0.75 * width < blue.min() <= blue.max() < 0.9 * width
    assert 0.15 * width < orange.min() <= orange.max() < 0.3 * width
