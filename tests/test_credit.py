"""Neurons, recurrence, normalisation and the three kinds of credit against autograd through time, in float64."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.oracles import Parameters, bptt, initial_state, parameters_of, scores_of, tick
from tests.test_gradients import LEARN_ALL, build, relative_error, run, stream
from tracerl.config.checks import ConfigError
from tracerl.nn.credit import OTPE, Presynaptic
from tracerl.nn.layers import ALIF, DenseSynapses, LayerSettings, SynapticLIF
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Network

G = torch.tensor([0.7, -1.3], dtype=torch.float64)
NEURONS = ("lif", "alif", "synaptic", "ternary", "graded")
NO_MEMORY: dict[str, Any] = dict(membrane_decay=0.0, readout_decay=0.0)


def compare(network: Network, inputs: Tensor, stop: bool = False) -> tuple[Parameters, Parameters]:
    """Return the library's gradients and autograd's; those of a shared quantity are summed over its neurons."""
    ours, oracle = run(network, inputs, G), bptt(network, inputs, G, stop)
    truth = {name: oracle[name].sum().reshape(1) if ours[name].numel() == 1 else oracle[name] for name in ours}
    for name in ours:
        assert truth[name].norm() > 1e-12, name
    return ours, truth


def assert_exact(network: Network, inputs: Tensor, stop: bool = False) -> None:
    ours, truth = compare(network, inputs, stop)
    for name in ours:
        assert relative_error(ours[name], truth[name]) <= 1e-10, name


def cosine(ours: Parameters, truth: Parameters, *names: str) -> float:
    mine, theirs = (torch.cat([found[name].flatten() for name in names]) for found in (ours, truth))
    return float(torch.cosine_similarity(mine, theirs, dim=0))


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("ticks", [1, 3])
def test_layer_equals_its_equations(neuron: str, ticks: int) -> None:
    network = build(0, neuron=neuron, recurrent=True, layer_norm=True, hidden=[7, 6], ticks=ticks)
    p, state = parameters_of(network), initial_state(network)
    fired = 0.0
    for x in stream(0, 60):
        for _ in range(ticks):
            state, expected = tick(p, state, x, network)
        torch.testing.assert_close(network(x), expected)
        for i, layer in enumerate(network.layers):
            torch.testing.assert_close(layer.membrane, state[f"v{i}"])
            fired += float(layer.spikes.abs().sum())
    assert fired > 100


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_hidden_layer_of_any_neuron_equals_bptt(neuron: str, reset: str, seed: int) -> None:
    assert_exact(build(seed, neuron=neuron, reset=reset, **LEARN_ALL), stream(seed, 80))


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("detach_reset", [False, True])
def test_recurrent_layer_equals_autograd_with_the_stop_gradient_of_eprop(neuron: str, detach_reset: bool) -> None:
    network = build(0, neuron=neuron, recurrent=True, detach_reset=detach_reset, **LEARN_ALL)
    assert_exact(network, stream(0, 50), stop=True)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_exact_credit_equals_bptt_through_recurrence_layers_and_normalisation(neuron: str, layer_norm: bool) -> None:
    shape = dict(recurrent=True, layer_norm=layer_norm, hidden=[7, 7], weight_scale=2.0, credit="exact", **LEARN_ALL)
    assert_exact(build(0, neuron=neuron, **shape), stream(0, 30))


def test_exact_credit_of_lifetimes_is_independent() -> None:
    seeds, shape = [3, 4], dict(recurrent=True, layer_norm=True, hidden=[5, 4], credit="exact", neuron="alif", ticks=2)
    together = build(seeds, **shape)
    inputs = torch.stack([stream(seed, 30) for seed in seeds], 1)
    for x in inputs:
        together(x)
    together.backward(torch.stack([G, -G]))
    for i, seed in enumerate(seeds):
        alone = build(seed, **shape)
        for x in inputs[:, i]:
            alone(x)
        alone.backward(G if i == 0 else -G)
        torch.testing.assert_close(together.score[i], alone.score, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("credit", ["otpe", "presynaptic", "mixed", "auto"])
@pytest.mark.parametrize("neuron", ["lif", "ternary", "graded"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_credit_is_exact_without_state(credit: str, neuron: str, layer_norm: bool) -> None:
    shape = dict(hidden=[8, 7], neuron=neuron, **NO_MEMORY, credit=credit, layer_norm=layer_norm)
    assert_exact(build(1, **shape), stream(1, 50))


@pytest.mark.parametrize(
    ("bound", "shape"),
    [
        (0.95, dict(layer_norm=True)),
        (0.9, dict(recurrent=True)),
        (0.9, dict(neuron="alif", recurrent=True)),
        (0.85, dict(neuron="alif", hidden=[16, 16])),
        (0.83, dict(neuron="synaptic", hidden=[16, 16])),
        (0.88, dict(layer_norm=True, hidden=[16, 16])),
        (0.80, dict(credit="presynaptic")),
        (0.80, dict(credit="presynaptic", hidden=[16, 16])),
    ],
    ids=str,
)
def test_approximate_credit_has_a_positive_cosine_with_the_gradient(bound: float, shape: dict[str, Any]) -> None:
    cosines = []
    for seed in range(4):
        ours, truth = compare(build(seed, **shape), stream(seed, 100))
        cosines.append(cosine(ours, truth, "W0", "b0"))
        assert relative_error(ours["V"], truth["V"]) <= 1e-10
    assert bound <= sum(cosines) / len(cosines) < 0.9999, cosines


def test_normalised_currents_share_their_gradients() -> None:
    """If each weight changed only the current of its own neuron, this cosine would be .943."""
    cosines = []
    for seed in range(3):
        ours, truth = compare(build(seed, layer_norm=True), stream(seed, 100))
        cosines.append(cosine(ours, truth, "W0", "b0"))
    assert sum(cosines) / len(cosines) > 0.98, cosines


@pytest.mark.parametrize("credit", ["otpe", "presynaptic", "exact"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_reset_clears_all_episode_state(credit: str, neuron: str) -> None:
    network = build(0, neuron=neuron, recurrent=True, hidden=[6, 5], credit=credit)
    inputs = stream(0, 20)
    first = [network(x).clone() for x in inputs]
    network.backward(G)
    score = network.score.clone()
    network.reset_state()
    for x, y in zip(inputs, first, strict=True):
        assert torch.equal(network(x), y)
    network.backward(G)
    assert torch.equal(network.score, score)


def test_sparse_neurons_have_the_given_share_of_zero_weights_in_each_lifetime() -> None:
    network = build([0, 1], n_in=10, sparsity=0.7, hidden=[20, 20])
    for layer, zeros in zip(network.layers, (7, 14), strict=True):
        assert ((layer.synapses.weight == 0).sum(-1) == zeros).all()
    first, second = network.layers[0].synapses.weight == 0
    assert not torch.equal(first, second)


@pytest.mark.parametrize("credit", ["presynaptic", "mixed"])
def test_presynaptic_credit_has_no_trace_for_decays_and_thresholds(credit: str) -> None:
    with pytest.raises(ConfigError, match=f"^learn_threshold must be false where credit is {credit}"):
        build(0, credit=credit, learn_threshold=True)


def test_presynaptic_credit_keeps_one_number_per_input() -> None:
    def held(credit: str) -> int:
        network = build(0, n_in=10, hidden=[100], credit=credit)
        return sum(buffer.numel() for buffer in network.buffers())

    assert held("otpe") - held("presynaptic") == 2 * 1100 - 11  # sensitivity and eligibility, for a trace


@pytest.mark.parametrize(
    "more",
    [
        dict(membrane_decay=0.1),
        dict(readout_decay=[0.0, 0.1]),
        dict(neuron="alif"),
        dict(neuron="synaptic"),
        dict(recurrent=True),
        dict(learn_membrane_decay=True),
        dict(learn_threshold=True),
        dict(learn_readout_decay=True),
    ],
    ids=str,
)
def test_auto_credit_is_the_cheapest_exact_one_below_the_readout(more: dict[str, Any]) -> None:
    assert isinstance(build(0, **NO_MEMORY, credit="auto").credit, Presynaptic)
    assert isinstance(build(0, **NO_MEMORY | more, credit="auto").credit, OTPE)


def test_an_adaptive_threshold_by_hand() -> None:
    """With theta 1, beta 2, rho .5, m 0: a current of 1.5 spikes once, then when the threshold has decayed."""
    lifetimes = Lifetimes(0, torch.float64)
    synapses = DenseSynapses(1, 1, lifetimes, weight_scale=0.0, bias_scale=0.0)
    layer = ALIF(synapses, lifetimes, LayerSettings((0.0, 0.0), (1.0, 1.0)), 2.0, (0.5, 0.5))
    synapses.affine[-1] = 1.5
    spikes = [float(layer(torch.zeros(1, dtype=torch.float64))) for _ in range(6)]
    # thresholds: 1, 1 + 2 * .5 = 2, 1.5, 1 + 2 * (.125 + .5) = 2.25, 1.625, 1.3125
    assert spikes == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    assert float(layer.adapted) == pytest.approx(0.15625)


def test_a_filtered_current_by_hand() -> None:
    """With a .5, m .5 and no spike: the current rises as 1/2, 3/4 and the membrane as 1/4, 1/2."""
    lifetimes = Lifetimes(0, torch.float64)
    synapses = DenseSynapses(1, 1, lifetimes, weight_scale=0.0, bias_scale=0.0)
    layer = SynapticLIF(synapses, lifetimes, LayerSettings((0.5, 0.5), (9.0, 9.0)), (0.5, 0.5))
    synapses.affine[-1] = 1.0
    seen = []
    for _ in range(2):
        layer(torch.zeros(1, dtype=torch.float64))
        seen.append((float(layer.filtered_current), float(layer.membrane)))
    assert seen == [(0.5, 0.25), (0.75, 0.5)]


def test_copied_network_has_its_own_gradients() -> None:
    network = build(0, recurrent=True, neuron="alif", hidden=[5, 4])
    run(network, stream(0, 10), G)
    clone = copy.deepcopy(network)
    run(clone, stream(1, 10), -G)
    assert not torch.equal(clone.score, network.score)
    torch.testing.assert_close(scores_of(clone)["c"], -G)
