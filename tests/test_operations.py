"""The cost of a decision: spikes, synaptic operations and multiply-accumulates, against counts by other means."""

from typing import Any

import numpy as np
import pytest
import torch

import tracerl
from tracerl.lifetime.evaluation import evaluate
from tracerl.nn.layers import ConvolutionalSynapses
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.operations import FanOut, OperationCounter, fan_outs

GRAPH = {
    "network": "graph",
    "network.nodes": [{"name": "a", "neurons": 3}, {"name": "b", "neurons": 5}],
    "network.edges": [["input", "a"], ["a", "b"], ["input", "b"], ["b", "a", "delayed"], ["a", "output"]],
}


def made(engine: str = "torch", env: str = "CartPole", name: str = "reflect", **settings: Any) -> Any:
    shape = {"network.hidden": [8], "engine": engine, "encoder": "raw", **settings}
    return tracerl.make_agent(tracerl.make_env(env), name, settings=shape)


def test_dense_layers_counted_by_hand() -> None:
    """CartPole: 4 inputs, 8 and 3 neurons, 2 actions."""
    agent = made(**{"network.hidden": [8, 3], "network.ticks": 2})
    policy, value = (fan_outs(agent)[name] for name in ("policy", "value"))
    assert [fan.tolist() for _, fan in policy.spiking] == [[3.0] * 8, [2.0] * 3]
    assert (policy.dense, policy.graded) == (4 * 8 + 8 * 3 + 3 * 2, 0)
    assert (value.spiking, value.graded, value.dense) == ([], 8 * 3 + 3 * 1, 4 * 8 + 8 * 3 + 3 * 1)
    for layer, spikes in zip(agent.policy.network.layers, (0.5, 1.0), strict=True):
        layer.rate.fill_(spikes)
    assert policy.of_rates() == 2 * (0.5 * 8 * 3 + 1.0 * 3 * 2)
    assert agent.diagnostics()["spikes/synaptic_operations"] == policy.of_rates()


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_negative_spikes_count_as_spikes(engine: str) -> None:
    """With currents of -9 and thresholds of .5 every neuron sends -1 at every tick."""
    agent = made(engine, **{"network": "dense", "network.neuron": "ternary", "network.threshold": 0.5})
    layer = agent.policy.network.layers[0]
    layer.synapses.affine.zero_()
    layer.synapses.affine[-1] = -9.0
    found = evaluate(agent, tracerl.make_env("CartPole"), 2, seed=3).operations["policy"]
    assert (found.spikes, found.synaptic_operations) == (8.0, 8.0 * 2)


def test_recurrent_and_delayed_edges_counted_by_hand() -> None:
    (_, fan), *_ = fan_outs(made(**{"network": "recurrent"}))["policy"].spiking
    assert fan.tolist() == [8 + 2.0] * 8
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={**GRAPH, "encoder": "raw"})
    policy = fan_outs(agent)["policy"]
    assert [fan.tolist() for _, fan in policy.spiking] == [[5 + 2.0] * 3, [3.0] * 5]
    assert policy.dense == 4 * 3 + 4 * 5 + 3 * 5 + 5 * 3 + 3 * 2


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 0)])
def test_fan_out_of_a_convolution_is_the_number_of_its_derivatives(
    stride: int, padding: int, channels_last: bool
) -> None:
    made_of = {"stride": stride, "padding": padding, "channels_last": channels_last}
    synapses = ConvolutionalSynapses((2, 6, 5), 3, 3, Lifetimes(0, torch.float64), **made_of)
    derivatives = synapses.jvp(torch.eye(synapses.n_in, dtype=torch.float64))  # [n_in, n_out]
    assert synapses.fan_out().tolist() == (derivatives != 0).sum(-1).tolist()


@pytest.mark.parametrize("kind", ["average", "max"])
def test_spike_reaches_the_synapses_behind_its_pooled_unit(kind: str) -> None:
    """An image of 10 x 10 gives 2 channels of 8 x 8 neurons, pooled to 4 x 4, below 8 neurons and the actions."""
    agent = made(
        env="MinAtarBreakout",
        **{"network.channels": [2], "network.pool": 2, "network.pool_kind": kind, "engine": "torch"},
    )
    policy = fan_outs(agent)["policy"]
    layer, fan = policy.spiking[0]
    assert layer.synapses.out_shape == (2, 8, 8) and fan.tolist() == [8.0] * 128
    pooled, actions = 2 * 4 * 4, agent.head.n_outputs
    patches = layer.synapses.rows - 1
    assert policy.dense == 128 * patches + pooled * 8 + 8 * actions


def test_value_of_a_shared_network_is_its_row_of_the_readout() -> None:
    agent = made(**{"agent.trunk": "shared"})
    found = {name: (own.dense, [fan.tolist() for _, fan in own.spiking]) for name, own in fan_outs(agent).items()}
    assert found == {"policy": (4 * 8 + 8 * 2.0, [[2.0] * 8]), "value": (8.0, [[1.0] * 8])}


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_evaluation_counts_every_spike_and_input(engine: str, trunk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a count at each step by the spikes themselves, with one tick."""
    agent, seen = made(engine, **{"agent.trunk": trunk, "network.hidden": [8, 6]}), list[Any]()
    counters, count, made_counter = list[Any](), OperationCounter.count, OperationCounter.__init__

    def noting(self: OperationCounter, agent: Any, copies: int = 1) -> None:
        made_counter(self, agent, copies)
        counters.append(agent)

    def spying(self: OperationCounter, deciding: Any) -> None:
        layers = counters[0].policy.network.layers
        if deciding.any():
            spikes = [layer.spikes.numpy().copy() for layer in layers]
            seen.append([*spikes, layers[0].synapses.inputs[:4].numpy().copy()])
        count(self, deciding)

    monkeypatch.setattr(OperationCounter, "__init__", noting)
    monkeypatch.setattr(OperationCounter, "count", spying)
    found = evaluate(agent, tracerl.make_env("CartPole"), 6, seed=3)
    counted = found.operations["policy"]
    first, second, inputs = (np.array(each) for each in zip(*seen, strict=True))
    assert len(seen) == found.steps
    assert counted.spikes * found.steps == pytest.approx(first.sum() + second.sum())
    assert counted.synaptic_operations * found.steps == pytest.approx(6 * first.sum() + 2 * second.sum())
    assert counted.multiply_accumulates == pytest.approx((inputs != 0).sum() / found.steps * 8)
    assert first.sum() > 0 and (trunk == "separate" or found.operations["value"].synaptic_operations > 0)


def test_engines_count_alike_with_several_ticks() -> None:
    shape = {"network.ticks": 3, "agent.critic": None, "network.hidden": [8, 6]}
    found = [
        evaluate(made(engine, **shape, dtype="float64"), tracerl.make_env("CartPole"), 4, seed=1).operations
        for engine in ("torch", "fused")
    ]
    assert found[0] == found[1] and found[0]["value"].spikes > 0


def test_counts_are_added_up_before_float32_is_inexact(monkeypatch: pytest.MonkeyPatch) -> None:
    env = tracerl.make_env("CartPole")
    whole = evaluate(made(), env, 4).operations
    monkeypatch.setattr(OperationCounter, "_UNREAD", 7)
    assert evaluate(made(), env, 4).operations == whole


@pytest.mark.parametrize("name", ["random", "stream_ac"])
def test_agents_without_spiking_networks_have_no_operations(name: str) -> None:
    env = tracerl.make_env("CartPole")
    assert evaluate(tracerl.make_agent(env, name), env, 1).operations == {}


def test_counted_copy_leaves_the_rates_of_its_agent() -> None:
    agent = made()
    agent.policy.network.layers[0].rate.fill_(0.25)
    evaluate(agent, tracerl.make_env("CartPole"), 1)
    assert agent.policy.network.layers[0].rate_decay == 0.999
    assert (agent.policy.network.layers[0].rate == 0.25).all()


def test_means_over_many_lifetimes() -> None:
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), settings={"network.hidden": [8], "lifetimes": 3})
    agent.policy.network.layers[0].rate.copy_(torch.tensor([[0.0], [0.25], [0.5]]).expand(3, 8))
    assert FanOut(agent.parts()["policy"]).of_rates() == 0.25 * 8 * 2
