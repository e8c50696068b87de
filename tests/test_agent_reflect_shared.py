"""The default agent with one network for policy and value: its gradient, the order of a step, its settings."""

import copy

import gymnasium as gym
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import make_agent, observation, run_one_lifetime, some_steps
from tests.oracles import initial_state, parameters_of, scores_of, tick
from tracerl.config.checks import ConfigError
from tracerl.nn import functional as F
from tracerl.nn.views import view

SHARED = ("network.hidden=[16]", "agent.trunk=shared")
STATELESS = ("network.membrane_decay=0", "network.readout_decay=0", "network.credit=auto", "network.layer_norm=false")


def agent_for(*overrides: str) -> ReflectAgent:
    return make_agent(gym.make("CartPole-v1"), *SHARED, *overrides, dtype=torch.float64)


@pytest.mark.parametrize("hidden", ["[9]", "[7,5]"])
def test_gradient_of_the_sum_equals_autograd(hidden: str) -> None:
    """Without state over time, autograd through one step is exact."""
    weights = ("agent.value_weight=0.7", "agent.entropy=0.3", "network.output_scale=1")
    agent = agent_for(*STATELESS, *weights, f"network.hidden={hidden}")
    some_steps(agent)
    network, action = agent.policy.network, int(agent.head.action)
    parameters = {name: value.requires_grad_() for name, value in parameters_of(network).items()}
    seen = network.layers[0].synapses.inputs[:-1].clone()
    agent.step(2.0, observation(50))
    *outputs, value = tick(parameters, initial_state(network), seen, network)[1]
    log_pi = torch.stack(outputs).log_softmax(0)
    entropy = -(log_pi.exp() * log_pi).sum()
    (0.7 * value + log_pi[action] + 0.3 * agent.signal.sign() * entropy).backward()
    for name, score in scores_of(network).items():
        torch.testing.assert_close(score, parameters[name].grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_nothing_is_learned_before_the_first_reward(engine: str) -> None:
    """V starts at zero: values drawn at random would make TD errors, which would change the policy."""
    agent = agent_for("network.output_scale=1", "optimizer=update_rms", f"engine={engine}")
    initial = agent.policy.network.flat.clone()
    agent.start(observation(0))
    for i in range(1, 20):
        agent.step(0.0, observation(i))
    assert torch.equal(agent.policy.network.flat, initial) and float(agent.value) == 0
    assert float(agent.head.probabilities.std()) > 0  # the policy's outputs are drawn
    agent.step(1.0, observation(50))
    assert not torch.equal(agent.policy.network.flat, initial)


def test_one_step_follows_the_order_of_the_docstring() -> None:
    settings = ("optimizer=sgd", "agent.entropy=0.3", "agent.trace_decay=0.95", "agent.value_weight=0.5")
    agent = agent_for(*settings)
    some_steps(agent)
    clone, ahead = copy.deepcopy(agent), copy.deepcopy(agent)
    agent.step(2.0, observation(50))
    with torch.inference_mode():
        features = clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64))
        value_tp1 = ahead.policy.network(features)[-1]
        scaled = clone.reward_scaler(torch.tensor(2.0, dtype=torch.float64))
        delta = F.td_error(scaled, clone.value, value_tp1, 0.99, torch.ones(()))
        gradient = clone.head.score() + 0.3 * delta.sign() * clone.head.entropy_gradient()
        network = clone.policy.network
        network.backward(torch.cat([gradient, torch.tensor([0.5], dtype=torch.float64)]))
        trace = 0.99 * 0.95 * clone.policy.eligibility_trace + network.score
        network.flat.add_(1e-3 * delta * trace)
        torch.testing.assert_close(agent.signal, delta)
        torch.testing.assert_close(agent.policy.network.flat, network.flat)
        torch.testing.assert_close(agent.value, network(features)[-1])  # with the new parameters
        for ours, expected in zip(agent.policy.network.states(), network.states(), strict=True):
            torch.testing.assert_close(ours, expected)  # as after one forward pass


@pytest.mark.parametrize("trunk", ["shared", "separate"])
def test_next_value_is_by_a_copy_of_the_readout_that_follows_it(trunk: str) -> None:
    settings = (f"agent.trunk={trunk}", "agent.target_rate=0.25", "optimizer=sgd", "optimizer.value.lr=0.1")
    agent = agent_for(*settings, "network.credit=auto")
    some_steps(agent)
    clone, ahead = copy.deepcopy(agent), copy.deepcopy(agent)
    learned = (agent.critic or agent.policy).network.readout.affine
    assert agent.target is not None and not torch.equal(agent.target, learned[-1])
    agent.step(2.0, observation(50))
    with torch.inference_mode():
        features = clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64))
        network = (ahead.critic or ahead.policy).network
        network(features)
        value_tp1 = network.readout.filtered @ clone.target
        scaled = clone.reward_scaler(torch.tensor(2.0, dtype=torch.float64))
        torch.testing.assert_close(agent.signal, F.td_error(scaled, clone.value, value_tp1, 0.99, torch.ones(())))
        torch.testing.assert_close(agent.target, 0.75 * clone.target + 0.25 * learned[-1])


def test_value_is_logged_viewed_and_exported_with_the_policy() -> None:
    agent = agent_for()
    some_steps(agent)
    assert agent.critic is None and list(agent.spiking_layers()) == ["policy_0"]
    assert view(agent).value == pytest.approx(float(agent.value))
    found = agent.diagnostics()
    assert "learn/value" in found and "learn/step_size_value" not in found
    parts = agent.parts()
    outputs = agent.policy.network.readout.affine
    assert outputs[parts["policy"].outputs].shape[0] == 2 and outputs[parts["value"].outputs].shape[0] == 1


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("agent.trunk=one",), "^trunk must be one of separate, shared"),
        (("agent.trunk=shared", "agent.signal=reward"), "^signal must be td with trunk=shared"),
        (("agent.value_weight=0",), "^value_weight must be"),
        (("agent.target_rate=0",), r"^target_rate must be a number in \(0, 1\], got 0"),
        (("agent.target_rate=0.1", "agent.signal=reward"), "^target_rate must be 1 without a critic"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(overrides: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_agent(gym.make("CartPole-v1"), *overrides)


@pytest.mark.parametrize("optimizer", ["intentional", "update_rms"])
def test_probe_reward_delayed_by_one_step(optimizer: str) -> None:
    _, record = run_one_lifetime("DelayedReward-v0", 800, *SHARED, f"optimizer={optimizer}", seed=0)
    assert record.mean_return() >= 0.9
