"""An agent exported as one program takes the same actions, and its file holds nothing else."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import tracerl
from tracerl.export.program import onnx_bytes, program_of, torch_export_bytes
from tracerl.export.program_modules import Choice
from tracerl.nn.heads import HeadSettings, head_for
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream

AGENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "default": ("CartPole", "reflect", {}),
    "contrast, adaptive, ticks": (
        "CartPole",
        "reflect",
        {"encoder": "contrast", "network": "alif", "network.recurrent_scale": 0.5, "network.ticks": 3},
    ),
    "contrasts": ("CartPolePositions", "reflect", {"encoder": "contrast", "encoder.trace_decay": [0.5, 0.99]}),
    "memory": ("CartPolePositions", "reflect", {"encoder.trace_decay": [], "encoder.memory_decay": [0.5, 0.99]}),
    "synaptic, two layers": ("CartPole", "reflect", {"network": "synaptic", "network.hidden": [16, 8]}),
    "ternary": ("CartPole", "reflect", {"network.neuron": "ternary", "network.ticks": 2}),
    "ternary, hard": ("CartPole", "reflect", {"network.neuron": "ternary", "network.reset": "hard"}),
    "graph": ("CartPole", "reflect", {"network": "graph", "network.credit": "presynaptic"}),
    "eprop": ("CartPole", "eprop", {"network.hidden": [16]}),
    "classic": ("CartPole", "reflect_classic", {}),
    "action values": ("CartPole", "q_lambda", {"engine": "torch"}),
    "means of atoms": ("CartPole", "q_lambda", {"engine": "torch", "agent.atoms": 5}),
    "continuous": ("MountainCarContinuous", "reflect", {"network.hidden": [16]}),
    "images": (
        "MinAtarBreakout",
        "reflect",
        {
            "network": "conv",
            "encoder": "raw",
            "network.channels": [2],
            "network.pool": 2,
            "network.pool_kind": "max",
            "network.credit": "presynaptic",
        },
    ),
}


@pytest.mark.parametrize("name", AGENTS)
def test_program_takes_the_actions_of_its_agent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, kind, settings = AGENTS[name]
    env = tracerl.make_env(runner)
    agent: Any = tracerl.make_agent(
        env, kind, {"engine": "torch", **settings} if kind == "reflect" else settings, seed=1
    )
    tracerl.live(agent, env, 60).finish()
    agent.reset_episode()
    agent.freeze()
    agent.act_greedily()
    program = program_of(agent)
    _stop_averaging(agent.encoder.normalizer, monkeypatch)
    layers = agent.parts()["policy"].network.layers
    observation, _ = env.reset(seed=3)
    expected, state, fired = agent.start(observation), torch.zeros(program.n_state), 0.0
    for _ in range(200):
        action, outputs, state = program(torch.tensor(np.ravel(observation), dtype=torch.float32), state)
        spikes = torch.cat([state[place] for part, place in program.places.items() if part.startswith("spikes")])
        assert torch.equal(spikes, torch.cat([layer.spikes for layer in layers]))
        np.testing.assert_allclose(action.numpy(), np.ravel(expected), atol=1e-6)
        assert len(outputs) == agent.head.n_outputs
        fired += float(spikes.abs().mean()) / 200
        observation, reward, terminated, truncated, _ = env.step(expected)
        if terminated or truncated:
            agent.end(float(reward), observation, terminated)
            observation, _ = env.reset()
            expected, state = agent.start(observation), torch.zeros_like(state)
        else:
            expected = agent.step(float(reward), observation)
    assert 0.01 < fired < 0.99
    env.close()


def _stop_averaging(normalizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeze a normaliser, as in a program."""
    mean, deviation = normalizer.moments.mean.clone(), normalizer.moments.deviation()
    clip = normalizer.clip
    monkeypatch.setattr(normalizer, "forward", lambda x: ((x - mean) / deviation).clamp(-clip, clip))


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(4, start=-2),
        gym.spaces.MultiDiscrete([3, 2, 4], start=[1, 0, -1]),
        gym.spaces.MultiBinary([2, 3]),
        gym.spaces.Box(np.float32([-1, 0]), np.float32([3, 0.5])),
    ],
    ids=lambda space: type(space).__name__,
)
@pytest.mark.parametrize("bins", [None, 3])
def test_action_is_the_mode_of_the_head(space: Any, bins: int | None) -> None:
    lifetimes = Lifetimes(0)
    head = head_for(space, lifetimes, HeadSettings(bins=bins))
    head.greedy = True
    choice, stream = Choice(head), UniformStream(lifetimes)
    seen = set()
    for outputs in torch.randn(40, head.n_outputs, generator=torch.Generator().manual_seed(0)):
        head.sample(outputs, stream)
        np.testing.assert_allclose(choice(outputs).numpy(), np.ravel(head.chosen()), rtol=1e-6)
        seen.add(tuple(choice(outputs).tolist()))
    assert len(seen) > 3


@pytest.mark.parametrize("critic", [{}, {"neuron": "graded"}, {"neuron": "graded", "surrogate": "triangle"}], ids=str)
def test_program_of_a_critic_has_a_value_and_no_action(critic: dict[str, str]) -> None:
    env = tracerl.make_env("CartPole")
    settings = {"engine": "torch", "encoder": "raw", "network.output_scale": 1.0, "agent.critic": critic}
    agent: Any = tracerl.make_agent(env, settings=settings)
    program = program_of(agent, "value")
    state = torch.zeros(program.n_state)
    for observation in torch.randn(20, 4, generator=torch.Generator().manual_seed(0)):
        value, state = program(observation, state)
        torch.testing.assert_close(value, agent.critic.network(observation))
    assert state.shape == (program.n_state,)


def test_onnx_of_convolutions_in_float64_raises_an_error() -> None:
    env = tracerl.make_env("MinAtarBreakout")
    program = program_of(tracerl.make_agent(env, settings={"dtype": "float64", "engine": "torch"}))
    with pytest.raises(
        tracerl.ConfigError, match="^dtype must be float32 for an ONNX program with convolutions, .*--pt2"
    ):
        onnx_bytes(program)


def test_encoder_that_samples_raises_an_error() -> None:
    env = tracerl.make_env("CartPole")
    with pytest.raises(tracerl.ConfigError, match="encoder must be raw or contrast for a program, got rate"):
        program_of(tracerl.make_agent(env, settings={"encoder": "rate", "network.ticks": 2}))


def test_file_holds_only_the_sliced_tensors() -> None:
    env = tracerl.make_env("CartPole")
    settings = {"network": "dense", "encoder": "raw", "network.hidden": [512], "engine": "torch"}
    program = program_of(tracerl.make_agent(env, settings=settings))
    numbers = sum(buffer.numel() for buffer in program.buffers())
    assert len(torch_export_bytes(program)) < 4 * numbers + 60_000
