"""Networks of named nodes and edges."""

from typing import Any

import pytest
import torch

from tests.helpers import run_one_lifetime
from tests.oracles import SETTINGS, initial_state, parameters_of, tick
from tests.test_credit import G, assert_exact, compare, cosine
from tests.test_gradients import stream
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, Graph, Network

SHAPE = {name: value for name, value in SETTINGS.items() if name != "hidden"} | {"weight_scale": 2.0}


def nodes(**neurons: Any) -> list[dict[str, Any]]:
    """Return nodes by name: a number of neurons, or a mapping of settings."""
    return [{"name": n, **(given if isinstance(given, dict) else {"neurons": given})} for n, given in neurons.items()]


CHAIN = dict(nodes=nodes(a=6, b=5), edges=[["input", "a"], ["a", "b"], ["b", "output"]])
WEB: dict[str, Any] = dict(  # a skip, two joins, a loop through two nodes, a loop through one
    nodes=nodes(late=5, early={"neurons": 6, "threshold": 0.1}, side=4),
    edges=[
        ["input", "early"],
        ["early", "late"],
        ["input", "late"],
        ["early", "side"],
        ["side", "late"],
        ["late", "early", "delayed"],
        ["side", "side", "delayed"],
        ["early", "output"],
        ["late", "output"],
    ],
)


def build(seed: int | list[int] = 0, **changes: Any) -> Network:
    return Graph(**{**SHAPE, **changes}).build((4,), 2, Lifetimes(seed, torch.float64))


def test_chain_is_bit_identical_to_the_sequential_network() -> None:
    one = build(**CHAIN)
    other = Dense(**{**SHAPE, "hidden": [6, 5]}).build((4,), 2, Lifetimes(0, torch.float64))
    for x in stream(0, 40):
        assert torch.equal(one(x), other(x))
    one.backward(G)
    other.backward(G)
    assert torch.equal(one.score, other.score)


@pytest.mark.parametrize("neuron", ["lif", "alif", "synaptic", "ternary", "graded"])
def test_graph_of_skips_and_loops_equals_its_equations(neuron: str) -> None:
    network = build(neuron=neuron, ticks=2, threshold=0.02, **WEB)
    assert [layer.recurrent for layer in network.layers] == [False, True, False]  # early, side, late
    p, state = parameters_of(network), initial_state(network)
    for x in stream(0, 30):
        for _ in range(2):
            state, expected = tick(p, state, x, network)
        torch.testing.assert_close(network(x), expected)
    assert sum(bool(layer.rate.sum() > 0) for layer in network.layers) >= 2


@pytest.mark.parametrize("neuron", ["lif", "alif"])
def test_exact_credit_equals_bptt_through_every_edge(neuron: str) -> None:
    assert_exact(build(neuron=neuron, credit="exact", layer_norm=True, **WEB), stream(0, 30))


@pytest.mark.parametrize("credit", ["otpe", "presynaptic"])
def test_credit_without_state_is_exact_over_undelayed_edges(credit: str) -> None:
    """Credit is exact over the edges within a tick; inputs over delayed edges are constants."""
    network = build(credit=credit, membrane_decay=0.0, readout_decay=0.0, **WEB)
    assert_exact(network, stream(0, 50), stop=True)


def test_otpe_has_a_positive_cosine_through_skips_and_joins() -> None:
    cosines = []
    for seed in range(6):
        ours, truth = compare(build(seed, **WEB), stream(seed, 100), stop=True)
        cosines.append([cosine(ours, truth, f"W{i}", f"b{i}") for i in range(3)])
    early, side, late = torch.tensor(cosines).mean(0).tolist()
    assert early > 0.9 and side > 0.9
    assert late == pytest.approx(1.0, abs=1e-10)  # its inputs have no state: exact


def test_lifetimes_are_independent() -> None:
    together = build([0, 1], **WEB)
    for x in stream(0, 20):
        seen = together(x.expand(2, 4))
    for lifetime in range(2):
        alone = build(lifetime, **WEB)
        for x in stream(0, 20):
            y = alone(x)
        torch.testing.assert_close(seen[lifetime], y)


def test_nodes_have_their_own_settings() -> None:
    mixed = nodes(a={"neurons": 6, "neuron": "alif", "membrane_decay": 0.3}, b=5)
    network = build(**{**CHAIN, "nodes": mixed})
    a, b = network.layers
    assert (type(a).__name__, type(b).__name__) == ("ALIF", "LIF")
    assert a.membrane_decay.value.tolist() == [0.3] and b.membrane_decay.value.numel() == 5


def test_graph_learns_the_bandit() -> None:
    shape = ("network=graph", "network.nodes=[{name:early,neurons:8},{name:late,neurons:8}]")
    _, record = run_one_lifetime("tracerl.envs:tracerl/ContextualBandit-v0", 1000, *shape)
    assert record.mean_return() > 0.9


EDGES = CHAIN["edges"]


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("nodes must be a list", dict(nodes=[])),
        ("nodes must be a list", dict(nodes={"a": 3})),
        ("nodes must be a list", dict(nodes=[{"neurons": 3}])),
        ("nodes must not be named input", dict(nodes=nodes(input=3))),
        ("nodes must have different names, a occurs", dict(nodes=[*nodes(a=3), *nodes(a=3)])),
        ("nodes.a.neurons must be a whole number", dict(nodes=nodes(a=0, b=5))),
        ("nodes.a.neurons must be a whole number", dict(nodes=nodes(a={"threshold": 1.0}, b=5))),
        ("nodes.a.threshold must be", dict(nodes=nodes(a={"neurons": 3, "threshold": -1}, b=5))),
        ("nodes.a.ticks does not exist", dict(nodes=nodes(a={"neurons": 3, "ticks": 2}, b=5))),
        ("edges must be a list", dict(edges="input->a")),
        (r"edges must each be \[from, to\]", dict(edges=[["a"]])),
        (r"edges must each be \[from, to\]", dict(edges=[["a", "b", "late"]])),
        ("edges must begin at one of input, a, b; got 'c'", dict(edges=[*EDGES, ["c", "b"]])),
        ("edges must end at one of output, a, b; got 'input'", dict(edges=[*EDGES, ["a", "input"]])),
        ("edges can be delayed between nodes only", dict(edges=[*EDGES, ["a", "output", "delayed"]])),
        ("edges must be given once, a to b", dict(edges=[*EDGES, ["a", "b", "delayed"]])),
        ("edges must form no cycle within a tick: delay one among a, b", dict(edges=[*EDGES, ["b", "a"]])),
        ("edges must form no cycle", dict(edges=[*EDGES, ["b", "b"]])),
        ("edges must not lead from input to output", dict(edges=[*EDGES, ["input", "output"]])),
        ("edges must have one to output", dict(edges=EDGES[:2])),
        ("edges must have one from input", dict(edges=[["a", "a", "delayed"], *EDGES[1:]])),
        ("edges must have one to c", dict(nodes=nodes(a=1, b=1, c=1))),
        ("hidden must be null", dict(hidden=[3])),
    ],
)
def test_invalid_graph_raises_an_error_naming_the_key(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        Graph(**{**SHAPE, **CHAIN, **changes})
