"""A NIR graph with its encoder computes the agent's spikes from raw observations."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
from tests.nir_euler import simulate
from tests.test_examples import load_example
from tests.test_export_program import _stop_averaging
from tracerl.config.checks import ConfigError

CHIP = {"deploy": "neuromorphic", "engine": "torch", "network.output_scale": 1.0}
UNBOUNDED = {"encoder.clip": 1e3}  # agents of 400 steps leave the observations of their mean and deviation far behind
STEPS = 200
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("CartPole", {}),
    "raw": ("CartPole", {"encoder": "raw"}),
    "without normalisation": ("CartPole", {"encoder.normalize": False}),
    "positions": ("CartPolePositions", {}),
    "positions, several traces": (
        "CartPolePositions",
        {"encoder": "contrast", "encoder.trace_decay": [0.5, 0.0, 0.9], "encoder.memory_decay": [0.0, 0.99]},
    ),
    "memory": ("MemoryChain", {}),
    "memory traces alone": ("MemoryChain", {"encoder.trace_decay": [], "encoder.memory_decay": [0.8]}),
    "images": ("MinAtarBreakout", {"network.pool": 2, "network.weight_scale": 3.0, "network.bias_scale": 1.0}),
    "images, dense": ("MinAtarBreakout", {"network": "dense"}),
}


def trained(env: Any, settings: dict[str, Any]) -> Any:
    standardised = settings.get("encoder.normalize", True) and len(env.observation_space.shape) == 1
    bounds = UNBOUNDED if standardised else {}
    agent = tracerl.make_agent(env, settings={**CHIP, **bounds, **settings}, seed=2)
    tracerl.live(agent, env, 400).finish()
    return agent


def episodes(env: Any, agent: Any, patch: pytest.MonkeyPatch) -> list[list[np.ndarray[Any, Any]]]:
    """Return observations, spikes of the last layer and outputs of a fixed agent, for each episode of 200 steps."""
    agent.reset_episode()
    agent.freeze()
    agent.act_greedily()
    if agent.encoder.normalizer is not None:
        _stop_averaging(agent.encoder.normalizer, patch)
    part = agent.parts()["policy"]
    network, readout = part.network, part.network.readout
    found, rows = [], list[tuple[np.ndarray[Any, Any], ...]]()
    observation, _ = env.reset(seed=3)
    action = agent.start(observation)
    for _ in range(STEPS):
        spikes = network.layers[-1].spikes.numpy().copy()
        outputs = (readout.affine @ readout.filtered)[part.outputs].numpy()
        rows.append((np.asarray(observation, np.float64), spikes, outputs))
        observation, reward, terminated, truncated, _ = env.step(action)
        if not (terminated or truncated):
            action = agent.step(float(reward), observation)
            continue
        agent.end(float(reward), observation, terminated)
        found.append([np.array(column) for column in zip(*rows, strict=True)])
        rows.clear()
        observation, _ = env.reset()
        action = agent.start(observation)
    return [*found, *([[np.array(column) for column in zip(*rows, strict=True)]] if rows else [])]


def as_input(graph: Any, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the graph receives: images as (channels, height, width), or flat as its first weights."""
    shape = tuple(graph.nodes["input"].input_type["input"])
    inputs = observations if len(shape) == 1 else np.moveaxis(observations, -1, 1)
    return inputs.reshape(-1, *shape)


@pytest.mark.parametrize("case", CASES)
def test_spikes_from_raw_observations_are_those_of_the_agent(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the equations, and with the neurons of snnTorch and Norse in ``examples/read_nir.py``."""
    name, settings = CASES[case]
    env = tracerl.make_env(name)
    agent = trained(env, settings)
    nir.write(tmp_path / "net.nir", tracerl.to_nir(agent, with_encoder=True))
    graph, example = nir.read(tmp_path / "net.nir"), load_example("read_nir")
    networks = [example.read(tmp_path / "net.nir", make) for make in (example.SnnTorchNeurons, example.norse_neurons)]
    last = max(node for node in graph.nodes if node.startswith("lif"))
    rates = []
    for observations, spikes, outputs in episodes(env, agent, monkeypatch):
        inputs, spikes = as_input(graph, observations), spikes.reshape(len(spikes), -1)
        found, sent = simulate(graph, inputs, 1e-4)
        np.testing.assert_array_equal(sent[last].reshape(spikes.shape), spikes)
        np.testing.assert_allclose(found, outputs, atol=1e-5)
        for network in networks:
            found, sent_there = computed(network, last, inputs)
            np.testing.assert_array_equal(sent_there, spikes)
            np.testing.assert_allclose(found, outputs, atol=1e-5)
        rates.append(spikes.mean())
    assert 0.02 < np.mean(rates) < 0.98


@torch.no_grad()
def computed(network: Any, layer: str, inputs: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """Return the outputs of a module of nirtorch and the spikes of a layer, from rest."""
    spikes: list[torch.Tensor] = []
    hook = getattr(network, layer).register_forward_hook(
        lambda _module, _inputs, sent: spikes.append(sent[0].flatten())
    )
    outputs, state = [], None
    for x in inputs:
        output, state = network(torch.from_numpy(x), state)
        outputs.append(output)
    hook.remove()
    return torch.stack(outputs).numpy(), torch.stack(spikes).numpy()


@pytest.mark.parametrize("case", ["default", "raw", "positions, several traces", "without normalisation"])
def test_file_with_its_encoder_is_read_back_bit_identically(case: str, tmp_path: Path) -> None:
    name, settings = CASES[case]
    env = tracerl.make_env(name)
    agent = trained(env, settings)
    nir.write(tmp_path / "net.nir", tracerl.to_nir(agent, with_encoder=True))
    again = tracerl.from_nir(tmp_path / "net.nir", env, settings={"engine": "torch"})
    assert torch.equal(again.policy.network.flat, agent.policy.network.flat)
    mine, its = agent.encoder, again.encoder
    assert type(mine) is type(its) and (mine.normalizer is None) == (its.normalizer is None)
    assert getattr(mine, "trace_decays", None) == getattr(its, "trace_decays", None)
    if mine.normalizer is not None:
        assert torch.equal(mine.normalizer.moments.mean, its.normalizer.moments.mean)


def test_bound_of_the_features_is_not_in_the_file() -> None:
    env = tracerl.make_env("CartPole")
    agent = trained(env, {"encoder": "raw", "encoder.clip": 2.0})
    graph = tracerl.to_nir(agent, with_encoder=True)
    moments = agent.encoder.normalizer.moments
    far = (moments.mean + 5 * moments.deviation()).numpy()
    np.testing.assert_allclose(simulate(graph, far[None], 1e-4)[1]["encode"], [[5.0] * 4], atol=1e-6)
    assert graph.metadata["normalizer_clip"] == 2.0


def test_large_images_of_bytes_are_divided() -> None:
    from gymnasium import spaces

    bytes_ = spaces.Box(0, 255, (12, 12, 1), np.uint8), spaces.Discrete(2)
    agent = tracerl.make_agent(bytes_, settings={**CHIP, "encoder.normalize": False})
    graph = tracerl.to_nir(agent, with_encoder=True)
    sent = simulate(graph, np.full((1, 1, 12, 12), 51.0), 1e-4)[1]
    np.testing.assert_allclose(sent["encode"], np.full((1, 1, 12, 12), 0.2))


@pytest.mark.parametrize(
    ("env", "settings", "options", "problem"),
    [
        ("CartPole", {"encoder": "on_off"}, {}, "encoder must be raw, contrast or auto: .* encoder=on_off"),
        ("CartPole", {"network.ticks": 2}, {}, r"network\.ticks must be 1, or encoder=raw: .* got 2"),
        ("MinAtarBreakout", {"encoder.normalize": True}, {}, r"encoder\.normalize must be false for images"),
        ("CartPole", {"encoder": "raw"}, {"fold_normalizer": True}, "fold_normalizer cannot be used with with_encoder"),
    ],
)
def test_encoder_without_nodes_raises_an_error(env: str, settings: Any, options: Any, problem: str) -> None:
    agent = tracerl.make_agent(tracerl.make_env(env), settings={**CHIP, "deploy.exact": False, **settings})
    with pytest.raises(ConfigError, match=problem):
        tracerl.to_nir(agent, with_encoder=True, **options)
