"""The agent of traceTorch's REFLECT: order of a step, ends of episodes, lifetimes, its warning, learning."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.reflect_classic import ReflectClassicAgent

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import compose, make_agent, observation, run_many_lifetimes, run_one_lifetime, some_steps
from tracerl.config.checks import ConfigError

AGENT, SMALL, SGD = "agent=reflect_classic", "agent.network.hidden=[8]", ("optimizer=sgd", "optimizer.policy.lr=0.1")
BANDIT = "tracerl.envs:tracerl/ContextualBandit-v0"
SWITCHES = [
    "agent.network.exact_trace_decay=true",
    "agent.network.zero_rate_at_rest=true",
    "agent.network.log_prob_signal=true",
    "agent.paired_traces=true",
]


def agent_for(*overrides: str, dtype: torch.dtype = torch.float64, **options: Any) -> ReflectClassicAgent:
    return make_agent(gym.make("CartPole-v1"), AGENT, SMALL, *overrides, dtype=dtype, **options)


def test_defaults_are_those_of_tracetorch_and_every_switch_is_off() -> None:
    config = compose(AGENT).agent
    network = config.network
    assert not (network.exact_trace_decay or network.zero_rate_at_rest or network.log_prob_signal)
    assert not config.paired_traces and list(config.decays) == [0.9]
    for name in ("learn_weight", "learn_membrane_decay", "learn_threshold", "learn_input_trace_decay"):
        assert network[name]


@pytest.mark.parametrize("paired", [False, True])
def test_one_step_learns_then_encodes_then_acts(paired: bool) -> None:
    agent = agent_for(*SGD, f"agent.paired_traces={str(paired).lower()}")
    some_steps(agent)
    clone = copy.deepcopy(agent)
    action = agent.step(2.0, observation(50))
    with torch.inference_mode():
        clone.policy.learn(torch.tensor(2.0, dtype=torch.float64))
        logits = clone.policy(clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64)))
        clone.head.sample(logits, clone.stream)
        assert clone.head.chosen() == action
    torch.testing.assert_close(agent.policy.flat, clone.policy.flat)
    torch.testing.assert_close(agent.policy.probabilities, torch.softmax(logits, -1))


@pytest.mark.parametrize("paired", [False, True])
def test_end_of_episode_clears_membranes_and_traces_and_keeps_the_rest(paired: bool) -> None:
    for terminated in (False, True):
        agent = agent_for(f"agent.paired_traces={str(paired).lower()}")
        some_steps(agent)
        agent.end(1.0, observation(99), terminated)
        for layer in (*agent.policy.network.layers, agent.policy.network.readout):
            assert layer.membrane.abs().max() == layer.input_trace.abs().max() == 0
        part = agent.policy.paired if paired else agent.policy.averaged
        assert part.logprob_trace.abs().max() == 0
        assert (part.eligibility_trace if paired else part.output_trace).abs().max() == 0
        assert agent.policy.timescales.reward_trace > 0
        assert agent.encoder.normalizer.moments.count == 31


@pytest.mark.parametrize("paired", ["false", "true"])
def test_one_of_many_lifetimes_equals_the_single_lifetime(paired: str) -> None:
    """The episodes end at different steps."""
    settings = (AGENT, SMALL, *SGD, f"agent.paired_traces={paired}", "agent.decays=[0.8,0.95]")
    many, records = run_many_lifetimes("CartPole-v1", 100, *settings, seeds=[4, 5, 6], dtype=torch.float64)
    for lifetime, seed in enumerate([4, 5, 6]):
        alone, record = run_one_lifetime("CartPole-v1", 100, *settings, seed=seed, dtype=torch.float64)
        assert list(record.returns) == list(records[lifetime].returns)
        torch.testing.assert_close(many.policy.flat[lifetime], alone.policy.flat)


def test_memory_use_is_constant_and_no_graph_is_held() -> None:
    agent = agent_for("optimizer=adaptive_obgd", "agent.paired_traces=true")
    with torch.enable_grad():
        some_steps(agent, 10)
    early = [(name, value.shape) for name, value in agent.state_dict().items()]
    some_steps(agent, 100)
    assert [(name, value.shape) for name, value in agent.state_dict().items()] == early
    for name, tensor in agent.state_dict(keep_vars=True).items():
        assert tensor.grad_fn is None and not tensor.requires_grad, name


def test_restored_agent_continues_bit_identically() -> None:
    agent, other = agent_for("optimizer=adaptive_obgd"), agent_for("optimizer=adaptive_obgd", seed=5)
    some_steps(agent)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    for i in range(100, 150):
        assert agent.step(1.0, observation(i)) == other.step(1.0, observation(i))
    assert torch.equal(agent.policy.flat, other.policy.flat)


def test_diagnostics_average_since_the_previous_call() -> None:
    agent = agent_for()
    agent.start(observation(0))
    seen = []
    for i in range(1, 20):
        agent.step(float(i % 3), observation(i))
        seen.append(agent.policy.timescales.advantage.item())
    found = agent.diagnostics()
    assert found["learn/td_error"] == pytest.approx(np.mean(seen))
    assert found["learn/td_error_magnitude"] == pytest.approx(np.abs(seen).mean())
    assert 0 < found["learn/entropy"] <= np.log(2) and found["learn/logprob_trace"] < 0
    assert 0 <= found["spikes/policy_0_rate"] <= 1
    agent.step(0.0, observation(99))
    assert agent.diagnostics()["learn/td_error"] == pytest.approx(agent.policy.timescales.advantage.item())


def test_frozen_decays_are_constant() -> None:
    frozen = [f"agent.network.learn_{name}=false" for name in ("membrane_decay", "threshold", "input_trace_decay")]
    agent = agent_for(*SGD, *frozen, "agent.learn_decay=false", "agent.decays=[0.8]")
    some_steps(agent)
    assert len(list(agent.policy.network.parameters())) == 2  # the weights
    torch.testing.assert_close(agent.policy.timescales.decays(), torch.tensor([0.8], dtype=torch.float64))
    torch.testing.assert_close(agent.policy.network.layers[0].membrane_decay.value, torch.full((8,), 0.9).double())


def test_casting_a_built_agent_raises_an_error() -> None:
    with pytest.raises(RuntimeError, match="build it with Lifetimes"):
        agent_for().float()


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("agent.decays=0.9", "decays"),
        ("agent.decays=[]", "decays"),
        ("agent.decays=[0.9,1.0]", "decays"),
        ("agent.learn_decay=1", "learn_decay"),
        ("agent.learn_mixture=1", "learn_mixture"),
        ("agent.paired_traces=1", "paired_traces"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(override)


def test_agent_without_learned_parameters_raises_an_error() -> None:
    names = ("weight", "membrane_decay", "threshold", "input_trace_decay")
    with pytest.raises(ConfigError, match=r"^network.learn_weight must be true"):
        agent_for(*[f"agent.network.learn_{name}=false" for name in names])


# Learning of probes.


@pytest.mark.parametrize("switches", [[], SWITCHES])
def test_agent_solves_the_contextual_bandit(switches: list[str]) -> None:
    _, record = run_one_lifetime(BANDIT, 700, AGENT, "optimizer.policy.kwargs.lr=0.003", *switches)
    assert record.mean_return() >= 0.75


def test_policy_without_learning_does_not_solve_the_contextual_bandit() -> None:
    _, record = run_one_lifetime(BANDIT, 300, AGENT, "optimizer=sgd", "optimizer.policy.lr=1e-9")
    assert record.mean_return() < 0.5


def test_state_of_older_checkpoints_with_a_count_of_equal_rewards_loads() -> None:
    old, new = agent_for(), agent_for()
    old.start(observation(0))
    old.step(1.0, observation(1))
    new.restore({**old.capture(), "constant_reward.seen": torch.tensor(1)})
    assert new.step(1.0, observation(2)) == old.step(1.0, observation(2))
