"""Stream AC(lambda): traces and steps against an independent network, ends of episodes, start, and what it learns."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.stream_ac import StreamACAgent, TracedPerceptron, sparse_weight

import tests.worlds  # noqa: F401  registers the probes
from tests.helpers import lived, make_agent
from tracerl.checks import ConfigError
from tracerl.lives import Lives
from tracerl.view import view

AGENT, SMALL = "agent=stream_ac", "agent.hidden=[8,6]"
PLAIN = ("encoder.normalize=false", "agent.scale_reward=false")  # so that the tests see what the networks see


def agent_for(*overrides: str, dtype: torch.dtype = torch.float64, **options: Any) -> StreamACAgent:
    return make_agent(gym.make("CartPole-v1"), AGENT, SMALL, *overrides, dtype=dtype, **options)


def observation(i: int) -> np.ndarray:
    return np.random.default_rng(i).normal(size=4).astype(np.float32)


def twin_of(network: TracedPerceptron) -> torch.nn.Sequential:
    """The same network, written with the modules of torch.nn, with weights of its own."""
    pairs = [*network.hidden, network.readout]
    layers: list[torch.nn.Module] = []
    for weight, bias in pairs:
        n_out, n_in = weight.shape
        linear = torch.nn.Linear(n_in, n_out, dtype=torch.float64)
        linear.weight.data.copy_(weight.detach())
        linear.bias.data.copy_(bias.detach())
        layers += [linear, torch.nn.LayerNorm(n_out, elementwise_affine=False), torch.nn.LeakyReLU()]
    return torch.nn.Sequential(*layers[:-2])


def flat_gradient(objective: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(objective, list(network.parameters()))])


def move(network: torch.nn.Module, step: torch.Tensor) -> None:
    flat = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.nn.utils.vector_to_parameters(flat + step, network.parameters())


class Oracle:
    """The equations of the paper, with gradients that are asked for and not gathered, and nothing kept but traces."""

    def __init__(self, agent: StreamACAgent, tau: float) -> None:
        self.policy, self.critic, self.tau = twin_of(agent.policy), twin_of(agent.critic), tau
        self.z_theta = self.z_w = torch.zeros((), dtype=torch.float64)

    def learn(self, seen: Sequence[np.ndarray], action: int, reward: float, continues: bool) -> float:
        state, following = (torch.as_tensor(x, dtype=torch.float64) for x in seen)
        value = self.critic(state).squeeze()
        delta = reward + 0.99 * self.critic(following).item() * continues - value.item()
        policy = torch.distributions.Categorical(logits=self.policy(state))
        objective = policy.log_prob(torch.tensor(action)) + self.tau * np.sign(delta) * policy.entropy()
        self.z_w = 0.99 * 0.8 * self.z_w + flat_gradient(value, self.critic)
        self.z_theta = 0.99 * 0.8 * self.z_theta + flat_gradient(objective, self.policy)
        for network, trace, kappa in ((self.critic, self.z_w, 2.0), (self.policy, self.z_theta, 3.0)):
            reach = kappa * max(abs(delta), 1.0) * float(trace.abs().sum())
            move(network, delta * trace / max(1.0, reach))
        return delta


def assert_equal(agent: StreamACAgent, oracle: Oracle) -> None:
    for mine, its in ((agent.policy, oracle.policy), (agent.critic, oracle.critic)):
        flat = torch.nn.utils.parameters_to_vector(its.parameters())
        torch.testing.assert_close(mine.flat, flat.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(agent.policy.eligibility_trace, oracle.z_theta, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(agent.critic.eligibility_trace, oracle.z_w, rtol=1e-10, atol=1e-12)


def test_traces_and_steps_equal_the_equations() -> None:
    agent = agent_for(*PLAIN, "agent.entropy=0.3")
    oracle = Oracle(agent, 0.3)
    action = agent.start(observation(0))
    signs = set()
    for i in range(1, 12):
        reward = 3.0 * (-1) ** i
        following = agent.step(reward, observation(i))
        delta = oracle.learn([observation(i - 1), observation(i)], action, reward, True)
        assert agent.td_error == pytest.approx(delta, rel=1e-10)
        assert_equal(agent, oracle)
        action = following
        signs.add(delta > 0)
    assert signs == {True, False}  # both signs of the entropy bonus were there


@pytest.mark.parametrize("terminated", [True, False])
def test_truncation_bootstraps_termination_does_not_and_either_clears_the_traces(terminated: bool) -> None:
    agent = agent_for(*PLAIN)
    oracle = Oracle(agent, 0.01)
    for i in (0, 10):  # the second episode begins with no trace of the first
        first = agent.start(observation(i))
        second = agent.step(1.0, observation(i + 1))
        oracle.learn([observation(i), observation(i + 1)], first, 1.0, True)
        assert_equal(agent, oracle)
        agent.end(2.0, observation(i + 2), terminated)
        delta = oracle.learn([observation(i + 1), observation(i + 2)], second, 2.0, not terminated)
        assert agent.td_error == pytest.approx(delta, rel=1e-10)
        oracle.z_theta, oracle.z_w = torch.zeros_like(oracle.z_theta), torch.zeros_like(oracle.z_w)
        assert_equal(agent, oracle)
        for network in (agent.policy, agent.critic):
            assert all(not parameter.grad.any() for parameter in network.parameters)


def test_rewards_and_observations_are_scaled_and_the_rest_of_a_scale_outlives_the_episode() -> None:
    agent = agent_for()
    agent.start(observation(0))
    for i in range(1, 6):
        agent.step(5.0 * (i % 2), observation(i))
    agent.end(5.0, observation(6), terminated=True)
    seen = np.stack([observation(i) for i in range(7)]).astype(np.float64)
    expected = (seen[6] - seen.mean(0)) / seen.std(0, ddof=1)
    torch.testing.assert_close(agent.inputs[0], torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    assert agent.reward_scaler.discounted == 0
    assert agent.reward_scaler.moments.count == 6


def traced(lr: float, kappa: float) -> TracedPerceptron:
    network = agent_for(f"agent.lr={lr}", f"agent.kappa_value={kappa}").critic
    network.flat.zero_()
    network.eligibility_trace.zero_()
    network.eligibility_trace[:2] = torch.tensor([0.5, -1.5])  # of norm 2
    return network


@pytest.mark.parametrize(
    ("lr", "kappa", "td_error", "step_size"),
    [
        (0.125, 2.0, 0.5, 0.125),  # M = 1/8 2 1 2 = 1/2: not bounded, and |delta| below 1 counts as 1
        (1.0, 2.0, 0.5, 0.25),  # M = 1 2 1 2 = 4
        (1.0, 2.0, -5.0, 0.05),  # M = 1 2 5 2 = 20
        (0.5, 4.0, 3.0, 0.5 / 12),  # M = 1/2 4 3 2 = 12
    ],
)
def test_the_step_is_bounded_as_worked_by_hand(lr: float, kappa: float, td_error: float, step_size: float) -> None:
    network = traced(lr, kappa)
    network.update(td_error)
    assert network.step_size == pytest.approx(step_size, rel=1e-12)
    expected = torch.tensor([0.5, -1.5], dtype=torch.float64) * step_size * td_error
    torch.testing.assert_close(network.flat[:2], expected)
    assert not network.flat[2:].any()
    weight, _ = network.hidden[0]
    torch.testing.assert_close(weight.detach().flatten()[:2], expected)  # parameters are views of the buffer


@pytest.mark.parametrize(("n_in", "zeros"), [(128, 115), (100, 90), (10, 9), (6, 5), (4, 4)])
def test_every_unit_starts_with_nine_tenths_of_its_inputs_cut(n_in: int, zeros: int) -> None:
    weight = sparse_weight(n_in, 64, 0.9, Lives(0))
    assert ((weight == 0).sum(-1) == zeros).all()
    if zeros < n_in:
        kept = weight[weight != 0].abs() * math.sqrt(n_in)
        assert kept.max() <= 1 and kept.mean() == pytest.approx(0.5, abs=0.15)
        assert len({tuple(row) for row in (weight == 0).tolist()}) > 1  # not the same inputs in every unit


def test_a_bottom_layer_that_starts_at_zero_learns() -> None:
    agent = agent_for()
    weight, _ = agent.policy.hidden[0]
    assert not weight.any()
    agent.start(observation(0))
    for i in range(1, 4):  # the first standardised observation is zero
        agent.step(1.0, observation(i))
    assert weight.detach().abs().sum(-1).all()


def test_all_layers_of_both_networks_start_sparse_without_biases_and_apart() -> None:
    agent = agent_for("agent.hidden=[20,30]", "agent.sparsity=0.5")
    for network in (agent.policy, agent.critic):
        for weight, bias in (*network.hidden, network.readout):
            assert ((weight == 0).sum(-1) == weight.shape[1] // 2).all()
            assert not bias.any()
    assert not torch.equal(agent.policy.hidden[0][0], agent.critic.hidden[0][0])


def test_the_same_seed_gives_the_same_bits() -> None:
    (one, record), (other, again), (_, different) = (lived("CartPole-v1", 200, AGENT, seed=seed) for seed in (3, 3, 4))
    assert list(record.returns) == list(again.returns) != list(different.returns)
    for mine, its in ((one.policy, other.policy), (one.critic, other.critic)):
        assert torch.equal(mine.flat, its.flat)
        assert torch.equal(mine.eligibility_trace, its.eligibility_trace)


def test_memory_is_constant_and_no_graph_grows() -> None:
    agent = agent_for(dtype=torch.float32)
    agent.start(observation(0))
    where = [parameter.grad.data_ptr() for parameter in agent.policy.parameters]
    for i in range(200):
        agent.step(1.0, observation(i % 7))
    attributes = set(vars(agent))
    for i in range(200):
        agent.step(1.0, observation(i % 7))
    assert set(vars(agent)) == attributes
    assert [parameter.grad.data_ptr() for parameter in agent.policy.parameters] == where  # added to in place
    assert agent.policy.flat.grad_fn is None and not agent.policy.eligibility_trace.requires_grad
    for parameter in agent.policy.parameters + agent.critic.parameters:
        assert parameter.is_leaf
    assert not agent.inputs.requires_grad


def test_it_can_be_looked_into_frozen_and_greedy() -> None:
    agent = agent_for(*PLAIN)
    agent.start(observation(0))
    agent.freeze()
    agent.act_greedily()
    weights = [network.flat.detach().clone() for network in (agent.policy, agent.critic)]
    for i in range(1, 6):
        action = agent.step(1.0, observation(i))
        seen = view(agent)
        assert seen.probabilities is not None and action == seen.probabilities.argmax() and len(seen.layers) == 0
        assert seen.td_error == agent.td_error != 0
        value = agent.critic(torch.as_tensor(observation(i), dtype=torch.float64).unsqueeze(0)).item()
        assert seen.value == pytest.approx(value)
    for network, before in zip((agent.policy, agent.critic), weights, strict=True):
        assert torch.equal(network.flat, before)
        assert network.eligibility_trace.abs().sum() > 0  # all else goes on


def test_the_contrast_encoder_doubles_the_inputs() -> None:
    agent = agent_for("encoder=contrast")
    assert agent.start(observation(0)) in (0, 1)
    assert agent.policy.hidden[0][0].shape == (8, 8)


def test_actions_start_where_the_space_says() -> None:
    env = gym.make("CartPole-v1")
    env.unwrapped.action_space = gym.spaces.Discrete(2, start=5)
    agent = make_agent(env, AGENT, SMALL)
    assert {agent.start(observation(i)) for i in range(30)} == {5, 6}


def test_diagnostics_average_since_the_last_look() -> None:
    agent = agent_for()
    assert agent.diagnostics()["learn/td_error"] == 0
    agent.start(observation(0))
    seen = []
    for i in range(1, 20):
        entropy = agent.head.entropy().item()
        agent.step(float(i % 3), observation(i))
        seen.append((agent.td_error, abs(agent.td_error), entropy, agent.critic.step_size))
    found = agent.diagnostics()
    tags = ("learn/td_error", "learn/td_error_magnitude", "learn/entropy", "learn/step_size_value")
    assert [found[tag] for tag in tags] == pytest.approx(np.mean(seen, 0))
    assert found["learn/trace_norm_policy"] == pytest.approx(float(agent.policy.eligibility_trace.norm()))
    agent.step(0.0, observation(99))
    assert agent.diagnostics()["learn/td_error"] == pytest.approx(agent.td_error)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("agent.hidden=[]", "hidden"),
        ("agent.hidden=128", "hidden"),
        ("agent.hidden=[8,0]", "hidden"),
        ("agent.sparsity=1", "sparsity"),
        ("agent.sparsity=0.99", "sparsity"),  # of 6 hidden units, none would be left
        ("agent.discount=1.1", "discount"),
        ("agent.trace_decay=-0.1", "trace_decay"),
        ("agent.entropy=-1", "entropy"),
        ("agent.lr=0", "lr"),
        ("agent.kappa_policy=0", "kappa_policy"),
        ("agent.kappa_value=-1", "kappa_value"),
        ("agent.scale_reward=2", "scale_reward"),
    ],
)
def test_bad_settings_name_their_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(override)


def test_a_trace_that_would_never_fade_is_refused() -> None:
    with pytest.raises(ConfigError, match="^trace_decay must be below 1"):
        agent_for("agent.discount=1", "agent.trace_decay=1")


def test_many_lives_are_refused() -> None:
    with pytest.raises(ValueError, match="one life"):
        agent_for(seed=[0, 1])


# What it can learn.


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_a_bandit(seed: int) -> None:
    _, record = lived("Bandit-v0", 500, AGENT, seed=seed)
    assert record.mean_return() >= 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_a_bandit_that_needs_the_observation(seed: int) -> None:
    _, record = lived("ContextualBandit-v0", 600, AGENT, seed=seed)
    assert record.mean_return() >= 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_reward_one_step_after_the_action_that_earned_it(seed: int) -> None:
    _, record = lived("DelayedReward-v0", 800, AGENT, seed=seed)
    assert record.mean_return() >= 0.9
