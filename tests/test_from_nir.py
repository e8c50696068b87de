"""A NIR graph becomes the policy of an agent, which learns."""

import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
from tests.nir_euler import simulate

DT = 1e-4
TORCH = {"engine": "torch"}
PLAIN = {**TORCH, "network": "dense", "encoder": "raw"}


@pytest.fixture(scope="module")
def env() -> Any:
    return tracerl.make_env("CartPole")


def weights(n_out: int, n_in: int = 8) -> Any:
    return np.random.default_rng(n_out).normal(size=(n_out, n_in)).astype(np.float32)


def lif(n: int = 8, **changed: Any) -> Any:
    """Return neurons with different time constants, resistances, resting potentials and thresholds."""
    draw = np.random.default_rng(7).uniform
    rest = draw(-0.2, 0.2, n)
    usual = {"tau": draw(1.5, 4, n) * DT, "r": draw(0.5, 2, n), "v_leak": rest, "v_reset": rest}
    return nir.LIF(**{**usual, "v_threshold": rest + draw(0.2, 0.6, n), **changed})


def cuba(n: int = 8) -> Any:
    draw = np.random.default_rng(8).uniform
    taus = {"tau_mem": draw(1.5, 4, n) * DT, "tau_syn": draw(1.5, 4, n) * DT}
    return nir.CubaLIF(
        **taus, r=draw(0.5, 2, n), w_in=draw(0.5, 2, n), v_leak=np.zeros(n), v_threshold=draw(0.1, 0.4, n)
    )


def li(n: int, tau: float = 3 * DT, leak: float = 0.0) -> Any:
    return nir.LI(tau=np.full(n, tau), r=np.full(n, 1.5), v_leak=np.full(n, leak))


def stack(*nodes: Any) -> Any:
    return nir.NIRGraph.from_list(*nodes)


def first(n: int = 8) -> Any:
    return nir.Affine(weights(n, 4), np.random.default_rng(9).normal(size=n).astype(np.float32))


def around(middle: Any) -> Any:
    """Return neurons with a recurrent connection through a node."""
    nodes = {"input": nir.Input(np.array([4])), "in": first(), "lif": lif(), "back": middle}
    nodes |= {"out": nir.Linear(weights(2)), "output": nir.Output(np.array([2]))}
    return nir.NIRGraph(
        nodes, [("input", "in"), ("in", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "out"), ("out", "output")]
    )


def skipping() -> Any:
    nodes = {"input": nir.Input(np.array([4])), "in": first(), "lif": lif(), "mid": nir.Linear(weights(8))}
    nodes |= {"top": lif(), "out": nir.Linear(weights(2)), "output": nir.Output(np.array([2]))}
    names = ["input", "in", "lif", "mid", "top", "out", "output"]
    return nir.NIRGraph(nodes, [*zip(names, names[1:], strict=False), ("in", "top")])


def mixed() -> Any:
    """Return a recurrent layer below a feedforward one."""
    graph = around(nir.Linear(weights(8)))
    nodes = {**graph.nodes, "mid": nir.Linear(weights(8)), "top": lif()}
    edges = [edge for edge in graph.edges if edge != ("lif", "out")]
    return nir.NIRGraph(nodes, [*edges, ("lif", "mid"), ("mid", "top"), ("top", "out")])


ONES = np.ones(2, np.float32)


@pytest.mark.parametrize(
    "graph",
    [
        stack(first(), lif(), nir.Affine(weights(2), ONES)),
        stack(nir.Linear(weights(8, 4)), lif(), li(8), nir.Affine(weights(2), ONES)),
        stack(first(), lif(), nir.Linear(weights(2)), li(2)),
        stack(first(), lif(), nir.Linear(weights(6)), lif(6), nir.Linear(weights(2, 6))),
        stack(first(), cuba(), nir.Linear(weights(2))),
        stack(first(), lif(), nir.Linear(weights(6)), cuba(6), nir.Linear(weights(2, 6))),
        around(nir.Linear(weights(8) / 2)),
        around(nir.Affine(weights(8) / 2, np.full(8, 0.2, np.float32))),
    ],
    ids=[
        "no readout filter",
        "filtered spikes",
        "filtered outputs",
        "two layers",
        "currents",
        "both",
        "recurrent",
        "and bias",
    ],
)
def test_policy_equals_the_network_of_the_graph(graph: Any, env: Any) -> None:
    agent = tracerl.from_nir(graph, env, settings=TORCH)
    assert agent.encoder.normalizer is None  # observations of the env
    codes = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    expected, sent = simulate(graph, codes, DT)
    with torch.no_grad():
        found = np.array([agent.policy.network(torch.from_numpy(code)).numpy().copy() for code in codes])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert all(0 < sent[name].mean() < 1 for name in sent if "lif" in name)


def test_exported_file_round_trips_bit_identically(env: Any, tmp_path: Path) -> None:
    settings = {**PLAIN, "network.hidden": [12, 8], "network.threshold": [0.2, 0.6], "network.recurrent": True}
    agent = tracerl.make_agent(env, settings={**settings, "network.output_scale": 1.0, "network.ticks": 2}, seed=3)
    tracerl.live(agent, env, 60).finish()
    nir.write(tmp_path / "net.nir", tracerl.to_nir(agent))
    again = tracerl.from_nir(tmp_path / "net.nir", env, settings=TORCH, seed=4)
    mine, its = agent.policy.network, again.policy.network
    assert torch.equal(mine.flat, its.flat) and its.ticks == 2
    for layer, other in zip(mine.layers, its.layers, strict=True):
        assert torch.equal(layer.membrane_decay.value, other.membrane_decay.value)
        assert torch.equal(layer.threshold.value, other.threshold.value)
        assert (layer.reset, layer.recurrent) == (other.reset, other.recurrent) == ("soft", True)
    assert torch.equal(mine.readout.decay.value, its.readout.decay.value)
    for name in ("count", "mean", "squares"):
        assert torch.equal(*(getattr(a.encoder.normalizer.moments, name) for a in (agent, again)))
    assert not torch.equal(agent.critic.network.flat, again.critic.network.flat)


def test_contrast_encoder_round_trips_with_its_traces(env: Any, tmp_path: Path) -> None:
    settings = {**PLAIN, "encoder": "contrast", "encoder.trace_decay": [0.3, 0.9], "encoder.memory_decay": [0.8]}
    agent = tracerl.make_agent(env, settings={**settings, "network.hidden": [12]}, seed=3)
    tracerl.live(agent, env, 60).finish()
    graph = tracerl.to_nir(agent)
    nir.write(tmp_path / "net.nir", graph)
    again = tracerl.from_nir(tmp_path / "net.nir", env, settings=TORCH)
    assert (again.encoder.trace_decays, again.encoder.memory_decays) == ([0.3, 0.9], [0.8])
    assert again.encoder.trace_scale == agent.encoder.trace_scale == 0.3
    assert torch.equal(again.policy.network.flat, agent.policy.network.flat)
    one = {**settings, "encoder.trace_decay": 0.5, "encoder.memory_decay": [], "network.hidden": [12]}
    former = tracerl.to_nir(tracerl.make_agent(env, settings=one))
    for key in ("trace_decay", "memory_decay", "trace_scale"):  # as in files of earlier versions
        del former.metadata[f"encoder_{key}"]
    encoder = tracerl.from_nir(former, env, settings=TORCH).encoder
    assert (encoder.trace_decays, encoder.memory_decays, encoder.trace_scale) == ([0.5], [], 1)


def test_scaled_file_round_trips_within_rounding(env: Any) -> None:
    settings = {**PLAIN, "network.hidden": [12], "network.threshold": [0.2, 0.6], "network.neuron": "synaptic"}
    agent = tracerl.make_agent(env, settings=settings, seed=3)
    again = tracerl.from_nir(tracerl.to_nir(agent, form="scaled"), env, settings=TORCH)
    torch.testing.assert_close(again.policy.network.flat, agent.policy.network.flat)
    layer, other = agent.policy.network.layers[0], again.policy.network.layers[0]
    torch.testing.assert_close(layer.threshold.value, other.threshold.value)
    assert torch.equal(layer.synapse_decay.value, other.synapse_decay.value)


def test_snntorch_network_continues_learning(env: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of torch
        import snntorch
        from snntorch.export_nir import export_to_nir

        draw = torch.Generator().manual_seed(0)
        decays, thresholds = torch.rand(8, generator=draw) * 0.9, torch.rand(8, generator=draw) + 0.2
        leaky = snntorch.Leaky(decays, thresholds, reset_mechanism="zero", reset_delay=False, init_hidden=True)
        theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), leaky, torch.nn.Linear(8, 2))
        for parameter in theirs.parameters():
            parameter.data.normal_(generator=draw)
        graph = export_to_nir(theirs, torch.zeros(1, 4), ignore_dims=[0])
    leaky.reset_mem()
    agent = tracerl.from_nir(graph, env, settings=TORCH)
    fired = 0.0
    with torch.no_grad():
        for code in torch.randn(100, 4, generator=draw) * 2:
            torch.testing.assert_close(agent.policy.network(code), theirs(code.unsqueeze(0)).squeeze(0))
            fired += float(agent.policy.network.layers[0].spikes.mean()) / 100
    assert 0.01 < fired < 0.99
    tracerl.live(agent, env, 20).finish()


def test_agent_from_a_graph_learns(env: Any) -> None:
    graph = stack(first(), lif(), li(8), nir.Affine(weights(2), ONES))
    settings = {**TORCH, "network.learn_membrane_decay": True, "network.learn_threshold": True}
    agent = tracerl.from_nir(graph, env, settings={**settings, "encoder.normalize": True})
    layer = agent.policy.network.layers[0]
    before = agent.policy.network.flat.clone(), layer.membrane_decay.value.clone()
    np.testing.assert_allclose(layer.membrane_decay.refresh(), 1 - DT / graph.nodes["lif"].tau, rtol=1e-5)
    tracerl.live(agent, env, 50).finish()
    assert agent.encoder.normalizer is not None
    assert not torch.equal(agent.policy.network.flat, before[0])
    assert not torch.equal(layer.membrane_decay.value, before[1])


def test_graph_with_spiking_outputs_gets_a_readout(env: Any) -> None:
    agent = tracerl.from_nir(stack(first(), lif()), env, settings=TORCH)
    np.testing.assert_allclose(agent.policy.network.layers[0].synapses.weight, first().weight * lif().r[:, None], 1e-6)
    assert not agent.policy.network.readout.weight.any()


def test_eprop_network_includes_the_policy_of_the_graph(env: Any) -> None:
    graph = stack(first(), lif(), nir.Affine(weights(2), ONES))
    agent = tracerl.from_nir(graph, env, "eprop", TORCH)
    readout = agent.learner.network.readout
    np.testing.assert_array_equal(readout.weight[:2], weights(2))
    assert readout.n_out == 3 and not readout.weight[2].any()


def test_dt_comes_from_the_argument_the_metadata_or_the_default(env: Any) -> None:
    graph = stack(first(), lif(tau=np.full(8, 4e-3)), nir.Linear(weights(2)))

    def decay(**options: Any) -> float:
        layer = tracerl.from_nir(graph, env, settings=TORCH, **options).policy.network.layers[0]
        return float(layer.membrane_decay.value)

    assert decay() == pytest.approx(1 - 1e-4 / 4e-3)
    graph.nodes["lif"].metadata["dt"] = 1e-3
    assert decay() == pytest.approx(0.75)
    assert decay(dt=2e-3) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("graph", "options", "problem"),
    [
        (stack(first(), nir.IF(r=np.ones(8), v_threshold=np.ones(8))), {}, r"node if \(IF\), which tracerl cannot"),
        (stack(nir.Scale(np.ones(4)), first(), lif()), {}, r"node scale \(Scale\)"),
        (stack(first(), nir.Linear(weights(8)), lif()), {}, r"node linear \(Linear\)"),
        (stack(first(), lif(), nir.Linear(weights(8)), nir.Linear(weights(2))), {}, r"node linear_1 \(Linear\)"),
        (stack(first(2)), {}, "there is no LIF"),
        (stack(first(), lif(v_reset=np.full(8, -1.0))), {}, r"node lif \(LIF\), which resets to another level"),
        (stack(first(), lif(v_threshold=np.full(8, -1.0))), {}, r"node lif \(LIF\), which has a threshold"),
        (stack(first(), lif()), {"dt": 1.0}, r"node lif \(LIF\), which has a time constant below dt = 1 s"),
        (stack(first(), lif(), nir.Affine(weights(2), ONES), li(2)), {}, "holds affine_1 under leaky integr"),
        (stack(first(), lif(), li(8, leak=0.1), nir.Linear(weights(2))), {}, r"node li \(LI\), which rests"),
        (mixed(), {}, r"layers that differ in network\.recurrent"),
        (around(nir.Delay(np.full(8, DT))), {}, "node lif .* through back, which is neither"),
        (skipping(), {}, r"node in \(Affine\), which must lead to one other node"),
        (stack(nir.Linear(weights(8, 5)), lif()), {}, "env must make 5 numbers .* encoder=raw makes 4"),
        (stack(first(), lif(), nir.Linear(weights(3))), {}, "env must have actions for the NIR graph's 3 outputs"),
        (stack(first(), lif()), {"settings": {"network.hidden": [9]}}, r"network\.hidden must be \[8\], as in"),
        (stack(first(), lif()), {"settings": {"network.threshold": 0.3}}, r"network\.threshold must be .*, as in"),
        (stack(first(), lif()), {"settings": {"network.membrane_decay": 0.5}}, r"network\.membrane_decay must be"),
        (stack(first(), lif()), {"settings": {"dtype": "int8"}}, "dtype must be one of float32, float64"),
        (stack(first(), lif()), {"agent": "stream_ac"}, "agent must be one of reflect, eprop"),
        (lif(), {}, "path must be a NIR file or a nir.NIRGraph, got LIF"),
        (__file__, {}, "path must be a NIR file, got .*test_from_nir"),
        ("nowhere.nir", {}, "path must be a NIR file, there is none at 'nowhere.nir'"),
    ],
)
def test_unsupported_graph_raises_an_error_naming_the_node(graph: Any, options: Any, problem: str, env: Any) -> None:
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.from_nir(graph, env, **{"settings": TORCH, **options})
