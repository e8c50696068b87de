"""The default agent: order of a step, ends of episodes, constant memory use, determinism, learning of probes."""

import copy
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import make_agent, observation, run_one_lifetime, some_steps
from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import Record
from tracerl.nn import functional as F
from tracerl.nn.layers import Graded

SMALL = "network.hidden=[16]"


def agent_for(*overrides: str, **options: Any) -> ReflectAgent:
    return make_agent(gym.make("CartPole-v1"), SMALL, *overrides, dtype=torch.float64, **options)


def expected_signal(agent: ReflectAgent, reward: float, seen: np.ndarray, bootstrap: bool) -> float:
    """Return the TD error of the next transition, from copies of the agent's parts."""
    clone = copy.deepcopy(agent)
    with torch.inference_mode():
        value_t = float(agent.value)
        current = clone.encoder(torch.as_tensor(seen, dtype=torch.float64))
        value_tp1 = float(clone.critic.network(current))
        scaled = float(clone.reward_scaler(torch.tensor(reward, dtype=torch.float64)))
    return scaled + (0.99 * value_tp1 if bootstrap else 0.0) - value_t


@pytest.mark.parametrize("ending", ["continues", "truncated", "terminated"])
def test_truncation_bootstraps_from_the_final_observation_and_termination_does_not(ending: str) -> None:
    agent = agent_for()
    some_steps(agent)
    expected = expected_signal(agent, 1.0, observation(99), bootstrap=ending != "terminated")
    if ending == "continues":
        agent.step(1.0, observation(99))
    else:
        agent.end(1.0, observation(99), terminated=ending == "terminated")
    assert float(agent.signal) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("terminated", [True, False])
def test_end_of_episode_clears_membranes_and_traces_and_keeps_the_rest(terminated: bool) -> None:
    agent = agent_for()
    some_steps(agent)
    agent.end(1.0, observation(99), terminated)
    for learner in (agent.policy, agent.critic):
        assert learner.eligibility_trace.abs().max() == 0
        for layer in learner.network.layers:
            for name in ("membrane", "spikes", "reset_gain"):
                assert getattr(layer, name).abs().max() == 0, name
            assert layer.rate.max() > 0
        assert learner.network.readout.filtered[:-1].abs().max() == 0
        assert all(trace.abs().max() == 0 for trace in learner.network.credit.buffers())
        assert learner.step_rule.second_moment.max() > 0
    assert agent.policy.network.layers[0].sensitivity.abs().max() == 0
    assert agent.log_prob_trace.trace == 0
    assert agent.reward_scaler.discounted == 0
    assert agent.reward_scaler.moments.count == 30
    assert agent.encoder.normalizer.moments.count == 31


def test_one_step_follows_the_order_of_the_docstring() -> None:
    agent = agent_for("optimizer=sgd", "agent.entropy=0.3", "agent.trace_decay=0.95")
    some_steps(agent)
    clone = copy.deepcopy(agent)
    agent.step(2.0, observation(50))
    with torch.inference_mode():
        clone.critic.network.backward(torch.ones(1, dtype=torch.float64))
        critic_trace = 0.99 * 0.95 * clone.critic.eligibility_trace + clone.critic.network.score
        current = clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64))
        value_tp1 = clone.critic.network(current).squeeze(-1)
        scaled = clone.reward_scaler(torch.tensor(2.0, dtype=torch.float64))
        delta = F.td_error(scaled, clone.value, value_tp1, 0.99, torch.ones(()))
        clone.policy.network.backward(clone.head.score() + 0.3 * delta.sign() * clone.head.entropy_gradient())
        policy_trace = 0.99 * 0.95 * clone.policy.eligibility_trace + clone.policy.network.score
        torch.testing.assert_close(agent.critic.network.flat, clone.critic.network.flat + 1e-3 * delta * critic_trace)
        torch.testing.assert_close(agent.policy.network.flat, clone.policy.network.flat + 1e-3 * delta * policy_trace)
        torch.testing.assert_close(agent.value, value_tp1)  # as computed before the update


def state_of(agent: ReflectAgent) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(name, value.shape, value.dtype) for name, value in agent.state_dict().items()]


def test_memory_use_is_constant_over_a_lifetime() -> None:
    agent = agent_for()
    some_steps(agent, 10)
    early, attributes = state_of(agent), len(agent.__dict__)
    some_steps(agent, 200)
    assert state_of(agent) == early
    assert len(agent.__dict__) == attributes


def test_no_tensor_of_the_agent_holds_an_autograd_graph() -> None:
    agent = agent_for("network.hidden=[8,8]", "network.learn_threshold=true")
    with torch.enable_grad():
        some_steps(agent)
    for name, tensor in agent.state_dict(keep_vars=True).items():
        assert tensor.grad_fn is None and not tensor.requires_grad, name


def test_restored_agent_continues_bit_identically() -> None:
    agent, other = agent_for(), agent_for(seed=5)
    some_steps(agent)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    for i in range(100, 150):
        assert agent.step(1.0, observation(i)) == other.step(1.0, observation(i))
    for (name, a), b in zip(agent.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


FINGERPRINT = """
import torch
from tests.test_agent_reflect import fingerprint

torch.set_num_threads(1)
print(fingerprint(3))
"""


def fingerprint(seed: int) -> str:
    agent, record = run_one_lifetime("CartPole-v1", 120, seed=seed)
    return f"{agent.policy.network.flat.double().sum().item().hex()} {list(record.returns)}"


def test_same_seed_is_bit_identical_in_two_processes() -> None:
    elsewhere = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, text=True)
    assert elsewhere.returncode == 0, elsewhere.stderr
    here = fingerprint(3)
    assert elsewhere.stdout.strip() == here
    assert fingerprint(4).split(maxsplit=1)[1] != here.split(maxsplit=1)[1]


def test_casting_a_built_agent_raises_an_error() -> None:
    with pytest.raises(RuntimeError, match="build it with Lifetimes"):
        agent_for().float()


def test_actions_begin_at_the_start_of_the_discrete_space() -> None:
    env = gym.make("CartPole-v1")
    env.unwrapped.action_space = gym.spaces.Discrete(2, start=5)
    agent = make_agent(env, SMALL)
    assert {agent.start(observation(i)) for i in range(30)} == {5, 6}


@pytest.mark.parametrize("signal", ["reward", "advantage"])
def test_signals_without_a_critic_build_no_critic(signal: str) -> None:
    agent = agent_for(f"agent.signal={signal}")
    some_steps(agent)
    assert agent.critic is None
    assert "learn/value" not in agent.diagnostics()


def test_constant_reward_has_zero_advantage() -> None:
    agent = agent_for("agent.signal=advantage", "agent.scale_reward=false")
    agent.start(observation(0))
    before = agent.policy.network.flat.clone()
    for i in range(1, 50):
        agent.step(1.0, observation(i))
        assert abs(float(agent.signal)) < 1e-12
    torch.testing.assert_close(agent.policy.network.flat, before)


def test_diagnostics_average_since_the_previous_call() -> None:
    agent = agent_for()
    agent.start(observation(0))
    signals = []
    for i in range(1, 20):
        agent.step(float(i % 3), observation(i))
        signals.append(float(agent.signal))
    found = agent.diagnostics()
    assert found["learn/td_error"] == pytest.approx(np.mean(signals))
    assert found["learn/td_error_magnitude"] == pytest.approx(np.abs(signals).mean())
    assert found["learn/trace_norm_policy"] == pytest.approx(float(agent.policy.eligibility_trace.norm()))
    assert 0 <= found["spikes/policy_0_rate"] <= 1
    agent.step(0.0, observation(99))
    assert agent.diagnostics()["learn/td_error"] == pytest.approx(float(agent.signal))


def test_critic_has_its_own_neuron_settings_and_no_spikes_without_neurons() -> None:
    agent = agent_for("agent.critic={hidden:[7]}")  # added to the default neurons
    some_steps(agent)
    (layer,) = agent.critic.network.layers
    assert isinstance(layer, Graded) and layer.n_out == 7 and layer.spikes.abs().min() > 0
    assert layer.threshold.value.tolist() == [pytest.approx(0.01)]
    assert list(agent.spiking_layers()) == ["policy_0"]
    assert not any(tag.startswith("spikes/value") for tag in agent.diagnostics())
    spiking = agent_for("agent.critic=null")
    assert list(spiking.spiking_layers()) == ["policy_0", "value_0"]
    with pytest.raises(ConfigError, match=r"^agent\.critic\.neuron must be one of lif, .*got 'grade'"):
        agent_for("agent.critic={neuron:grade}")
    with pytest.raises(ConfigError, match=r"^agent\.critic\.neurn does not exist"):
        agent_for("agent.critic={neurn:lif}")
    with pytest.raises(ConfigError, match=r"^agent\.critic\.ticks must be network\.ticks, which is 1, got 2"):
        agent_for("agent.critic={ticks:2}")
    with pytest.raises(ConfigError, match=r"^agent\.critic must be settings of network"):
        agent_for("agent.critic=graded")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("agent.signal=advantge", "signal"),
        ("agent.discount=1.1", "discount"),
        ("agent.trace_decay=-0.1", "trace_decay"),
        ("agent.entropy=-1", "entropy"),
        ("agent.scale_reward=2", "scale_reward"),
        ("agent.average_decay=1", "average_decay"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(override)


# Probes that each need one ability; every seed learns. The kernels, which are fast, equal torch: test_kernels.py.


def probe(env_id: str, steps: int, *overrides: str, seed: int) -> tuple[ReflectAgent, Record]:
    return run_one_lifetime(env_id, steps, SMALL, *overrides, "engine=fused", seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_value_of_a_constant_reward(seed: int) -> None:
    agent, _ = probe("ConstantReward-v0", 1000, seed=seed)
    agent.start(np.zeros(1, np.float32))
    assert float(agent.value) == pytest.approx(10.0, rel=0.05)  # reward 1, divided by its rms / 10


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("signal", ["td", "advantage", "reward"])
def test_probe_bandit(seed: int, signal: str) -> None:
    _, record = probe("Bandit-v0", 1000, f"agent.signal={signal}", seed=seed)
    assert record.mean_return() >= 0.9


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("signal", ["td", "reward"])
def test_probe_contextual_bandit(seed: int, signal: str) -> None:
    _, record = probe("ContextualBandit-v0", 1500, f"agent.signal={signal}", seed=seed)
    assert record.mean_return() >= 0.8


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("optimizer", ["intentional", "obgd"])
def test_probe_reward_delayed_by_one_step(seed: int, optimizer: str) -> None:
    _, record = probe("DelayedReward-v0", 2000, f"optimizer={optimizer}", seed=seed)
    assert record.mean_return() >= 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_probe_cue_shown_one_step_before_the_action(seed: int) -> None:
    _, record = probe("OneStepMemory-v0", 3000, "encoder=raw", seed=seed)
    assert record.mean_return() >= 0.9


def test_memory_probe_needs_neurons_with_state() -> None:
    """The same agent without state in its neurons has a random return."""
    amnesiac = ("encoder=raw", "network.membrane_decay=0", "network.readout_decay=0")
    _, record = probe("OneStepMemory-v0", 3000, *amnesiac, seed=0)
    assert abs(record.mean_return()) < 0.5
