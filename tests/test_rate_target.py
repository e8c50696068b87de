"""Thresholds that hold firing rates at a target: ``network.rate_target``."""

from typing import Any

import numpy as np
import pytest
import torch

import tracerl
from tests.oracles import SETTINGS, bptt, scores_of
from tracerl.config.checks import ConfigError
from tracerl.export.description import describe
from tracerl.nn import functional as F
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, Network
from tracerl.nn.views import Viewer, distributions

LEARN = dict(learn_membrane_decay=True, learn_threshold=True, learn_readout_decay=True)


def build(step: float = 0.05, **changes: Any) -> Network:
    settings = {**SETTINGS, "detach_reset": False, "rate_target": 0.1, **changes}
    network = Dense(**settings).build((4,), 2, Lifetimes(0, torch.float64))
    for layer in network.layers:
        layer.threshold_step = step  # fast enough for a test
    return network


def stream(steps: int) -> torch.Tensor:
    return torch.randn(steps, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def made(**settings: Any) -> Any:
    shape = {"network.hidden": [8], "network.rate_target": 0.1, **settings}
    return tracerl.make_agent(tracerl.make_env("CartPole"), settings=shape)


def test_one_tick_by_hand() -> None:
    rise, spikes = torch.tensor([0.0, 0.5, 0.0, 0.005]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    F.raise_threshold_(rise, spikes, 0.1, 0.1)
    torch.testing.assert_close(rise, torch.tensor([0.09, 0.49, 0.0, 0.0]))


@pytest.mark.parametrize("neuron", ["lif", "alif", "synaptic", "ternary"])
def test_each_neuron_that_would_fire_more_often_fires_at_the_target(neuron: str) -> None:
    given = {"neuron": neuron, "threshold": [0.1, 1.5] if neuron == "ternary" else 0.25}  # some neurons seldom fire
    network, free = build(step=0.02, **given), build(rate_target=None, **given)
    counts, freely = torch.zeros(16), torch.zeros(16)
    for i, x in enumerate(stream(4000)):
        network(x)
        free(x)
        if i >= 1000:
            counts += network.layers[0].spikes.abs()
            freely += free.layers[0].spikes.abs()
    rates, without, rise = counts / 3000, freely / 3000, network.layers[0].threshold_rise
    assert free.layers[0].threshold_rise is None and (without > 0.2).sum() >= 6 and (without < 0.05).any()
    assert (rates[without > 0.15] - 0.1).abs().max() < 0.02
    below = without < 0.05
    assert (rates[below] <= without[below] + 0.01).all() and (rise[below] < 0.2).all()


@pytest.mark.parametrize("neuron", ["lif", "alif", "synaptic", "ternary"])
@pytest.mark.parametrize(
    "changes",
    [
        {"reset": "soft", **LEARN},
        {"reset": "hard", "ticks": 2, **LEARN},
        {"recurrent": True, "recurrent_scale": 0.3, "credit": "exact", "hidden": [10], **LEARN},
        {"hidden": [5, 4], "credit": "exact"},
        {"layer_norm": True, "credit": "exact", "hidden": [6]},
    ],
    ids=["soft", "hard", "recurrent", "two layers", "normalised"],
)
def test_gradient_equals_autograd_with_the_rise_as_a_constant(neuron: str, changes: dict[str, Any]) -> None:
    network, inputs = build(neuron=neuron, **changes), stream(60)
    g = torch.tensor([0.7, -1.3], dtype=torch.float64)
    for x in inputs:
        network(x)
    assert network.layers[0].threshold_rise.max() > 0.2
    network.backward(g)
    oracle = bptt(network, inputs, g)
    for name, score in scores_of(network).items():
        truth = oracle[name].sum().reshape(1) if score.numel() == 1 else oracle[name]
        assert truth.norm() > 0 and (score - truth).norm() <= 1e-9 * truth.norm(), name


def test_no_target_leaves_the_state_as_it_was() -> None:
    names = [name for name in made(**{"network.rate_target": None}).state_dict() if "threshold_rise" in name]
    of_policy_alone = [name for name in made().state_dict() if "threshold_rise" in name]
    assert names == [] and of_policy_alone == ["policy.network.hidden.0.threshold_rise"]  # the critic is graded


def test_rise_stays_when_an_episode_ends() -> None:
    network = build()
    for x in stream(50):
        network(x)
    before = network.layers[0].threshold_rise.clone()
    network.reset_state()
    assert torch.equal(network.layers[0].threshold_rise, before) and before.max() > 0


@pytest.mark.parametrize("value", [0, 1, -0.1, True, "low"])
def test_target_outside_its_range_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"rate_target must be a number above 0 and below 1, or null, got"):
        made(**{"network.rate_target": value})


def test_views_and_exports_have_the_raised_threshold() -> None:
    agent = made()
    layer, viewer = agent.policy.network.layers[0], Viewer(agent)
    assert np.allclose(viewer().layers[0].threshold, 0.25)
    layer.threshold_rise.fill_(0.5)
    assert np.allclose(viewer().layers[0].threshold, 0.75)
    assert np.allclose(distributions(agent)["thresholds/policy_0"], 0.75)
    assert torch.allclose(describe(agent.parts()["policy"]).neurons[0].threshold, torch.full((8,), 0.75))
