"""Stream AC(lambda): traces and updates against autograd, ends of episodes, initial weights, learning of probes."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.stream_ac import StreamACAgent

from tests.helpers import make_agent, run_one_lifetime
from tests.toy_envs import Space  # registers the probes
from tracerl.config.checks import ConfigError
from tracerl.nn.layers.rectified import sparse_weight
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Perceptron
from tracerl.optim import ObGD
from tracerl.rules.reflect import TraceLearner

AGENT, SMALL = "agent=stream_ac", "agent.hidden=[8,6]"
CONV = ("agent.channels=[3,4]", "agent.kernel=[3,2]", "agent.stride=[1,2]")
SHAPE = (2, 7, 6)  # channels, height, width
PLAIN = ("encoder.normalize=false", "agent.scale_reward=false")  # so that the networks get the observations unchanged


def agent_for(*overrides: str, dtype: torch.dtype = torch.float64, **options: Any) -> StreamACAgent:
    return make_agent(gym.make("CartPole-v1"), AGENT, SMALL, *overrides, dtype=dtype, **options)


def agent_for_images(*overrides: str, shape: tuple[int, ...] = SHAPE) -> StreamACAgent:
    return make_agent(Space(shape, 3), AGENT, SMALL, *CONV, *overrides, dtype=torch.float64)


def observation(i: int, size: int | tuple[int, ...] = 4) -> np.ndarray:
    return np.random.default_rng(i).normal(size=size).astype(np.float32)


def parameters_of(learner: TraceLearner) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The weights and biases of each layer, bottom first."""
    network = learner.network
    assert isinstance(network, Perceptron)
    layers = [getattr(layer, "synapses", layer) for layer in network.in_a_row]
    return [(layer.weight, layer.bias) for layer in [*layers, network.readout]]


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
    parts = [getattr(layer, "synapses", None) for layer in learner.network.in_a_row] + [None]
    for synapses, (weight, bias) in zip(parts, parameters_of(learner), strict=True):
        n_out, n_in = weight.shape
        shape = synapses.out_shape if synapses else (n_out,)
        if synapses:
            planes = synapses.in_shape.channels
            linear: Any = torch.nn.Conv2d(planes, n_out, synapses.kernel, synapses.stride, dtype=torch.float64)
            layers.append(torch.nn.Unflatten(0, synapses.in_shape))
        else:
            linear = torch.nn.Linear(n_in, n_out, dtype=torch.float64)
        linear.weight.data.copy_(weight.reshape(linear.weight.shape))
        linear.bias.data.copy_(bias)
        norm = torch.nn.LayerNorm(shape, elementwise_affine=False)
        layers += [linear, norm, torch.nn.LeakyReLU(), torch.nn.Flatten(0)]
    return torch.nn.Sequential(*layers[:-3])


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
        state, following = (torch.as_tensor(x, dtype=torch.float64).flatten() for x in seen)
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


@pytest.mark.parametrize(("make", "size"), [(agent_for, 4), (agent_for_images, SHAPE)], ids=["dense", "convolutions"])
def test_traces_and_updates_equal_the_equations_of_the_paper(make: Any, size: Any) -> None:
    agent = make(*PLAIN, "agent.entropy=0.3")
    oracle = Oracle(agent, 0.3)
    action = agent.start(observation(0, size))
    signs = set()
    for i in range(1, 12):
        reward = 3.0 * (-1) ** i
        following = agent.step(reward, observation(i, size))
        delta = oracle.learn([observation(i - 1, size), observation(i, size)], action, reward, True)
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


@pytest.mark.parametrize("make", [agent_for, agent_for_images], ids=["dense", "convolutions"])
def test_initial_layers_of_both_networks_are_sparse_without_biases_and_different(make: Any) -> None:
    agent = make("agent.hidden=[20,30]", "agent.sparsity=0.5")
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
        ("agent.kernel=abc", "kernel"),
        ("agent.stride=-3", "stride"),
        ("agent.kernel=[8,0]", "kernel"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(override)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("agent.channels=16", "channels must be a list"),
        ("agent.kernel=0", "kernel must be a whole number"),
        ("agent.stride=[1]", "stride must be one number or 2 of them"),
        ("agent.kernel=[3,6]", "kernel must fit the image, got 6 for one of 5 x 4"),
        ("agent.sparsity=0.97", "sparsity must be low enough to keep one of 6 weights"),
    ],
)
def test_invalid_convolutions_raise_an_error_naming_the_key(override: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}"):
        agent_for_images(override)
    with pytest.raises(ConfigError, match="^channels needs observations of two to four dimensions"):
        agent_for("agent.channels=[3]")


@pytest.mark.parametrize(
    ("shape", "kernels", "widths"),
    [((10, 10, 4), [3], [16 * 8 * 8, 128]), ((4, 84, 84), [8, 4, 3], [32 * 16 * 16, 64 * 5 * 5, 64 * 2 * 2, 256])],
)
def test_images_have_the_networks_of_the_paper_by_their_size(
    shape: tuple[int, ...], kernels: list[int], widths: list[int]
) -> None:
    agent = make_agent(Space(shape, 3), "agent=stream_ac_conv")
    for network in (agent.policy.network, agent.critic.network):
        assert [layer.n_out for layer in network.in_a_row] == widths
        assert [layer.synapses.kernel for layer in network.in_a_row[:-1]] == kernels
    assert agent.encoder.normalizer is None


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


def test_probe_image() -> None:
    _, record = run_one_lifetime("Image-v0", 600, AGENT, "agent.channels=[8]", "agent.hidden=[32]")
    assert record.mean_return() >= 0.8
