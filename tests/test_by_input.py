"""Settings that depend on what is observed."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from omegaconf import OmegaConf

import tracerl
from tests.helpers import compose
from tests.toy_envs import Space
from tracerl.nn.encoders import ContrastEncoder, RawEncoder
from tracerl.nn.layers import ConvolutionalSynapses
from tracerl.nn.networks.stages import Convolutions
from tracerl.optim import Intentional, UpdateRMS
from tracerl.runs.build import with_input
from tracerl.runs.by_input import KINDS, for_input, kind_of, kind_of_space
from tracerl.runs.resume import finished_run

VECTOR, IMAGE = (4,), (10, 10, 4)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (None, "vectors"),
        ((), "vectors"),
        ((400,), "vectors"),
        ((3, 12), "vectors"),
        ((3, 10, 4), "vectors"),
        ((2, 2, 2, 9, 9), "vectors"),
        ((5, 5), "images"),
        ((10, 10, 4), "images"),
        ((10, 2, 10), "vectors"),
        ((5, 1, 6), "vectors"),
        ((4, 35, 84), "images"),
        ((36, 200), "medium"),
        ((52, 64, 3), "medium"),
        ((2, 3, 42, 42), "medium"),
        ((53, 53), "large"),
        ((4, 84, 84), "large"),
        ((4, 84, 84, 3), "large"),
    ],
)
def test_images_have_sides_of_5_pixels_medium_ones_of_36_and_large_ones_of_53(shape: Any, kind: str) -> None:
    assert kind_of(shape) == kind


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Box(0, 1, IMAGE, np.float32), "unit"),
        (spaces.Box(0, 1, IMAGE, np.uint8), "unit"),
        (spaces.Box(0, 1, IMAGE, np.bool_), "unit"),
        (spaces.MultiBinary(IMAGE), "unit"),
        (spaces.Box(-1, 1, IMAGE, np.float32), "images"),
        (spaces.Box(0, 255, IMAGE, np.uint8), "images"),
        (spaces.Box(0, np.inf, IMAGE, np.float32), "images"),
        (spaces.Box(-np.inf, np.inf, (8, 17), np.float32), "vectors"),  # eight observations of HalfCheetah
        (spaces.Box(0, np.inf, (60, 60), np.float64), "vectors"),
        (spaces.Box(-1, 1, (8, 17), np.float32), "images"),
        (spaces.Box(0, 1, (4, 84, 84), np.float32), "large"),
        (spaces.Box(0, 1, VECTOR, np.float32), "vectors"),
        (spaces.Discrete(3), "vectors"),
    ],
)
def test_images_bounded_by_0_and_1_are_unit(space: spaces.Space[Any], kind: str) -> None:
    assert kind_of_space(space) == kind


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Box(0, 255, IMAGE, np.uint8), "images"),  # values up to 10 of 255 may be all that there are
        (spaces.Box(-1, 1, IMAGE, np.int8), "images"),
        (spaces.Box(0, 1, IMAGE, np.uint8), "unit"),
        (spaces.Box(0, 1, IMAGE, np.bool_), "unit"),
        (spaces.Box(0, 255, (84, 84, 4), np.uint8), "large"),
    ],
)
def test_images_that_a_run_scales_have_the_kind_of_the_env(space: spaces.Space[Any], kind: str) -> None:
    env = Space(4, 3)
    env.observation_space = space
    boxed = tracerl.make_env(env)
    assert (boxed.observation_space.low.min(), boxed.observation_space.high.max()) == (0, 1)
    assert kind_of_space(boxed.observation_space) == kind
    many = SyncVectorEnv([lambda: boxed] * 2)
    assert kind_of_space(many.single_observation_space) == kind_of_space(deepcopy(boxed).observation_space) == kind


def test_the_agent_of_whole_numbers_spikes_where_little_of_the_range_is_used(tmp_path: Path) -> None:
    env = Space(4, 3)
    env.observation_space = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    agent, random = tracerl.make_agent(tracerl.make_env(env)), np.random.default_rng(0)
    images = (random.integers(0, 11, (7, 7, 3)).astype(np.float32) / 255 for _ in range(21))
    agent.start(next(images))
    for image in images:
        agent.step(0.0, image)
    assert all(layer.spikes.any() for layer in agent.policy.network.layers)
    agent.save(tmp_path / "agent")
    again, image = tracerl.load_agent(tmp_path / "agent"), np.full((7, 7, 3), 0.02, np.float32)
    assert again.step(0.0, image) == agent.step(0.0, image)


@pytest.mark.parametrize(
    ("settings", "expected"),  # of vectors, images, unit, medium, large
    [
        ({"a": {"vectors": 1, "images": 2}, "b": 3}, [{"a": 1, "b": 3}, *[{"a": 2, "b": 3}] * 4]),
        ({"a": {"images": [1], "large": [2]}}, [{}, {"a": [1]}, {"a": [1]}, {"a": [2]}, {"a": [2]}]),
        ({"a": {"images": 1, "medium": 2}}, [{}, {"a": 1}, {"a": 1}, {"a": 2}, {"a": 1}]),
        ({"a": {"images": 1, "unit": 2}}, [{}, {"a": 1}, {"a": 2}, {"a": 1}, {"a": 1}]),
        ([{"a": {"vectors": {"b": None}}}], [[{"a": {"b": None}}], *[[{}]] * 4]),
        ({"a": {"vectors": 1, "c": 2}, "b": {}}, [{"a": {"vectors": 1, "c": 2}, "b": {}}] * 5),
    ],
)
def test_settings_are_those_of_the_kind_of_observation(settings: Any, expected: list[Any]) -> None:
    assert [for_input(settings, kind) for kind in KINDS] == expected


def test_the_default_agent_has_the_parts_for_its_observations() -> None:
    for shape, encoder, rule in ((VECTOR, ContrastEncoder, Intentional), (IMAGE, RawEncoder, UpdateRMS)):
        agent = tracerl.make_agent(Space(shape, 3))
        layers = agent.policy.network.layers
        assert all((layer.norm is None, layer.reset) == (False, "soft") for layer in layers)
        assert type(agent.encoder) is encoder and type(agent.settings.optimizer["policy"]) is rule
        assert isinstance(agent.policy.network.layers[0].synapses, ConvolutionalSynapses) == (shape == IMAGE)
        assert agent.is_shared == (shape == IMAGE)


@pytest.mark.parametrize(
    ("shape", "description"),
    [
        (VECTOR, None),
        ((9, 8), "16 of 3x3, dense 128 (images of 9x8)"),
        ((42, 42, 4), "32 of 8x8, 64 of 4x4, 64 of 3x3, dense 256 (images of 42x42)"),
        ((4, 84, 84), "32 of 8x8, 64 of 4x4, 64 of 3x3, dense 256 (images of 84x84)"),
    ],
)
def test_the_network_for_images_is_described(shape: Any, description: str | None) -> None:
    space = spaces.Box(-1, 1, shape, np.float32), spaces.Discrete(3)
    assert tracerl.make_agent(space).network_description == description


def test_the_agent_of_images_from_0_to_1_spikes_equally_as_nir() -> None:
    space = spaces.Box(0, 1, IMAGE, np.float32), spaces.Discrete(3)
    agent = tracerl.make_agent(space, settings={"deploy.exact": True})
    assert all((layer.norm, layer.reset) == (None, "hard") for layer in agent.policy.network.layers)
    policy = agent.settings.optimizer["policy"]
    assert (policy.lr, policy.update_decay) == (2**-12, 0.9999)


@pytest.mark.parametrize(
    ("space", "standardised"),
    [
        (spaces.Box(0, 1, IMAGE, np.float32), False),
        (spaces.Box(0, 255, IMAGE, np.uint8), True),
        (spaces.Box(0, 255, (4, 84, 84), np.uint8), True),
        (spaces.Box(-1, 1, VECTOR, np.float32), True),
    ],
)
def test_observations_are_standardised_but_for_images_from_0_to_1(space: spaces.Box, standardised: bool) -> None:
    agent = tracerl.make_agent((space, spaces.Discrete(3)))
    assert (agent.encoder.normalizer is not None) == standardised


def test_large_images_have_the_trace_and_the_bonus_of_vectors_and_small_steps() -> None:
    large, vectors = (tracerl.make_agent(Space(shape, 3)).settings for shape in ((4, 84, 84), VECTOR))
    assert (large.trace_decay, large.entropy) == (vectors.trace_decay, vectors.entropy) == (0.9, 0.1)
    assert large.optimizer["policy"].lr == 2**-13


def test_neurons_of_large_images_respond_to_what_moves_over_a_bright_background() -> None:
    assert _responding({}) > 0.6
    assert _responding({"encoder.normalize": False}) < 0.4


def _responding(settings: dict[str, Any]) -> float:
    """Return the share of the first layer's neurons that spike in some, not all of 40 steps; a square moves."""
    space = spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(3)
    agent = tracerl.make_agent(space, settings=settings)
    spikes = []
    for t in range(80):
        frames = np.full((4, 84, 84), 87, np.uint8)
        for k, frame in enumerate(frames):
            row, column = 7 * (t + k) % 76, 5 * (t + k) % 76
            frame[row : row + 8, column : column + 8] = 236
        agent.step(0.0, frames) if t else agent.start(frames)
        spikes.append(agent.policy.network.layers[0].spikes.flatten().numpy().copy())
    rates = np.mean(spikes[40:], 0)
    return float(np.mean((rates > 0) & (rates < 1)))


def test_a_value_in_place_of_the_mapping_holds_for_both() -> None:
    settings = {"network.threshold": 0.3, "network.hidden": [9]}
    for shape in (VECTOR, IMAGE):
        layer = tracerl.make_network(shape, 2, {"network": "auto", **settings}).layers[-1]
        assert layer.threshold.value.item() == pytest.approx(0.3) and layer.n_out == 9


def test_an_agent_of_vectors_has_the_settings_of_the_named_parts() -> None:
    named = {"network": "normalized", "network.bias_scale": 0.3, "encoder": "contrast", "optimizer": "intentional"}
    named |= {"agent.trace_decay": 0.9, "agent.entropy": 0.1, "agent.trunk": "separate"}
    auto, plain = (tracerl.make_agent(Space(VECTOR, 3), settings=settings) for settings in ({}, named))
    assert auto.built_from.settings == plain.built_from.settings


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"agent.entropy": {"images": 0.1}}, "agent.entropy must be set"),
        ({"agent.entropy": {"vectors": -1, "images": 0.1}}, "entropy must be .* got -1"),
        (
            {"optimizer.policy.lr": 0.1},
            r"^optimizer\.policy\.lr does not exist for .*\.Intentional, .*; optimizer=auto has it for images alone$",
        ),
        ({"network.channels": [4]}, r"^network\.channels does not exist for tracerl\.nn\.networks\.Dense, which has "),
    ],
)
def test_a_setting_that_the_parts_do_not_have_is_an_error(settings: Any, problem: str) -> None:
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.make_agent(Space(VECTOR, 3), settings=settings)


def test_a_run_is_compared_with_the_kind_that_it_had(tmp_path: Path) -> None:
    possible = [{"a": 1, "b": 2}, {"a": 3}, {"a": 4}]
    assert finished_run(tmp_path, possible, True, "resume", 9) is None  # no run
    (tmp_path / "config.yaml").write_text("a: 3\n")
    assert finished_run(tmp_path, possible, True, "resume", 9) is None
    (tmp_path / "config.yaml").write_text("a: 1\nb: 7\n")
    with pytest.raises(tracerl.ConfigError, match="^b must be 7, as in the run to resume"):
        finished_run(tmp_path, possible, True, "resume", 9)


@pytest.mark.parametrize("agent", ["reflect", "stream_ac_conv"])
def test_the_layers_of_a_kind_fit_all_its_images(agent: str) -> None:
    for kind, sides in (("images", range(5, 36)), ("medium", range(36, 53)), ("large", range(53, 100))):
        settings = with_input(compose(f"agent={agent}"), kind)
        group: Any = OmegaConf.to_container(settings.agent if agent == "stream_ac_conv" else settings.network)
        layers = Convolutions(group["channels"], group["kernel"], group["stride"])
        for side in sides:
            assert kind_of((side, side)) == kind
            assert min(layers.stages((side, side))[-1].out_shape) >= 1
