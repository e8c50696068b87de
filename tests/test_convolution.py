"""Networks of convolutions and pooling: against autograd through time, and learning."""

import copy
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

import tests.toy_envs  # noqa: F401  registers Image
from tests.helpers import make_agent, run_many_lifetimes
from tests.oracles import SETTINGS, initial_state, parameters_of, tick
from tests.test_credit import NEURONS, G, assert_exact, compare, cosine
from tests.test_gradients import LEARN_ALL, relative_error, run, stream
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Convolutional, Network

SHAPE = (6, 5, 2)  # height, width, channels
CONVOLUTION: dict[str, Any] = dict(
    hidden=[], channels=[3], kernel=3, stride=1, padding=0, pool=1, pool_kind="average", channels_last=None
)


def settings(**changes: Any) -> Convolutional:
    return Convolutional(**{**SETTINGS, "detach_reset": False, **CONVOLUTION, **changes})


def build(seed: int | list[int], shape: tuple[int, ...] = SHAPE, **changes: Any) -> Network:
    return settings(**changes).build(shape, 2, Lifetimes(seed, torch.float64))


def images(network: Network, seed: int, steps: int) -> Tensor:
    return stream(seed, steps, network.wiring.n_in)


@pytest.mark.parametrize("pool_kind", ["average", "max"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_network_equals_its_equations(neuron: str, pool_kind: str) -> None:
    shape = dict(channels=[3, 4], kernel=[3, 2], padding=[1, 0], pool=[2, 1], hidden=[5], ticks=2)
    network = build(0, neuron=neuron, pool_kind=pool_kind, layer_norm=True, **shape)
    p, state = parameters_of(network), initial_state(network)
    fired = 0.0
    for x in images(network, 0, 20):
        for _ in range(2):
            state, expected = tick(p, state, x, network)
        torch.testing.assert_close(network(x), expected)
        fired += float(network.layers[1].spikes.abs().sum())
    assert fired > 10


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("geometry", [dict(), dict(stride=2, padding=1, ticks=2)], ids=str)
@pytest.mark.parametrize("readout_decay", [0.5, [0.1, 0.7]])
def test_convolution_below_the_readout_equals_bptt(neuron: str, geometry: dict[str, Any], readout_decay: Any) -> None:
    network = build(0, neuron=neuron, readout_decay=readout_decay, **geometry, **LEARN_ALL)
    assert_exact(network, images(network, 0, 30))


@pytest.mark.parametrize("pool_kind", ["average", "max"])
def test_convolution_below_pooling_equals_bptt_with_one_readout_decay(pool_kind: str) -> None:
    learn = dict(learn_membrane_decay=True, learn_threshold=True)
    network = build(1, pool=2, pool_kind=pool_kind, readout_decay=0.5, **learn)
    assert_exact(network, images(network, 1, 50))


@pytest.mark.parametrize("name", ["learn_membrane_decay", "learn_threshold"])
def test_auto_credit_of_convolutions_has_no_trace_for_decays_and_thresholds(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be false where credit is auto, which is presynaptic"):
        build(0, credit="auto", **{name: True})


@pytest.mark.parametrize("pool_kind", ["average", "max"])
@pytest.mark.parametrize(
    "changes", [dict(layer_norm=True), dict(neuron="alif", recurrent=True), dict(neuron="synaptic")], ids=str
)
def test_exact_credit_equals_bptt_through_convolutions_pooling_and_dense_layers(
    pool_kind: str, changes: dict[str, Any]
) -> None:
    shape = dict(channels=[2, 2], kernel=2, pool=[2, 1], padding=[1, 0], hidden=[4], threshold=0.1)
    network = build(3, (5, 5, 1), credit="exact", pool_kind=pool_kind, **shape, **changes, **LEARN_ALL)
    assert_exact(network, images(network, 3, 30))


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("pool_kind", ["average", "max"])
def test_mixed_credit_of_the_dense_layer_below_the_readout_equals_bptt(neuron: str, pool_kind: str) -> None:
    shape = dict(channels=[3, 2], kernel=[3, 2], pool=[1, 2], pool_kind=pool_kind, hidden=[6], ticks=2)
    network = build(0, neuron=neuron, credit="mixed", weight_scale=2.0, learn_readout_decay=True, **shape)
    ours, truth = compare(network, images(network, 0, 30))
    for name in ("W3", "b3", "V", "c", "k"):
        assert relative_error(ours[name], truth[name]) <= 1e-10, name


@pytest.mark.parametrize("layer_norm", [False, True])
def test_mixed_credit_is_presynaptic_for_convolutions_and_otpe_for_dense_layers(layer_norm: bool) -> None:
    shape = dict(channels=[3, 2], kernel=[3, 2], pool=[1, 2], hidden=[6, 5], layer_norm=layer_norm)
    found = {}
    for credit in ("mixed", "presynaptic", "otpe"):
        network = build(0, credit=credit, **shape)
        found[credit] = run(network, images(network, 0, 30), G)
    for name in ("W0", "b0", "W1", "b1"):
        torch.testing.assert_close(found["mixed"][name], found["presynaptic"][name], rtol=1e-12, atol=0)
    for name in ("W3", "b3", "W4", "b4", "V", "c"):
        torch.testing.assert_close(found["mixed"][name], found["otpe"][name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("credit", ["otpe", "presynaptic", "mixed"])
@pytest.mark.parametrize("pool_kind", ["average", "max"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_credit_is_exact_without_state(credit: str, pool_kind: str, layer_norm: bool) -> None:
    shape = dict(pool=2, pool_kind=pool_kind, padding=1, hidden=[6], membrane_decay=0.0, readout_decay=0.0)
    network = build(1, credit=credit, layer_norm=layer_norm, **shape)
    assert_exact(network, images(network, 1, 30))


@pytest.mark.parametrize(
    ("bound", "changes"),
    [
        (0.94, dict(pool=2)),
        (0.95, dict(pool=2, pool_kind="max")),
        (0.91, dict(layer_norm=True)),
        (0.94, dict(hidden=[16])),
        (0.92, dict(channels=[3, 3], kernel=[3, 2])),
        (0.90, dict(credit="presynaptic")),
    ],
    ids=str,
)
def test_approximate_credit_has_a_positive_cosine_with_the_gradient(bound: float, changes: dict[str, Any]) -> None:
    cosines = []
    for seed in range(3):
        network = build(seed, **changes)
        ours, truth = compare(network, images(network, seed, 60))
        cosines.append(cosine(ours, truth, "W0", "b0"))
        assert relative_error(ours["V"], truth["V"]) <= 1e-10
    assert bound <= sum(cosines) / len(cosines) < 0.9999, cosines


@pytest.mark.parametrize("credit", ["otpe", "presynaptic", "mixed", "exact"])
def test_lifetimes_are_independent_and_reset_clears_the_episode_state(credit: str) -> None:
    shape = dict(
        channels=[2, 2], kernel=2, pool=[2, 1], padding=1, pool_kind="max", hidden=[3], credit=credit, neuron="alif"
    )
    together = build([3, 4], (4, 4, 1), **shape)
    inputs = torch.stack([images(together, seed, 20) for seed in (3, 4)], 1)
    scores = []
    for _ in range(2):
        together.reset_state()
        for x in inputs:
            together(x)
        together.backward(torch.stack([G, -G]))
        scores.append(together.score.clone())
    assert torch.equal(*scores)
    for i, seed in enumerate([3, 4]):
        alone = build(seed, (4, 4, 1), **shape)
        for x in inputs[:, i]:
            alone(x)
        alone.backward(G if i == 0 else -G)
        torch.testing.assert_close(together.score[i], alone.score, rtol=1e-12, atol=1e-15)


def test_channels_may_be_first_last_or_absent() -> None:
    two = dict(channels=[2, 3], kernel=2)
    last, first = build(0, (4, 5, 3), **two), build(0, (3, 4, 5), **two)
    flat, plain = build(0, (4, 5), **two), build(0, (4, 5, 1), **two)
    for x in torch.randn(20, 4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        torch.testing.assert_close(last(x.flatten()), first(x.permute(2, 0, 1).flatten()))
        assert torch.equal(flat(x[..., 0].flatten()), plain(x[..., 0].flatten()))
    assert last.layers[1].rate.sum() > 0


@pytest.mark.parametrize("image", [(4, 5, 2), (2, 4, 5), (4, 5)], ids=str)
def test_encoders_with_several_features_per_pixel_add_channels(image: tuple[int, ...]) -> None:
    coded = build(0, (3, *image))
    channels_first = build(0, (6 if len(image) == 3 else 3, 4, 5), channels_last=False)
    codes = torch.randn(3, *image, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = codes.movedim(-1, 1) if image[-1] == 2 else codes
    torch.testing.assert_close(coded(codes.flatten()), channels_first(moved.flatten()))
    assert coded.layers[0].synapses.in_shape == channels_first.layers[0].synapses.in_shape


@pytest.mark.parametrize(
    ("shape", "channels_last", "expected"),
    [
        ((10, 10, 4), None, (4, 10, 10)),
        ((4, 84, 84), None, (4, 84, 84)),
        ((8, 6, 8), None, (8, 8, 6)),
        ((5, 9, 6), None, (5, 9, 6)),
        ((5, 9, 6), True, (6, 5, 9)),
        ((6, 9, 5), False, (6, 9, 5)),
    ],
)
def test_channels_are_the_shorter_outer_axis_unless_the_settings_name_one(
    shape: tuple[int, ...], channels_last: bool | None, expected: tuple[int, ...]
) -> None:
    synapses = build(0, shape, channels_last=channels_last).layers[0].synapses
    assert synapses.in_shape == expected
    assert synapses.channels_last == (expected[0] == shape[2] and expected[1:] == shape[:2])


def test_moved_and_copied_networks_compute_the_same() -> None:
    network = build(0, pool=2, pool_kind="max")
    clone = copy.deepcopy(network)
    x = images(network, 0, 1)[0]
    network.to(torch.float32)
    torch.testing.assert_close(network(x.float()), clone(x).float())
    assert network.flat.dtype == torch.float32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", 16),
        ("channels", []),
        ("channels", [0]),
        ("kernel", 0),
        ("kernel", [3, 3]),
        ("stride", 1.5),
        ("padding", -1),
        ("pool", 0),
        ("pool_kind", "sum"),
        ("channels_last", "yes"),
        ("hidden", [0]),
        ("recurrent", True),
        ("threshold", 0.0),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        settings(**{key: value})


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((4,), {}, r"^network.channels needs observations of two to four dimensions, got shape \(4,\)$"),
        ((2, 8, 1), {}, "^network.kernel must fit the image, got 3 for one of 2 x 8$"),
        ((4, 8, 1), dict(pool=3), "^network.pool must fit the image, got 3 for one of 2 x 6$"),
        ((6, 6), dict(channels=[2, 2], kernel=[4, 4]), "^network.kernel must fit the image, got 4 for one of 3 x 3$"),
    ],
)
def test_observations_of_another_shape_raise_an_error_naming_the_key(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(0, shape, **changes)


def test_convolutions_need_images_and_have_no_kernel_with_otpe() -> None:
    with pytest.raises(ConfigError, match="^network.channels needs observations of two to four dimensions"):
        make_agent(gym.make("CartPole-v1"), "network=conv")
    assert make_agent(gym.make("Image-v0"), "network=conv", "engine=auto").engine == "fused"
    agent = make_agent(gym.make("Image-v0"), "network=conv", "network.credit=otpe", "engine=auto")
    assert agent.engine_reason == "it has no kernel for credit=otpe of convolutional layers"


def test_many_lifetimes_learn_from_images() -> None:
    _, records = run_many_lifetimes("Image-v0", 500, "network.channels=[4]", "network.pool=2", seeds=[0, 1, 2, 3])
    assert all(record.mean_return() > 0.7 for record in records), [record.mean_return() for record in records]
