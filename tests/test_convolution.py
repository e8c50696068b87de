"""Convolution and pooling: against torch's own, against autograd through time, and as a network that learns."""

import copy
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

import tests.worlds  # noqa: F401  registers Image
from tests.helpers import lived_together, make_agent
from tests.oracles import SETTINGS, currents, initial_state, parameters_of, pooled, tick
from tests.test_credit import NEURONS, G, assert_exact, compare, cosine
from tests.test_gradients import LEARN_ALL, relative_error, stream
from tracerl.checks import ConfigError
from tracerl.layers import LIF, ConvolutionalSynapses, LayerSettings, Pooling
from tracerl.lives import Lives
from tracerl.network import Convolutional, Network

SHAPE = (6, 5, 2)  # height, width, channels
CONVOLUTION: dict[str, Any] = dict(
    hidden=[], channels=[3], kernel=3, stride=1, padding=0, pool=1, pool_kind="average", channels_last=None
)


def settings(**changes: Any) -> Convolutional:
    return Convolutional(**{**SETTINGS, "detach_reset": False, **CONVOLUTION, **changes})


def build(seed: int | list[int], shape: tuple[int, ...] = SHAPE, **changes: Any) -> Network:
    return settings(**changes).build(shape, 2, Lives(seed, torch.float64))


def images(network: Network, seed: int, steps: int) -> Tensor:
    return stream(seed, steps, network.wiring.n_in)


SEEDS: list[Any] = [(0, torch.float64), (3, torch.float32), ([0, 1], torch.float64)]


@pytest.mark.parametrize("geometry", [dict(), dict(stride=2, padding=1), dict(channels_last=True)], ids=str)
@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_synapses_convolve_and_carry_vectors_both_ways(seeds: Any, geometry: dict[str, Any]) -> None:
    """Currents are conv2d's, ``push`` is linear in the input as they are, and ``pull`` is its transpose."""
    lives = Lives(*seeds)
    synapses = ConvolutionalSynapses((2, 5, 6), 3, 3, lives, **geometry)
    x, y = lives.normal(1.0, synapses.n_in), lives.normal(1.0, synapses.n_out)
    found = synapses.forward(x)
    assert found.shape == (*lives.shape, synapses.n_out) and found.dtype == lives.dtype
    for i in [(0,), (1,)] if lives.shape else [()]:
        torch.testing.assert_close(found[i], currents(synapses.weight[i], synapses.bias[i], x[i], synapses))
    pushed, pulled = synapses.push(x.unsqueeze(-2)).squeeze(-2), synapses.pull(y.unsqueeze(-2)).squeeze(-2)
    torch.testing.assert_close(pushed, found - synapses.forward(torch.zeros_like(x)))
    torch.testing.assert_close((pushed * y).sum(-1), (pulled * x).sum(-1))
    assert synapses.drive().shape == (*lives.shape, synapses.rows, synapses.n_out)


def test_a_convolution_by_hand() -> None:
    """Weights 1, 10, 100, 1000 over the image 1 2 3 / 4 5 6, bias .5; a score of 1 at the first position only."""
    lives = Lives(0, torch.float64)
    synapses = ConvolutionalSynapses((1, 2, 3), 1, 2, lives)
    synapses.affine.copy_(torch.tensor([[1.0], [10.0], [100.0], [1000.0], [0.5]]))
    x = torch.arange(1.0, 7.0, dtype=torch.float64)
    assert synapses.out_shape == (1, 1, 2)
    assert synapses.forward(x).tolist() == [5421.5, 6532.5]
    assert synapses.drive().tolist() == [[1.0, 2.0], [2.0, 3.0], [4.0, 5.0], [5.0, 6.0], [1.0, 1.0]]
    synapses.affine.grad = torch.zeros_like(synapses.affine)
    synapses.write_score(synapses.drive() * torch.tensor([1.0, 0.5]))
    assert synapses.affine.grad.squeeze(-1).tolist() == [2.0, 3.5, 6.5, 8.0, 1.5]
    pulled = synapses.pull(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert pulled.tolist() == [[1.0, 12.0, 20.0, 100.0, 1200.0, 2000.0]]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("kind", ["average", "max"])
def test_pooling_is_torchs_and_its_derivative_goes_both_ways(seeds: Any, kind: Any) -> None:
    lives = Lives(*seeds)
    pooling = Pooling((2, 5, 6), 2, kind, lives)
    assert pooling.out_shape == (2, 2, 3)
    spikes, y = (lives.uniform(0, 1, pooling.n_in) > 0.6).to(lives.dtype), lives.normal(1.0, pooling.n_out)
    found = pooling(spikes).reshape(-1, pooling.n_out)
    pulled = pooling.pull(y.unsqueeze(-2)).reshape(-1, pooling.n_in)
    for i, life in enumerate(spikes.reshape(-1, pooling.n_in)):
        one = life.clone().requires_grad_()
        expected = pooled(one, pooling)
        torch.testing.assert_close(found[i], expected.detach())
        (gradient,) = torch.autograd.grad(y.reshape(-1, pooling.n_out)[i] @ expected, one)
        torch.testing.assert_close(pulled[i], gradient)
    x = lives.normal(1.0, pooling.n_in)
    pushed = pooling.push(x.unsqueeze(-2)).squeeze(-2)
    pulled = pooling.pull(y.unsqueeze(-2)).squeeze(-2)
    torch.testing.assert_close((pushed * y).sum(-1), (pulled * x).sum(-1))


def test_the_maximum_of_spikes_is_whether_any_fired_and_the_first_that_did_answers_for_it() -> None:
    pooling = Pooling((1, 2, 4), 2, "max", Lives(0))
    spikes = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])  # rows 0100 and 1100
    assert pooling(spikes).tolist() == [1.0, 0.0]
    assert pooling.pull(torch.tensor([[2.0, 3.0]])).tolist() == [[0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("pool_kind", ["average", "max"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_a_network_does_what_its_equations_say(neuron: str, pool_kind: str) -> None:
    shape = dict(channels=[3, 4], kernel=[3, 2], padding=[1, 0], pool=[2, 1], hidden=[5], ticks=2)
    network = build(0, neuron=neuron, pool_kind=pool_kind, layer_norm=True, **shape)
    p, state = parameters_of(network), initial_state(network)
    fired = 0.0
    for x in images(network, 0, 20):
        for _ in range(2):
            state, expected = tick(p, state, x, network)
        torch.testing.assert_close(network(x), expected)
        fired += float(network.layers[1].spikes.sum())
    assert fired > 10


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("geometry", [dict(), dict(stride=2, padding=1, ticks=2)], ids=str)
@pytest.mark.parametrize("readout_decay", [0.5, [0.1, 0.7]])
def test_a_convolution_under_the_readout_equals_bptt(neuron: str, geometry: dict[str, Any], readout_decay: Any) -> None:
    network = build(0, neuron=neuron, readout_decay=readout_decay, **geometry, **LEARN_ALL)
    assert_exact(network, images(network, 0, 60))


@pytest.mark.parametrize("pool_kind", ["average", "max"])
def test_through_pooling_it_equals_bptt_where_the_readout_has_one_decay(pool_kind: str) -> None:
    learn = dict(learn_membrane_decay=True, learn_threshold=True)
    network = build(1, pool=2, pool_kind=pool_kind, readout_decay=0.5, **learn)
    assert_exact(network, images(network, 1, 100))


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


@pytest.mark.parametrize("credit", ["otpe", "presynaptic"])
@pytest.mark.parametrize("pool_kind", ["average", "max"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_without_memory_every_credit_is_exact(credit: str, pool_kind: str, layer_norm: bool) -> None:
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
def test_where_credit_is_not_exact_it_points_the_right_way(bound: float, changes: dict[str, Any]) -> None:
    cosines = []
    for seed in range(6):
        network = build(seed, **changes)
        ours, truth = compare(network, images(network, seed, 60))
        cosines.append(cosine(ours, truth, "W0", "b0"))
        assert relative_error(ours["V"], truth["V"]) <= 1e-10
    assert bound <= sum(cosines) / len(cosines) < 0.9999, cosines


@pytest.mark.parametrize("credit", ["otpe", "presynaptic", "exact"])
def test_lives_are_kept_apart_and_reset_clears_what_an_episode_left(credit: str) -> None:
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


def test_channels_may_come_first_or_last_or_not_at_all() -> None:
    two = dict(channels=[2, 3], kernel=2)
    last, first = build(0, (4, 5, 3), **two), build(0, (3, 4, 5), **two)
    flat, plain = build(0, (4, 5), **two), build(0, (4, 5, 1), **two)
    for x in torch.randn(20, 4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        torch.testing.assert_close(last(x.flatten()), first(x.permute(2, 0, 1).flatten()))
        assert torch.equal(flat(x[..., 0].flatten()), plain(x[..., 0].flatten()))
    assert last.layers[1].rate.sum() > 0


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
def test_channels_are_the_shorter_of_the_outer_axes_unless_settings_say_which(
    shape: tuple[int, ...], channels_last: bool | None, expected: tuple[int, ...]
) -> None:
    synapses = build(0, shape, channels_last=channels_last).layers[0].synapses
    assert synapses.in_shape == expected
    assert synapses.channels_last == (expected[0] == shape[2] and expected[1:] == shape[:2])


def test_initial_weights_follow_their_scales() -> None:
    synapses = ConvolutionalSynapses((8, 6, 6), 200, 5, Lives(0), weight_scale=0.5, sparsity=0.25)
    assert ((synapses.weight == 0).sum(-1) == 50).all()
    assert synapses.weight[synapses.weight != 0].std().item() == pytest.approx(0.5 / 200**0.5, rel=0.02)
    assert synapses.bias.abs().max().item() == pytest.approx(1.0, rel=0.02)


def test_moving_and_copying_a_network_keep_what_it_does() -> None:
    network = build(0, pool=2, pool_kind="max")
    clone = copy.deepcopy(network)
    x = images(network, 0, 1)[0]
    network.to(torch.float32)
    torch.testing.assert_close(network(x.float()), clone(x).float())
    assert network.flat.dtype == torch.float32


def test_presynaptic_credit_keeps_one_trace_of_the_size_that_the_docstring_names() -> None:
    layer = LIF(ConvolutionalSynapses((4, 10, 10), 16, 3, Lives(0)), Lives(0), LayerSettings())
    layer.track(Lives(0))
    assert layer.sensitivity is not None and layer.sensitivity.numel() == 37_888
    assert layer.synapses.affine.numel() == 592


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
def test_bad_settings_name_their_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        settings(**{key: value})


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((4,), {}, r"^network.channels needs observations of two or three dimensions, got shape \(4,\)$"),
        ((2, 8, 1), {}, "^network.kernel must fit the image, got 3 for one of 2 x 8$"),
        ((4, 8, 1), dict(pool=3), "^network.pool must fit the image, got 3 for one of 2 x 6$"),
        ((6, 6), dict(channels=[2, 2], kernel=[4, 4]), "^network.kernel must fit the image, got 4 for one of 3 x 3$"),
    ],
)
def test_observations_that_do_not_fit_name_the_key(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(0, shape, **changes)


def test_the_agent_says_what_it_needs_and_that_it_cannot_be_fused() -> None:
    with pytest.raises(ConfigError, match="^network.channels needs observations of two or three dimensions"):
        make_agent(gym.make("CartPole-v1"), "network=conv")
    agent = make_agent(gym.make("Image-v0"), "network=conv", "engine=auto")
    assert (agent.engine, agent.engine_reason) == ("torch", "it has no kernel for convolution")


def test_many_lives_learn_to_look_at_an_image() -> None:
    torch.set_num_threads(1)
    overrides = ("network=conv", "network.channels=[4]", "network.pool=2")
    _, records = lived_together("Image-v0", 1000, *overrides, seeds=[0, 1, 2, 3])
    assert all(record.mean_return() > 0.7 for record in records), [record.mean_return() for record in records]
