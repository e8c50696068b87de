"""Exported NIR graphs spike equally in NIR's equations, in snnTorch and in Norse."""

import contextlib
import io
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
from tests.nir_euler import simulate
from tests.test_examples import load_example
from tracerl.config.checks import ConfigError

STEPS = 200
HARD = {"network": "dense", "encoder": "raw", "network.reset": "hard", "network.output_scale": 1.0, "engine": "torch"}
NETWORKS: dict[str, dict[str, Any]] = {
    "decays per neuron": {},
    "one decay": {"network.membrane_decay": 0.5},
    "no memory": {"network.membrane_decay": 0.0, "network.readout_decay": 0.0},
    "learned": {f"network.learn_{name}": True for name in ("membrane_decay", "threshold", "readout_decay")},
    "thresholds per neuron": {"network.threshold": [0.2, 0.6]},
    "two layers": {"network.hidden": [24, 16]},
    "synaptic": {"network": "synaptic"},
    "recurrent": {"network.recurrent": True, "network.recurrent_scale": 0.7},
    "recurrent synaptic": {"network": "synaptic", "network.recurrent": True, "network.recurrent_scale": 0.7},
}
EDGES = [["input", "early"], ["early", "late"], ["input", "late"], ["early", "output"], ["late", "output"]]
GRAPH = {"network": "graph", "network.edges": EDGES}
READ_BY_SNNTORCH = [name for name in NETWORKS if "recurrent" not in name]


@pytest.fixture(scope="module")
def env() -> Any:
    return tracerl.make_env("CartPole")


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(STEPS, 4)).astype(np.float32))


@pytest.fixture(scope="module")
def readers() -> Any:
    """Return the readers of snnTorch and Norse; both raise torch's deprecation warnings on import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import norse.torch
        from snntorch.import_nir import import_from_nir

    return SimpleNamespace(snntorch=import_from_nir, norse=lambda graph: norse.torch.from_nir(graph, dt=1e-4))


def made(env: Any, settings: dict[str, Any]) -> Any:
    sizes = {} if {"network.hidden", "network.edges"} & settings.keys() else {"network.hidden": [24]}
    return tracerl.make_agent(env, settings={**HARD, "agent.critic": None, **sizes, **settings}, seed=1)


def computed(network: Any, codes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs of a network and the spikes of its last layer, from rest."""
    network.reset_state()
    outputs, spikes = [], []
    with torch.no_grad():
        for code in codes:
            outputs.append(network(code).numpy().copy())
            spikes.append(network.layers[-1].spikes.numpy().copy())
    return np.array(outputs), np.array(spikes)


def stored(graph: Any) -> Any:
    """Write a graph to a file and return what is read back."""
    file = io.BytesIO()
    nir.write(file, graph)
    return nir.read(file)


@pytest.mark.parametrize("settings", [*NETWORKS.values(), GRAPH], ids=[*NETWORKS, "graph"])
def test_graph_equals_the_network_by_its_differential_equations(
    settings: dict[str, Any], env: Any, codes: torch.Tensor
) -> None:
    agent = made(env, settings)
    for job, form in (("policy", "plain"), ("policy", "scaled"), ("value", "plain")):
        expected, spikes = computed(agent.parts()[job].network, codes)
        graph = stored(tracerl.to_nir(agent, network=job, form=form, dt=2e-3))
        outputs, sent = simulate(graph, codes.numpy(), 2e-3)
        assert 0.05 < spikes.mean() < 0.95
        last = max(name for name, node in graph.nodes.items() if isinstance(node, (nir.LIF, nir.CubaLIF)))
        np.testing.assert_array_equal(sent[last], spikes)
        np.testing.assert_allclose(outputs, expected, atol=2e-6)


@pytest.mark.filterwarnings("ignore:nirtorch.load:DeprecationWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_snntorch_and_norse_compute_the_same_spikes(
    name: str, env: Any, codes: torch.Tensor, readers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    agent = made(env, NETWORKS[name])
    _, expected = computed(agent.policy.network, codes)
    for form in ("plain", "scaled"):
        graph = tracerl.to_nir(agent, form=form, without_readout=True)
        both = name in READ_BY_SNNTORCH if form == "scaled" else name in ("one decay", "no memory")
        for read in [readers.norse, readers.snntorch] if both else [readers.norse]:
            with contextlib.redirect_stdout(io.StringIO()):  # snnTorch prints warnings
                network, state = read(stored(graph)), None
            with torch.no_grad():
                for t, code in enumerate(codes):
                    spikes, state = network(code.unsqueeze(0), state)
                    np.testing.assert_array_equal(spikes[0], expected[t])


@pytest.mark.parametrize(
    ("neurons", "reset"), [("SnnTorchNeurons", "hard"), ("norse_neurons", "hard"), ("norse_neurons", "soft")]
)
def test_whole_recurrent_file_is_read_as_in_the_example(
    neurons: str, reset: str, env: Any, codes: torch.Tensor, tmp_path: Path
) -> None:
    agent = made(env, NETWORKS["recurrent"] | {"network.reset": reset})
    expected, _ = computed(agent.policy.network, codes)
    nir.write(tmp_path / "net.nir", tracerl.to_nir(agent))
    example = load_example("read_nir")
    network, state = example.read(tmp_path / "net.nir", getattr(example, neurons)), None
    with torch.no_grad():
        for t, code in enumerate(codes):
            outputs, state = network(code.double(), state)
            np.testing.assert_allclose(outputs, expected[t], atol=1e-5)


@pytest.mark.filterwarnings("ignore:nirtorch.load:DeprecationWarning")
def test_soft_reset_is_read_as_a_hard_reset(env: Any, codes: torch.Tensor, readers: Any) -> None:
    agent = made(env, {"network.reset": "soft"})
    graph = tracerl.to_nir(agent, without_readout=True)
    assert graph.metadata["reset"] == graph.nodes["lif_0"].metadata["reset"] == "soft"
    hard = tracerl.from_nir(graph, env, settings={"engine": "torch"})  # the metadata says soft
    assert hard.policy.network.layers[0].reset == "soft"
    hard.policy.network.layers[0].reset = "hard"
    _, expected = computed(hard.policy.network, codes)
    network, state = readers.norse(stored(graph)), None
    with torch.no_grad():
        for t, code in enumerate(codes):
            spikes, state = network(code.unsqueeze(0), state)
            np.testing.assert_array_equal(spikes[0], expected[t])
    assert (computed(agent.policy.network, codes)[1] != expected).mean() > 0.01


def test_neuron_at_its_threshold_spikes_in_nir(env: Any) -> None:
    agent = made(env, {"network.threshold": 0.25, "network.membrane_decay": 0.5, "network.hidden": [1]})
    layer = agent.policy.network.layers[0]
    layer.synapses.affine.copy_(torch.tensor([[0.5], [0.0], [0.0], [0.0], [0.0]]))  # u_1 = (1-m) 0.5 x = theta at x = 1
    at, below = torch.eye(4)[:1], torch.eye(4)[:1] * (1 - 2**-23)
    for code, fires in ((at, 1.0), (below, 0.0)):
        assert computed(agent.policy.network, code)[1].item() == fires
        assert simulate(tracerl.to_nir(agent), code.numpy(), 1e-4)[1]["lif_0"].item() == fires


def test_nir_graph_convolves_and_pools_images(readers: Any) -> None:
    env = tracerl.make_env("MinAtarBreakout")
    shape = {"network": "conv", "network.channels": [3, 2], "network.pool": 2, "network.hidden": [8]}
    shape |= {"network.padding": [1, 0], "network.kernel": [3, 2], "network.membrane_decay": 0.5}
    agent = tracerl.make_agent(env, settings={**HARD, **shape, "agent.trunk": "separate"})
    network = agent.policy.network
    flat = torch.from_numpy(np.random.default_rng(0).normal(size=(20, network.wiring.n_in)).astype(np.float32))
    images = flat.reshape(20, *env.observation_space.shape).movedim(-1, 1)
    expected, spikes = computed(network, flat)
    graph = stored(tracerl.to_nir(agent))
    assert tuple(graph.nodes["input"].input_type["input"]) == images.shape[1:]
    np.testing.assert_allclose(simulate(graph, images.numpy(), 1e-4)[0], expected, atol=2e-6)
    with contextlib.redirect_stdout(io.StringIO()):
        read, state = readers.snntorch(stored(tracerl.to_nir(agent, without_readout=True))), None
    with torch.no_grad():
        for image, sent in zip(images, spikes, strict=True):
            found, state = read(image, state)
            np.testing.assert_array_equal(found, sent)
    assert 0.05 < spikes.mean() < 0.95


def test_classic_and_eprop_agents_export_their_network(env: Any, codes: torch.Tensor) -> None:
    classic = tracerl.make_agent(env, "reflect_classic", {"agent.network.hidden": [16]}, seed=2)
    expected = classic.policy.network(codes[0]).numpy()[None]  # its reset is soft: only the first tick is equal
    outputs, _ = simulate(tracerl.to_nir(classic), codes[:1].numpy(), 1e-4)
    odds = np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True)
    np.testing.assert_allclose(odds, expected, atol=1e-6)

    eprop = tracerl.make_agent(env, "eprop", {**HARD, "network": "dense", "network.hidden": [16]}, seed=2)
    expected = computed(eprop.learner.network, codes)[0]
    for job, columns in (("policy", slice(0, 2)), ("value", slice(2, 3))):
        outputs, _ = simulate(tracerl.to_nir(eprop, network=job), codes.numpy(), 1e-4)
        np.testing.assert_allclose(outputs, expected[:, columns], atol=2e-6)


def test_standardisation_is_merged_into_the_first_weights() -> None:
    env = tracerl.make_env("Acrobot")
    settings = {**HARD, "network.hidden": [16], "dtype": "float64"}
    agent = tracerl.make_agent(env, settings=settings)
    tracerl.live(agent, env, 50).finish()
    moments = agent.encoder.normalizer.moments
    observations = torch.from_numpy(np.random.default_rng(1).normal(size=(STEPS, 6)))
    standardised = (observations - moments.mean) / moments.deviation()
    graph = tracerl.to_nir(agent, fold_normalizer=True)
    outputs, _ = simulate(graph, observations.numpy(), 1e-4)
    np.testing.assert_allclose(outputs, computed(agent.policy.network, standardised)[0], atol=1e-9)
    again = tracerl.from_nir(graph, env, settings={"dtype": "float64", "engine": "torch"})
    assert again.encoder.normalizer is None
    np.testing.assert_allclose(computed(again.policy.network, observations)[0], outputs, atol=1e-9)


def test_standardisation_is_merged_into_a_readout_without_layers(env: Any) -> None:
    agent = tracerl.make_agent(env, "reflect_classic", settings={"agent.network.hidden": []})
    tracerl.live(agent, env, 50).finish()
    moments = agent.encoder.normalizer.moments
    observations = np.random.default_rng(1).normal(size=(STEPS, 4))
    standardised = (observations - moments.mean.numpy()) / moments.deviation().numpy()
    outputs, _ = simulate(tracerl.to_nir(agent, fold_normalizer=True), observations, 1e-4)
    np.testing.assert_allclose(outputs, simulate(tracerl.to_nir(agent), standardised, 1e-4)[0], atol=1e-5)


def test_contrast_encoder_of_images_has_no_nodes() -> None:
    settings = {**HARD, "network": "conv", "encoder": "contrast", "encoder.normalize": False}
    agent = tracerl.make_agent(tracerl.make_env("MinAtarBreakout"), settings=settings)
    with pytest.raises(ConfigError, match="encoder must be raw for images, whose traces have no nodes"):
        tracerl.to_nir(agent, with_encoder=True)


@pytest.mark.parametrize(
    ("settings", "options", "problem"),
    [
        ({"network": "alif"}, {}, r"network\.neuron must be lif or synaptic"),
        ({"network.neuron": "ternary"}, {}, r"network\.neuron must be lif or synaptic, got ternary"),
        ({"network.neuron": "graded"}, {}, r"network\.neuron must be lif or synaptic, .* without spikes"),
        ({"network": "recurrent"}, {}, r"network\.layer_norm must be false"),
        ({"network": "graph"}, {}, r"network\.edges must not be delayed"),
        ({"encoder": "contrast"}, {"fold_normalizer": True}, "fold_normalizer needs encoder=raw.* encoder=contrast"),
        (GRAPH, {"without_readout": True}, "without_readout must be false"),
        ({}, {"network": "critic"}, "network must be one of policy, value of ReflectAgent; got 'critic'"),
        ({"agent.signal": "reward"}, {"network": "value"}, "network must be one of policy of"),
        ({}, {"form": "odd"}, "form must be one of plain, scaled"),
        ({}, {"dt": 0.0}, "dt must be a number above 0"),
    ],
)
def test_network_without_a_nir_form_raises_an_error(settings: Any, options: Any, problem: str, env: Any) -> None:
    agent = tracerl.make_agent(env, settings=settings)
    with pytest.raises(ConfigError, match=problem):
        tracerl.to_nir(agent, **options)


@pytest.mark.parametrize("agent", ["random", "stream_ac", "rstdp"])
def test_agents_without_an_exportable_network_raise_an_error(agent: str, env: Any) -> None:
    with pytest.raises(ConfigError, match="agent must have a network of spiking neurons"):
        tracerl.to_nir(tracerl.make_agent(env, agent))
