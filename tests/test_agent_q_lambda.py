"""Q(lambda) and Sarsa(lambda): gradients, the order of a step, exploration, both engines, what is learned."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.q_lambda import QLambdaAgent

import tests.toy_envs  # noqa: F401  registers the probes
from tests.engines import assert_same_state, pair, short_and_long, step_together
from tests.helpers import make_agent, observation, run_many_lifetimes, run_one_lifetime, some_steps
from tests.oracles import initial_state, parameters_of, scores_of, tick
from tracerl.config.checks import ConfigError
from tracerl.lifetime.protocol import StepType
from tracerl.nn import functional as F

Q, PERCEPTRON = "agent=q_lambda", "agent=stream_q"
SMALL = "network.hidden=[9]"
EXPLORING = ("agent.epsilon_start=0.5", "agent.epsilon_end=0.5")
STATELESS = ("network.membrane_decay=0", "network.readout_decay=0", "network.credit=auto", "network.layer_norm=false")
TARGETS = ("watkins", "sarsa", "expected_sarsa")

CASES = {
    "watkins": (SMALL,),
    "sarsa": (SMALL, "agent.target=sarsa", *EXPLORING),
    "expected sarsa": (SMALL, "agent.target=expected_sarsa", "agent.steps=60"),
    "atoms": (SMALL, "agent.atoms=7", "network.output_scale=1", "agent.value_range=3", *EXPLORING),
    "two layers, intentional": ("network.hidden=[7,5]", "optimizer=intentional", "network.output_scale=1", *EXPLORING),
    "obgd, two ticks": (SMALL, "optimizer=obgd", "network.ticks=2", "network.output_scale=1", *EXPLORING),
}


def agent_for(*overrides: str) -> QLambdaAgent:
    return make_agent(gym.make("CartPole-v1"), Q, "network.output_scale=1", *overrides, dtype=torch.float64)


@pytest.mark.parametrize("atoms", [1, 5])
def test_gradient_of_the_action_value_equals_autograd(atoms: int) -> None:
    """Without state over time, autograd through one step is exact."""
    agent = agent_for(*STATELESS, "network.hidden=[7,5]", f"agent.atoms={atoms}", "agent.value_range=2")
    some_steps(agent)
    network, action = agent.policy.network, int(agent.head.action)
    parameters = {name: value.requires_grad_() for name, value in parameters_of(network).items()}
    seen = network.layers[0].synapses.inputs[:-1].clone()
    agent.step(2.0, observation(50))
    outputs = torch.stack(list(tick(parameters, initial_state(network), seen, network)[1])).reshape(2, atoms)
    row = outputs[action]
    value = row[0] if atoms == 1 else row.softmax(0) @ torch.linspace(-2, 2, atoms, dtype=torch.float64)
    value.backward()
    for name, score in scores_of(network).items():
        torch.testing.assert_close(score, parameters[name].grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("explored", [0, 1])
def test_one_step_follows_the_order_of_the_docstring(target: str, explored: int) -> None:
    agent = agent_for("optimizer=sgd", f"agent.target={target}", *EXPLORING)
    some_steps(agent)
    agent.head.explored.fill_(explored)
    clone, ahead = copy.deepcopy(agent), copy.deepcopy(agent)
    agent.step(2.0, observation(50))
    with torch.inference_mode():
        features = clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64))
        values = ahead.policy.network(features)
        drawn = ahead.stream.draw()
        best = int(values.argmax())
        probabilities = torch.full((2,), 0.25, dtype=torch.float64)
        probabilities[best] += 0.5
        found = {"watkins": values.max(), "expected_sarsa": probabilities @ values}
        found["sarsa"] = values[int(drawn >= probabilities[0])]
        scaled = clone.reward_scaler(torch.tensor(2.0, dtype=torch.float64))
        delta = F.td_error(scaled, clone.value, found[target], 0.99, torch.ones(()))
        network = clone.policy.network
        network.backward(torch.eye(2, dtype=torch.float64)[int(clone.head.action)])
        kept = 0.0 if target == "watkins" and explored else 0.99 * 0.8
        network.flat.add_(1e-3 * delta * (kept * clone.policy.eligibility_trace + network.score))
        torch.testing.assert_close(agent.signal, delta)
        torch.testing.assert_close(agent.policy.network.flat, network.flat)
        torch.testing.assert_close(agent.head.values, network(features))  # with the new parameters
        torch.testing.assert_close(agent.value, agent.head.values[int(agent.head.action)])


def test_epsilon_falls_over_its_share_of_the_run() -> None:
    agent = agent_for("agent.steps=40", "agent.epsilon_share=0.5", "agent.epsilon_start=0.8", "agent.epsilon_end=0.2")
    assert float(agent.head.epsilon()) == pytest.approx(0.8)
    agent.start(observation(0))
    for i in range(1, 10):
        agent.step(1.0, observation(i))
    assert agent.diagnostics()["learn/epsilon"] == pytest.approx(0.5)
    for i in range(30):
        agent.step(1.0, observation(i))
    assert float(agent.head.epsilon()) == pytest.approx(0.2)


def test_actions_explore_with_probability_epsilon() -> None:
    agent = agent_for("agent.epsilon_start=0.4", "agent.epsilon_end=0.4", "engine=fused")
    agent.start(observation(0))
    explored = []
    for i in range(2000):
        agent.step(1.0, observation(i))
        explored.append(int(agent.head.explored))
    assert np.mean(explored) == pytest.approx(0.2, abs=0.03)  # half of the random actions are the best one
    agent.act_greedily()
    for i in range(50):
        agent.step(1.0, observation(i))
        assert int(agent.head.explored) == 0
        assert int(agent.head.action) == int(agent.head.values.argmax())


@pytest.mark.parametrize("agent", [Q, PERCEPTRON])
@pytest.mark.parametrize(("case", "steps"), short_and_long(CASES))
def test_fused_equals_torch_step_by_step(agent: str, case: str, steps: int) -> None:
    spiking = ("network.ticks", "network.output_scale")
    settings = [setting for setting in CASES[case] if agent == Q or not setting.startswith(spiking)]
    settings += ["network.sparsity=0.5"]  # the default leaves none of four weights: the currents would be zero
    step_together(pair(4, 3, agent, *settings, dtype=torch.float64), 4, steps, joined_every=20)


@pytest.mark.parametrize("agent", [Q, PERCEPTRON])
@pytest.mark.parametrize("seeds", [[4], [4, 5, 6]], ids=str)
def test_fused_equals_torch_over_images(agent: str, seeds: list[int]) -> None:
    settings = ("network.channels=[3]", "network.hidden=[7]", "agent.target=sarsa", *EXPLORING)
    agents = pair((6, 5, 2), 3, agent, *settings, seed=seeds, dtype=torch.float64)
    n, rng, ended = len(seeds), np.random.default_rng(0), np.ones(len(seeds), bool)
    for i in range(120):
        going_on = rng.choice([*[StepType.MID] * 18, StepType.TERMINATED, StepType.TRUNCATED], n)
        step_types = np.where(ended, StepType.FIRST, going_on)
        rewards, seen, ended = rng.normal(size=n), rng.normal(size=(n, 6, 5, 2)), step_types > StepType.MID
        np.testing.assert_array_equal(*(one.advance(step_types, rewards, seen) for one in agents))
        if i % 30 == 29:
            assert_same_state(agents)
            agents[1].restore(agents[0].capture())  # rounding errors grow


@pytest.mark.parametrize("target", TARGETS)
def test_many_lifetimes_equal_single_ones(target: str) -> None:
    settings = (Q, SMALL, f"agent.target={target}", "agent.steps=150", "network.output_scale=1")
    together, _ = run_many_lifetimes("CartPole-v1", 150, *settings, seeds=[3, 4], dtype=torch.float64)
    for i, seed in enumerate([3, 4]):
        alone, _ = run_one_lifetime("CartPole-v1", 150, *settings, seed=seed, dtype=torch.float64)
        torch.testing.assert_close(together.policy.network.flat[i], alone.policy.network.flat, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("settings", [(Q,), (Q, "agent.target=sarsa", "agent.atoms=11"), (PERCEPTRON,)], ids=str)
def test_probe_reward_delayed_by_one_step(settings: tuple[str, ...]) -> None:
    _, record = run_one_lifetime("DelayedReward-v0", 1500, *settings, "agent.steps=1500", seed=0)
    assert record.mean_return() >= 0.9


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("agent.target=q",), "^target must be one of watkins, sarsa, expected_sarsa"),
        (("agent.epsilon_start=2",), "^epsilon_start must be"),
        (("agent.epsilon_share=0",), "^epsilon_share must be"),
        (("agent.atoms=0",), "^atoms must be"),
        (("agent.value_range=0",), "^value_range must be"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(overrides: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_agent(gym.make("CartPole-v1"), Q, *overrides)


def test_continuous_actions_raise_an_error_naming_the_env() -> None:
    with pytest.raises(ConfigError, match="^env must have a Discrete action space"):
        make_agent(gym.make("Pendulum-v1"), Q)
