"""Gradients against autograd through time and real-time recurrent learning, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.oracles import SETTINGS, bptt, initial_state, parameters_of, rtrl, scores_of, tick
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, Network

LEARN_ALL = dict(learn_membrane_decay=True, learn_threshold=True, learn_readout_decay=True)


def build(seed: int | list[int], n_in: int = 4, n_out: int = 2, **changes: Any) -> Network:
    return Dense(**{**SETTINGS, "detach_reset": False, **changes}).build((n_in,), n_out, Lifetimes(seed, torch.float64))


def stream(seed: int, steps: int, n_in: int = 4) -> Tensor:
    return torch.randn(steps, n_in, generator=torch.Generator().manual_seed(1000 + seed), dtype=torch.float64)


def run(network: Network, inputs: Tensor, g: Tensor) -> dict[str, Tensor]:
    for x in inputs:
        network(x)
    network.backward(g)
    return scores_of(network)


def relative_error(ours: Tensor, oracle: Tensor) -> float:
    return float((ours - oracle).norm() / oracle.norm().clamp(min=1e-300))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("surrogate", ["arctan", "triangle"])
@pytest.mark.parametrize("readout_decay", [0.0, 0.5, [0.1, 0.7]])
def test_one_hidden_layer_equals_bptt(seed: int, reset: str, surrogate: str, readout_decay: Any) -> None:
    learn = {**LEARN_ALL, "learn_readout_decay": readout_decay != 0.0}
    network = build(seed, reset=reset, surrogate=surrogate, readout_decay=readout_decay, **learn)
    inputs, g = stream(seed, 80), torch.tensor([0.7, -1.3], dtype=torch.float64)
    ours, oracle = run(network, inputs, g), bptt(network, inputs, g)
    expected = {"W0", "b0", "m0", "theta0", "V", "c"} | ({"k"} if learn["learn_readout_decay"] else set())
    assert set(ours) == expected
    for name, score in ours.items():
        truth = oracle[name].sum().reshape(1) if score.numel() == 1 else oracle[name]
        assert oracle[name].norm() > 0, name
        assert relative_error(score, truth) <= 1e-10, name


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("detach_reset", [False, True])
def test_several_ticks_per_step_equal_bptt(reset: str, detach_reset: bool) -> None:
    network = build(0, reset=reset, detach_reset=detach_reset, ticks=3, **LEARN_ALL)
    inputs, g = stream(0, 50), torch.tensor([0.7, -1.3], dtype=torch.float64)
    ours, oracle = run(network, inputs, g), bptt(network, inputs, g)
    for name, score in ours.items():
        truth = oracle[name].sum().reshape(1) if score.numel() == 1 else oracle[name]
        assert relative_error(score, truth) <= 1e-10, name


def test_every_lifetime_has_its_own_exact_gradient() -> None:
    seeds = [3, 4, 5]
    mixed = {**SETTINGS, "hidden": [8, 6], "threshold": [0.2, 0.4], "readout_decay": 0.5, "ticks": 2, **LEARN_ALL}
    together = Dense(**mixed).build((4,), 2, Lifetimes(seeds, torch.float64))
    inputs = torch.stack([stream(seed, 60) for seed in seeds], 1)
    g = torch.tensor([[0.7, -1.3], [0.1, 2.0], [-1.0, 0.4]], dtype=torch.float64)
    for x in inputs:
        together(x)
    together.backward(g)
    for i, seed in enumerate(seeds):
        alone = Dense(**mixed).build((4,), 2, Lifetimes(seed, torch.float64))
        run(alone, inputs[:, i], g[i])
        torch.testing.assert_close(together.flat[i], alone.flat, rtol=0, atol=0)
        torch.testing.assert_close(together.score[i], alone.score, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("readout_decay", [0.0, 0.5])
def test_two_hidden_layers_are_exact_above_and_close_below(readout_decay: float) -> None:
    cosines = []
    for seed in range(4):
        network = build(seed, hidden=[16, 16], membrane_decay=0.5, readout_decay=readout_decay)
        inputs, g = stream(seed, 80), torch.tensor([0.7, -1.3], dtype=torch.float64)
        ours, oracle = run(network, inputs, g), bptt(network, inputs, g)
        for name in ("W1", "b1", "V", "c"):
            assert relative_error(ours[name], oracle[name]) <= 1e-10, name
        mine = torch.cat([ours["W0"].flatten(), ours["b0"]])
        truth = torch.cat([oracle["W0"].flatten(), oracle["b0"]])
        cosines.append(float(torch.cosine_similarity(mine, truth, dim=0)))
    assert sum(cosines) / len(cosines) >= 0.9, cosines


def test_hard_reset_has_a_bounded_sensitivity_by_default() -> None:
    network = build(0, reset="hard", detach_reset=None, membrane_decay=0.9)
    for x in stream(0, 500):
        network(x - 2.0)
    assert network.hidden[0].sensitivity.abs().max() < 100


def test_full_rtrl_equals_bptt_on_a_small_network() -> None:
    network = build(
        1, n_in=2, hidden=[3, 2], learn_membrane_decay=True, learn_threshold=True, membrane_decay=[0.3, 0.8]
    )
    inputs, g = stream(1, 25, n_in=2), torch.tensor([1.0, -0.5], dtype=torch.float64)
    ours, forward, through_time = run(network, inputs, g), rtrl(network, inputs, g), bptt(network, inputs, g)
    for name, truth in through_time.items():
        assert relative_error(forward[name], truth) <= 1e-10, name
    for name in ("W1", "b1", "m1", "V", "c"):
        assert relative_error(ours[name], forward[name]) <= 1e-10, name


def test_signal_for_the_layer_below_is_the_gradient_of_the_current_tick() -> None:
    network = build(0, readout_decay=0.0)
    inputs, g = stream(0, 20), torch.tensor([0.7, -1.3], dtype=torch.float64)
    for x in inputs:
        network(x)
    below = network.layers[0].vjp(network.readout.backward(g).unsqueeze(0)).squeeze(0)
    last = inputs[-1].clone().requires_grad_()
    truth = _input_gradient(network, inputs[:-1], last, g)
    assert relative_error(below, truth) <= 1e-10


def _input_gradient(network: Network, before: Tensor, last: Tensor, g: Tensor) -> Tensor:
    p = parameters_of(network)
    state = initial_state(network)
    for x in [*before, last]:
        state, y = tick(p, state, x, network)
    (gradient,) = torch.autograd.grad(g @ y, last)
    return gradient
