"""Figures of the inside of a lifetime: from arrays, recordings and, on the command line, a checkpoint."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.error import DependencyNotInstalled

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import command, exit_code
from tracerl.config.checks import ConfigError
from tracerl.plot import __main__ as command_line
from tracerl.plot.distributions import draw_distributions
from tracerl.plot.filters import draw_filters, filters_of
from tracerl.plot.frames import draw_frames
from tracerl.plot.lines import draw_traces
from tracerl.plot.living import live_on
from tracerl.plot.memory import distributions_of
from tracerl.plot.raster import draw_raster, representative_neurons, return_so_far
from tracerl.plot.style import style
from tracerl.recording.recorder import LayerRecording, Recording
from tracerl.recording.timeline import Timeline
from tracerl.runs.saved_run import load

RUN = ["lifetimes=2", "steps=120", "network.hidden=[8,6]", "logger=none", "hydra.run.dir=run"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        assert command(["engine=torch", *RUN], patch, place) == 0
    return place / "run"


def recording(steps: int = 20, n: int = 5) -> Recording:
    spikes = (np.arange(steps)[:, None] % (np.arange(n) + 1) == 0).astype(float)
    layer = LayerRecording("policy_0", spikes, spikes - 0.5, np.full((steps, n), 0.25), spikes.mean(0))
    ended = np.arange(steps) == 7
    values = np.linspace(-1, 1, steps)
    return Recording([layer], None, None, None, values, values, np.ones(steps), ended)


def test_raster_has_a_line_for_every_spike_and_a_row_for_every_neuron() -> None:
    found = recording()
    figure = draw_raster(found, first=100, neurons=2)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "policy_0\nneurons",
        "membranes",
        "return\nso far",
        "td error",
    ]
    marks = figure.axes[0].collections[0].get_segments()
    assert len(marks) == found.layers[0].spikes.sum()
    steps = np.array([mark[0, 0] for mark in marks])
    rows = np.array([mark[:, 1].mean() for mark in marks]).round()
    assert (steps.min(), steps.max()) == (101, 120)
    counts = np.bincount(rows.astype(int), minlength=5)
    assert counts.tolist() == sorted(found.layers[0].spikes.sum(0), reverse=True)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > 4 > 0 > top  # the busiest neuron, of row 0, is at the top
    for axes, at in zip(figure.axes, (107.5, 107.5, 108.5, 108.5), strict=True):  # the end of an episode
        assert at in [line.get_xdata()[0] for line in axes.get_lines()]
    with pytest.raises(ConfigError, match="without spiking neurons"):
        draw_raster(Recording([], None, None, None, None, None, None, None))


def test_rows_are_sorted_by_firing_rate_as_when_watching_and_show_negative_spikes() -> None:
    found = recording().layers[0]
    rising = LayerRecording(found.name, -found.spikes, found.membrane, found.threshold, np.linspace(0.1, 0.5, 5))
    figure = draw_raster(Recording([rising], None, None, None, None, None, None, None))
    rows = np.array([mark[:, 1].mean() for mark in figure.axes[0].collections[0].get_segments()]).round()
    assert np.bincount(rows.astype(int)).tolist() == found.spikes.sum(0)[::-1].tolist()
    assert figure.axes[0].get_title(loc="right").startswith(f"{found.spikes.mean():.2f} spikes")
    assert Timeline(None)._order(rising).tolist() == rising.busiest_first().tolist() == [4, 3, 2, 1, 0]


def test_return_is_zero_after_the_end_of_an_episode() -> None:
    ended = np.array([False, True, False, False])
    assert return_so_far(np.array([1.0, 2.0, 3.0, 4.0]), ended).tolist() == [1, 3, 3, 7]


def test_membranes_shown_are_of_neurons_that_spike_sometimes() -> None:
    rates = np.array([1.0, 0.95, 0.6, 0.4, 0.2, 0.1, 0.0, 0.0])
    assert representative_neurons(rates, 3).tolist() == [2, 3, 5]
    assert len(representative_neurons(np.zeros(2), 4)) == 2


def test_each_trace_has_a_panel_with_its_most_variable_lines() -> None:
    moving = np.outer(np.arange(10.0), np.arange(8.0))
    figure = draw_traces({"one": np.arange(10.0), "many": moving}, first=50, names={"one": ["x"]})
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 5]
    assert [line.get_ydata()[-1] for line in figure.axes[1].get_lines()] == [27, 36, 45, 54, 63]
    assert figure.axes[0].get_lines()[0].get_xdata()[0] == 51
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "many\n5 of 8"]


def test_end_of_an_episode_is_a_step_later_in_panels_of_outcomes() -> None:
    traces = dict.fromkeys(("value", "td error", "membranes"), np.arange(10.0))
    figure = draw_traces(traces, first=50, ended=np.arange(10) == 4, outcomes=["td error"])
    assert [axes.get_lines()[-1].get_xdata()[0] for axes in figure.axes] == [54.5, 55.5, 54.5]


def test_distributions_have_a_row_per_layer_and_report_constant_values() -> None:
    numbers = np.linspace(0, 1, 50)
    layers = {"a": {"weights": np.append(numbers, np.nan), "threshold": np.full(4, 0.25)}, "b": {"rate": numbers}}
    figure = draw_distributions(layers)
    assert len(figure.axes) == 6
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 50
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["all 0.25"]
    with pytest.raises(ConfigError, match="has no weights"):
        draw_distributions({"a": {}})


@pytest.mark.parametrize("width", [3.5, 7.2])
@pytest.mark.parametrize("scale", [1e-4, 0.7, 300.0])
def test_labels_of_distributions_do_not_overlap(width: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    names = ("weights", "biases", "eligibility trace", "membrane decay m", "readout decay k", "threshold", "rate")
    layers = {
        layer: {name: scale * (rng.normal(size=200) if i % 2 else np.full(9, 0.0527)) for i, name in enumerate(names)}
        for layer in ("policy_0", "policy_readout", "value_0", "value_readout")
    }
    figure = draw_distributions(layers, width=width)
    with style():
        figure.canvas.draw()
    labels = [axes.get_xticklabels() for axes in figure.axes] + [[axes.title for axes in figure.axes]]
    boxes = [text.get_window_extent() for texts in labels for text in texts if text.get_text() and text.get_visible()]
    assert len(boxes) == 4 * (3 * 2 + 4) + (7 if width > 5 else 4)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_distributions_of_adjacent_floats_are_drawn() -> None:
    close = np.array([0.25, np.nextafter(np.float32(0.25), np.float32(1))], np.float32)
    figure = draw_distributions({"a": {"threshold": close}})
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 2


def test_frames_are_shown_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3)).astype(np.uint8)
    figure = draw_frames({f"step {i}": image for i in range(7)})
    np.testing.assert_array_equal(figure.axes[6].images[0].get_array(), image)
    assert [axes.axison for axes in figure.axes] == [True] * 7 + [False] * 3


def test_checkpoint_gives_the_distributions_of_each_layer(folder: Path) -> None:
    saved = load(folder)
    agent, found = saved.agent(1), distributions_of(saved.memory(1))
    assert set(found) >= {"policy_0", "policy_1", "policy_readout", "value_0", "value_1", "value_readout"}
    layer, readout = agent.policy.network.layers[1], agent.policy.network.readout
    np.testing.assert_array_equal(found["policy_1"]["weights"], layer.synapses.affine[:-1].ravel().numpy())
    np.testing.assert_array_equal(found["policy_1"]["biases"], layer.synapses.bias.numpy())
    np.testing.assert_array_equal(found["policy_1"]["membrane decay m"], layer.membrane_decay.value.numpy())
    np.testing.assert_array_equal(found["policy_readout"]["biases"], readout.bias.numpy())
    np.testing.assert_array_equal(found["policy_readout"]["readout decay k"], readout.decay.value.numpy())
    assert found["value_0"]["threshold"].tolist() == [np.float32(0.01)] and found["value_0"]["rate"].shape == (8,)
    whole = saved.memory(1)["policy.eligibility_trace"].numpy()
    parts = [found[name]["eligibility trace"] for name in ("policy_0", "policy_1", "policy_readout")]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert [len(part) for part in parts] == [13 * 8, 9 * 6, 2 * 7] and whole.any()


def test_lifetime_continues_from_its_checkpoint_without_changing_the_run(folder: Path) -> None:
    saved = load(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    continued = live_on(saved, 40, lifetime=1, frames=3)
    assert (continued.first, len(continued.recording)) == (120, 40)
    assert [layer.name for layer in continued.recording.layers] == ["policy_0", "policy_1"]  # the critic has no spikes
    assert {name: trace.shape for name, trace in continued.traces.items()} == {"policy": (40, 172), "value": (40, 165)}
    assert continued.traces["policy"][-1].any() and list(continued.frames) == [121, 140, 160]
    assert all(frame.shape == (400, 600, 3) for frame in continued.frames.values())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    again = live_on(saved, 40, lifetime=1)
    np.testing.assert_array_equal(continued.recording.layers[0].spikes, again.recording.layers[0].spikes)
    with pytest.raises(ConfigError, match="--steps must be a whole number from 1 to 100000"):
        live_on(saved, 10**12)
    with pytest.raises(ConfigError, match="lifetime must be a whole number from 0 to 1"):
        live_on(saved, 1, lifetime=2)


@pytest.mark.parametrize("what", ["raster", "traces", "distributions", "frame", "running"])
def test_command_line_draws_every_kind_of_figure(
    folder: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.png"
    options = ["--what", what, "-o", str(path), "--steps", "8", "--lifetime", "1", "--frames", "2", "--title", "t"]
    options += ["--neurons", str(10**30)]  # all of them
    monkeypatch.setattr(sys, "argv", ["plot", str(folder / "summary.json"), *options])
    threads = torch.get_num_threads()
    command_line.main()
    torch.set_num_threads(threads)
    assert path.read_bytes().startswith(b"\x89PNG")


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("what", "method", "error", "code", "message"),
    [
        ("raster", "step", KeyError("pole"), 1, "the env failed in step 1: KeyError: 'pole'"),
        ("traces", "reset", RuntimeError("no simulator"), 1, "the env failed in reset after 0 steps: RuntimeError: no"),
        ("frame", "render", OSError("no display"), 1, "the env failed in render after 1 steps: OSError: no display"),
        ("frame", "render", DependencyNotInstalled("pygame"), 2, "RUN has an env that needs packages to draw its fra"),
    ],
)
def test_failed_env_is_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: str,
    method: str,
    error: Exception,
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr(CartPoleEnv, method, failing(error))
    path = tmp_path / "p.png"
    arguments = (folder, "--what", what, "-o", path, "--steps", "2", "--lifetime", "1")
    assert exit_code(command_line.main, monkeypatch, *arguments) == code
    out, shown = capsys.readouterr()
    assert shown.startswith(f"error: {message}") and len(shown.splitlines()) == 1 and not out and not path.exists()


def test_number_that_is_not_finite_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = CartPoleEnv.step
    monkeypatch.setattr(CartPoleEnv, "step", lambda self, action: (step(self, action)[0], np.nan, False, False, {}))
    arguments = (folder, "--what", "raster", "-o", tmp_path / "p.png", "--lifetime", "1")
    assert exit_code(command_line.main, monkeypatch, *arguments) == 1
    assert capsys.readouterr().err == "error: the env returned the reward nan in step 1: rewards must be finite\n"


@pytest.mark.parametrize("agent", ["stream_ac", "rstdp", "reflect_classic"])
def test_every_agent_has_figures_of_weights_and_traces(agent: str) -> None:
    import tracerl

    made = tracerl.make_agent(tracerl.make_env("CartPole"), agent)
    found = distributions_of(made.capture())
    quantities = {quantity for layer in found.values() for quantity in layer}
    assert "weights" in quantities
    assert agent == "reflect_classic" or "eligibility trace" in quantities
    assert agent != "stream_ac" or [len(found[f"policy_{i}"]["biases"]) for i in range(2)] == [128, 128]


def test_filters_are_drawn_before_and_after_learning(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["network=conv", "network.channels=[3]", "network.hidden=[32]", "steps=60", "logger=none"]
    assert command(["engine=torch", "env=Image-v0", *small, "hydra.run.dir=conv"], monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "conv")
    before, after = filters_of(saved.new_agent()), filters_of(saved.agent())
    assert before.shape == after.shape == (3, 2, 3, 3)
    assert 0 < np.abs(before - after).max() < 1
    figure = draw_filters({"one": before, "two": after})
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(image[4:7, 8:11], before[2, 1])  # input channel 1 is below, channel 2 at the right
    monkeypatch.setattr(sys, "argv", ["plot", str(tmp_path / "conv"), "--what", "filters", "-o", "filters.png"])
    command_line.main()
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="must have an agent with a convolution"):
        filters_of(load(folder).agent())
