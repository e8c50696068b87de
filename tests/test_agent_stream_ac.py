"""Stream AC(lambda): traces and updates against autograd, ends of episodes, initial weights, learning of probes."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.stream_ac import StreamACAgent

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import make_agent, run_one_lifetime
from tracerl.config.checks import ConfigError
from tracerl.nn.layers.rectified import sparse_weight
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Perceptron
from tracerl.optim import ObGD
from tracerl.rules.reflect import TraceLearner

AGENT, SMALL = "agent=stream_ac", "agent.hidden=[8,6]"
PLAIN = ("encoder.normalize=false", "agent.scale_reward=false")  # so that the networks get the observations unchanged


def agent_for(*overrides: str, dtype: torch.dtype = torch.float64, **options: Any) -> StreamACAgent:
    return make_agent(gym.make("CartPole-v1"), AGENT, SMALL, *overrides, dtype=dtype, **options)


def observation(i: int) -> np.ndarray:
    return np.random.default_rng(i).normal(size=4).astype(np.float32)


def parameters_of(learner: TraceLearner) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The weights and biases of each layer, bottom first."""
    network = learner.network
    assert isinstance(network, Perceptron)
    return [(layer.weight, layer.bias) for layer in [*network.in_a_row, network.readout]]


def of_learner(flat: torch.Tensor, learner: TraceLearner) -> torch.Tensor:
    """Return a learner's ``flat`` in the order of torch.nn's parameters: weights, biases, per layer."""
    network, start, found = learner.network, 0, []
    for layer in [*network.in_a_row, network.readout]:
        n = layer.affine.numel()
        block = flat[start : start + n].view(layer.affine.shape)
        block = block if layer is network.readout else block.T  # [n_out, n_in + 1]
        found += [block[:, :-1].flatten(), block[:, -1]]
        start += n
    return torch.cat(found)


def torch_network_of(learner: TraceLearner) -> torch.nn.Sequential:
    """Return the same network of torch.nn modules, with a copy of the weights."""
    layers: list[torch.nn.Module] = []
    for weight, bias in parameters_of(learner):
        n_out, n_in = weight.shape
        linear = torch.nn.Linear(n_in, n_out, dtype=torch.float64)
        linear.weight.data.copy_(weight)
        linear.bias.data.copy_(bias)
        layers += [linear, torch.nn.LayerNorm(n_out, elementwise_affine=False), torch.nn.LeakyReLU()]
    return torch.nn.Sequential(*layers[:-2])


def flat_gradient(objective: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(objective, list(network.parameters()))])


def move(network: torch.nn.Module, step: torch.Tensor) -> None:
    flat = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.nn.utils.vector_to_parameters(flat + step, network.parameters())


class Oracle:
    """The equations of the paper, with gradients by autograd; the only state is the traces."""

    def __init__(self, agent: StreamACAgent, tau: float) -> None:
        self.policy, self.critic, self.tau = torch_network_of(agent.policy), torch_network_of(agent.critic), tau
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
    for mine, its, trace in ((agent.policy, oracle.policy, oracle.z_theta), (agent.critic, oracle.critic, oracle.z_w)):
        flat = torch.nn.utils.parameters_to_vector(its.parameters()).detach()
        torch.testing.assert_close(of_learner(mine.network.flat, mine), flat, rtol=1e-10, atol=1e-12)
        found = of_learner(mine.eligibility_trace, mine)
        torch.testing.assert_close(found, trace.expand_as(found), rtol=1e-10, atol=1e-12)


def test_traces_and_updates_equal_the_equations_of_the_paper() -> None:
    agent = agent_for(*PLAIN, "agent.entropy=0.3")
    oracle = Oracle(agent, 0.3)
    action = agent.start(observation(0))
    signs = set()
    for i in range(1, 12):
        reward = 3.0 * (-1) ** i
        following = agent.step(reward, observation(i))
        delta = oracle.learn([observation(i - 1), observation(i)], action, reward, True)
        assert float(agent.signal) == pytest.approx(delta, rel=1e-10)
        assert_equal(agent, oracle)
        action = following
        signs.add(delta > 0)
    assert signs == {True, False}  # both signs of the entropy bonus occurred


@pytest.mark.parametrize("terminated", [True, False])
def test_truncation_bootstraps_termination_does_not_and_both_clear_the_traces(terminated: bool) -> None:
    agent = agent_for(*PLAIN)
    oracle = Oracle(agent, 0.01)
    for i in (0, 10):  # the second episode begins with zero traces
        first = agent.start(observation(i))
        second = agent.step(1.0, observation(i + 1))
        oracle.learn([observation(i), observation(i + 1)], first, 1.0, True)
        assert_equal(agent, oracle)
        agent.end(2.0, observation(i + 2), terminated)
        delta = oracle.learn([observation(i + 1), observation(i + 2)], second, 2.0, not terminated)
        assert float(agent.signal) == pytest.approx(delta, rel=1e-10)
        oracle.z_theta, oracle.z_w = torch.zeros_like(oracle.z_theta), torch.zeros_like(oracle.z_w)
        assert_equal(agent, oracle)


def test_rewards_and_observations_are_scaled_by_statistics_kept_across_episodes() -> None:
    agent = agent_for()
    agent.start(observation(0))
    for i in range(1, 6):
        agent.step(5.0 * (i % 2), observation(i))
    agent.end(5.0, observation(6), terminated=True)
    seen = np.stack([observation(i) for i in range(7)]).astype(np.float64)
    expected = (seen[6] - seen.mean(0)) / seen.std(0, ddof=1)
    torch.testing.assert_close(
        agent.critic.network.in_a_row[0].inputs[:-1], torch.from_numpy(expected), rtol=1e-6, atol=1e-6
    )
    assert agent.reward_scaler.discounted == 0
    assert agent.reward_scaler.moments.count == 6


@pytest.mark.parametrize(("n_in", "zeros"), [(128, 115), (100, 90), (10, 9), (6, 5), (4, 4)])
def test_nine_tenths_of_the_initial_weights_of_every_unit_are_zero(n_in: int, zeros: int) -> None:
    weight = sparse_weight(n_in, 64, 0.9, Lifetimes(0))
    assert ((weight == 0).sum(-1) == zeros).all()
    if zeros < n_in:
        kept = weight[weight != 0].abs() * math.sqrt(n_in)
        assert kept.max() <= 1 and kept.mean() == pytest.approx(0.5, abs=0.15)
        assert len({tuple(row) for row in (weight == 0).tolist()}) > 1  # not the same inputs in every unit


def test_first_layer_initialised_at_zero_learns() -> None:
    agent = agent_for()
    weight, _ = parameters_of(agent.policy)[0]
    assert not weight.any()
    agent.start(observation(0))
    for i in range(1, 4):  # the first standardised observation is zero
        agent.step(1.0, observation(i))
    assert weight.abs().sum(-1).all()


def test_initial_layers_of_both_networks_are_sparse_without_biases_and_different() -> None:
    agent = agent_for("agent.hidden=[20,30]", "agent.sparsity=0.5")
    for network in (agent.policy, agent.critic):
        for weight, bias in parameters_of(network):
            assert ((weight == 0).sum(-1) == weight.shape[1] // 2).all()
            assert not bias.any()
    policy, critic = (parameters_of(learner)[0][0] for learner in (agent.policy, agent.critic))
    assert not torch.equal(policy, critic)


def test_same_seed_is_bit_identical() -> None:
    (one, record), (other, again), (_, different) = (
        run_one_lifetime("CartPole-v1", 100, AGENT, seed=seed) for seed in (3, 3, 4)
    )
    assert list(record.returns) == list(again.returns) != list(different.returns)
    for mine, its in ((one.policy, other.policy), (one.critic, other.critic)):
        assert torch.equal(mine.network.flat, its.network.flat)
        assert torch.equal(mine.eligibility_trace, its.eligibility_trace)


def test_contrast_encoder_multiplies_the_number_of_inputs() -> None:
    agent = agent_for("encoder=contrast")
    assert agent.start(observation(0)) in (0, 1)
    assert parameters_of(agent.policy)[0][0].shape == (8, 12)


def test_actions_begin_at_the_start_of_the_discrete_space() -> None:
    env = gym.make("CartPole-v1")
    env.unwrapped.action_space = gym.spaces.Discrete(2, start=5)
    agent = make_agent(env, AGENT, SMALL)
    assert {agent.start(observation(i)) for i in range(30)} == {5, 6}


def test_diagnostics_average_since_the_previous_call() -> None:
    agent = agent_for()
    assert agent.diagnostics()["learn/td_error"] == 0
    agent.start(observation(0))
    seen = []
    for i in range(1, 20):
        entropy = agent.head.entropy().item()
        agent.step(float(i % 3), observation(i))
        seen.append((float(agent.signal), abs(float(agent.signal)), entropy, float(agent.critic.step_rule.step_size)))
    found = agent.diagnostics()
    tags = ("learn/td_error", "learn/td_error_magnitude", "learn/entropy", "learn/step_size_value")
    assert [found[tag] for tag in tags] == pytest.approx(np.mean(seen, 0))
    assert found["learn/trace_norm_policy"] == pytest.approx(float(agent.policy.eligibility_trace.norm()))
    agent.step(0.0, observation(99))
    assert agent.diagnostics()["learn/td_error"] == pytest.approx(float(agent.signal))


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
        ("agent.scale_reward=2", "scale_reward"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(override)


def test_obgd_settings_of_the_agent_equal_those_of_the_optimizer() -> None:
    named = agent_for("agent.lr=0.5", "agent.kappa_policy=4", "agent.kappa_value=5")
    rules = [rule.settings for rule in named._rules()]
    assert rules == [ObGD(0.5, 4.0), ObGD(0.5, 5.0)]
    plain = [rule.settings for rule in agent_for("agent.kappa_value=5")._rules()]
    assert plain == [ObGD(1.0, 3.0), ObGD(1.0, 5.0)]


def test_trace_decay_of_one_raises_an_error() -> None:
    with pytest.raises(ConfigError, match="^trace_decay must be below 1"):
        agent_for("agent.discount=1", "agent.trace_decay=1")


# Learning of probes.


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_bandit(seed: int) -> None:
    _, record = run_one_lifetime("Bandit-v0", 150, AGENT, seed=seed)
    assert record.mean_return() >= 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_contextual_bandit(seed: int) -> None:
    _, record = run_one_lifetime("ContextualBandit-v0", 300, AGENT, seed=seed)
    assert record.mean_return() >= 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_reward_delayed_by_one_step(seed: int) -> None:
    _, record = run_one_lifetime("DelayedReward-v0", 400, AGENT, seed=seed)
    assert record.mean_return() >= 0.9
