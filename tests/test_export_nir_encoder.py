"""A NIR graph with its encoder computes the agent's spikes from raw observations."""

import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
from tests.nir_euler import simulate
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
    agent = tracerl.make_agent(env, settings={**CHIP, **UNBOUNDED, **settings}, seed=2)
    tracerl.live(agent, env, 400).finish()
    return agent


def episodes(env: Any, agent: Any, patch: pytest.MonkeyPatch) -> list[list[np.ndarray[Any, Any]]]:
    """Return observations, spikes of the last layer and outputs of a fixed agent, for each episode of 200 steps."""
    agent.abandon()
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


@pytest.mark.parametrize("case", CASES)
def test_spikes_from_raw_observations_are_those_of_the_agent(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, settings = CASES[case]
    env = tracerl.make_env(name)
    agent = trained(env, settings)
    nir.write(tmp_path / "net.nir", tracerl.to_nir(agent, with_encoder=True))
    graph = nir.read(tmp_path / "net.nir")
    shape = tuple(graph.nodes["input"].input_type["input"])
    rates = []
    for observations, spikes, outputs in episodes(env, agent, monkeypatch):
        inputs = observations if len(shape) == 1 else np.moveaxis(observations, -1, 1)
        found, sent = simulate(graph, inputs.reshape(-1, *shape), 1e-4)
        last = max(node for node in graph.nodes if node.startswith("lif"))
        np.testing.assert_array_equal(sent[last].reshape(spikes.shape), spikes)
        np.testing.assert_allclose(found, outputs, atol=1e-5)
        rates.append(spikes.mean())
    assert 0.02 < np.mean(rates) < 0.98


class Trace(torch.nn.Module):
    """A leaky integrator or a delay of one tick that starts as the metadata of its node say."""

    def __init__(self, node: Any) -> None:
        super().__init__()
        self.is_delay, self.starts_at_input = isinstance(node, nir.Delay), node.metadata.get("start") == "input"
        self.decay = 0.0 if self.is_delay else 1 - float(node.metadata["dt"]) / torch.as_tensor(np.array(node.tau))

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        before = (x if self.starts_at_input else torch.zeros_like(x)) if state is None else state
        after = self.decay * before + (1 - self.decay) * x
        return (before if self.is_delay else after), after


@pytest.fixture(scope="module")
def read_by_norse() -> Any:
    """Return a reader through nirtorch: weights of torch, neurons of Norse, and ``Trace``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nirtorch
        import norse.torch as norse
        from norse.torch.functional.reset import reset_value

    class Weights(torch.nn.Linear):
        def __init__(self, node: Any) -> None:
            super().__init__(*reversed(node.weight.shape), bias=isinstance(node, nir.Affine))
            self.weight.data = torch.as_tensor(np.array(node.weight))
            if self.bias is not None:
                self.bias.data = torch.as_tensor(np.array(node.bias))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.double())

    def neurons(node: Any) -> Any:
        tau, rest, threshold = (torch.as_tensor(np.array(v)) for v in (node.tau, node.v_leak, node.v_threshold))
        parameters = norse.LIFBoxParameters(tau_mem_inv=1 / tau, v_leak=rest, v_th=threshold, reset_method=reset_value)
        return norse.LIFBoxCell(parameters, dt=float(node.metadata["dt"]))

    modules = {nir.Affine: Weights, nir.Linear: Weights, nir.LIF: neurons, nir.LI: Trace, nir.Delay: Trace}
    return lambda graph: nirtorch.nir_to_torch(graph, modules).double()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", ["default", "raw", "positions, several traces", "memory"])
def test_norse_computes_the_outputs_of_the_agent_from_raw_observations(
    case: str, read_by_norse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, settings = CASES[case]
    env = tracerl.make_env(name)
    agent = trained(env, settings)
    network = read_by_norse(tracerl.to_nir(agent, with_encoder=True))
    for observations, _, outputs in episodes(env, agent, monkeypatch):
        state = None
        with torch.no_grad():
            for observation, expected in zip(observations, outputs, strict=True):
                found, state = network(torch.from_numpy(observation), state)
                np.testing.assert_allclose(found, expected, atol=1e-5)


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
    agent = tracerl.make_agent(bytes_, settings=CHIP)
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
