"""The agent of reward-modulated STDP: order of a step, ends of episodes, many lifetimes, learning of probes."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import tracerl.envs  # noqa: F401  registers the bandits
from tracerl.agents.rstdp import RSTDPAgent

from tests.helpers import make_agent, observation, run_many_lifetimes, run_one_lifetime, some_steps
from tests.toy_envs import Space  # and registers the probes
from tracerl.config.checks import ConfigError
from tracerl.lifetime.protocol import ManyAgents, StepType

SIGNALS = ("advantage", "reward", "td")


def agent_for(*overrides: str, seed: int | list[int] = 0) -> RSTDPAgent:
    found: Any = make_agent(
        Space(4, 3), "agent=rstdp", "agent.scale_reward=false", *overrides, seed=seed, dtype=torch.float64
    )
    return found


def test_input_spike_frequency_equals_the_rates() -> None:
    agent = agent_for("agent.ticks=4000")
    rates = torch.linspace(0, 1, 9, dtype=torch.float64)
    inputs, _, lots = agent._drive(rates)
    assert inputs.shape == (4000, 9) and set(inputs.unique().tolist()) == {0.0, 1.0}
    assert (inputs.mean(0) - rates).abs().max() < 0.04  # five standard deviations
    assert lots.shape == (3,)


def test_noise_has_the_given_standard_deviation() -> None:
    agent = agent_for("agent.ticks=4000", "agent.noise=0.7")
    noise = agent._drive(torch.zeros(9, dtype=torch.float64))[1]
    assert float(noise.std()) == pytest.approx(0.7, rel=0.04)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.04)


@pytest.mark.parametrize("signal", SIGNALS)
def test_one_step_follows_the_order_of_the_docstring(signal: str) -> None:
    """The weights change by the previous eligibility; then it decays and the neurons get the new input."""
    agent = agent_for(f"agent.signal={signal}", "agent.stdp.lr=0.001")
    some_steps(agent)
    clone = copy.deepcopy(agent)
    agent.step(2.0, observation(50))
    with torch.inference_mode():
        rates = clone._rates(clone.encoder(torch.as_tensor(observation(50), dtype=torch.float64)))
        reward = torch.tensor(2.0, dtype=torch.float64)
        if clone.critic is not None:
            delta = clone.critic.learn(reward, rates[..., :-1], torch.ones((), dtype=torch.float64))
        else:
            delta = clone.baseline(reward)
        assert delta != 0
        weight = clone.synapses.weight + 0.001 * delta * clone.synapses.eligibility
        torch.testing.assert_close(agent.synapses.weight, weight.clamp(0, 1), rtol=1e-12, atol=1e-12)
        clone.synapses.update(delta)
        clone._act(rates)
    assert torch.equal(agent.synapses.eligibility, clone.synapses.eligibility)
    assert torch.equal(agent.action, clone.action)


def test_action_is_the_one_whose_neurons_spiked_most() -> None:
    agent = agent_for("agent.noise=0", "agent.inhibition=0", "agent.population=2")
    agent.start(observation(0))
    with torch.inference_mode():
        agent.synapses.weight.zero_()
        agent.synapses.weight[:, 2:4] = 1.0  # all inputs drive the two neurons of action 1
    for i in range(1, 20):
        assert agent.step(0.0, observation(i)) == 1
        assert agent.counts.tolist()[0] == agent.counts.tolist()[2] == 0 < agent.counts.tolist()[1]


def test_ties_between_actions_are_broken_at_random() -> None:
    agent = agent_for("agent.noise=0")
    agent.synapses.weight.zero_()
    chosen = [agent.start(observation(i)) for i in range(300)]
    assert min(chosen.count(action) for action in range(3)) > 60
    assert agent.counts.abs().max() == 0


def test_inhibition_silences_the_neurons_of_other_actions() -> None:
    shares = {}
    for inhibition in (0, 8):
        agent = agent_for(f"agent.inhibition={inhibition}")
        agent.start(observation(0))
        total = torch.zeros(2)
        for i in range(1, 100):
            agent.step(0.0, observation(i))
            total += torch.stack([agent.counts.max(), agent.counts.sum()])
        shares[inhibition] = float(total[0] / total[1])
    assert shares[8] > shares[0] + 0.1


@pytest.mark.parametrize("winner_only", [True, False])
def test_only_neurons_of_the_chosen_action_get_eligibility(winner_only: bool) -> None:
    agent = agent_for("agent.population=2", f"agent.winner_only={str(winner_only).lower()}", "agent.noise=3")
    losers_credited = 0
    for i in range(20):
        action = agent.start(observation(i))
        credit = agent.synapses.eligibility.abs().sum(0).reshape(3, 2).sum(1)  # per action
        assert credit[action] > 0
        losers_credited += int(credit.count_nonzero()) - 1
        agent.end(0.0, observation(0), terminated=True)
    assert losers_credited == 0 if winner_only else losers_credited > 10


@pytest.mark.parametrize("terminated", [True, False])
def test_end_of_episode_clears_membranes_and_traces_and_keeps_weights(terminated: bool) -> None:
    agent = agent_for("agent.signal=td", "agent.scale_reward=true")
    some_steps(agent)
    agent.end(1.0, observation(99), terminated)
    assert agent.critic is not None and agent.reward_scaler is not None
    cleared = (agent.neurons.membrane, agent.neurons.spikes, agent.critic.eligibility_trace)
    synapses = agent.synapses
    for state in (*cleared, synapses.eligibility, synapses.pre_trace, synapses.post_trace):
        assert state.abs().max() == 0
    assert synapses.weight.max() > 0 and agent.critic.weight.abs().max() > 0 and agent.neurons.rate.max() > 0
    assert agent.reward_scaler.discounted == 0
    assert agent.encoder.normalizer.moments.count == 31


def test_truncation_bootstraps_and_termination_does_not() -> None:
    weights = []
    for terminated in (True, False):
        agent = agent_for("agent.signal=td")
        some_steps(agent)
        clone = copy.deepcopy(agent)
        agent.end(1.0, observation(99), terminated)
        with torch.inference_mode():
            rates = clone._rates(clone.encoder(torch.as_tensor(observation(99), dtype=torch.float64)))
            before = float(clone.critic.value)
            after = float((clone.critic.weight[:-1] * rates[:-1]).sum() + clone.critic.weight[-1])
            delta = 1.0 + (0.0 if terminated else 0.99 * after) - before
            trace = 0.99 * 0.9 * clone.critic.eligibility_trace + clone.critic.features
            bounded = 0.1 / max(1.0, float((trace * clone.critic.features).sum()))
            expected = clone.critic.weight + bounded * delta * trace
        torch.testing.assert_close(agent.critic.weight, expected)
        weights.append(agent.critic.weight.clone())
    assert not torch.equal(*weights)


def test_constant_reward_changes_no_weight() -> None:
    agent = agent_for("agent.signal=advantage")
    agent.start(observation(0))
    before = agent.synapses.weight.clone()
    for i in range(1, 50):
        agent.step(1.0, observation(i))
    torch.testing.assert_close(agent.synapses.weight, before, rtol=1e-12, atol=1e-12)
    assert agent.synapses.eligibility.abs().max() > 0


def test_memory_use_is_constant_and_no_graph_is_held() -> None:
    agent = agent_for("agent.signal=td")
    some_steps(agent, 5)
    early = [(name, value.shape) for name, value in agent.state_dict().items()]
    with torch.enable_grad():
        some_steps(agent, 200)
    assert [(name, value.shape) for name, value in agent.state_dict().items()] == early
    assert all(value.grad_fn is None for value in agent.state_dict(keep_vars=True).values())


@pytest.mark.parametrize("signal", ["advantage", "td"])
def test_lifetime_i_of_many_equals_the_single_lifetime_of_its_seed(signal: str) -> None:
    overrides = ("agent=rstdp", f"agent.signal={signal}", "agent.population=2", "agent.scale_reward=true")
    together: Any
    together, records = run_many_lifetimes("CartPole-v1", 70, *overrides, seeds=[1, 2, 3], dtype=torch.float64)
    assert isinstance(together, ManyAgents)
    for i, seed in enumerate([1, 2, 3]):
        alone: Any
        alone, record = run_one_lifetime("CartPole-v1", 70, *overrides, seed=seed, dtype=torch.float64)
        assert record.returns == records[i].returns
        for name, one in alone.state_dict().items():
            if name != "sums":  # cleared by the first call of the diagnostics
                torch.testing.assert_close(together.state_dict()[name][i], one, rtol=1e-11, atol=1e-11)


def test_many_lifetimes_run_with_a_single_action() -> None:
    agent: Any = make_agent(Space(4, 1), "agent=rstdp", seed=[0, 1])
    for step_type in (StepType.FIRST, StepType.MID):
        assert agent.advance(np.full(2, step_type, np.int8), np.zeros(2), np.ones((2, 4))).tolist() == [0, 0]
    assert agent.diagnostics()["spikes/margin"] == 0


def test_skipped_lifetime_is_unchanged() -> None:
    agent, rng = agent_for("agent.signal=td", seed=[0, 1, 2, 3]), np.random.default_rng(0)
    step_types = np.full(4, StepType.FIRST, np.int8)
    for _ in range(60):
        before = [memory.clone() for memory in (agent.memory.real, agent.memory.wide)]
        actions = agent.advance(step_types, rng.normal(size=4), rng.normal(size=(4, 4)).astype(np.float32))
        assert set(actions.tolist()) <= {0, 1, 2}
        skipped = step_types == StepType.SKIP
        for now, then in zip((agent.memory.real, agent.memory.wide), before, strict=True):
            assert torch.equal(now[skipped], then[skipped])
        ended = step_types >= StepType.TERMINATED
        step_types = rng.choice(
            [StepType.SKIP, StepType.MID, StepType.TERMINATED, StepType.TRUNCATED], 4, p=[0.2, 0.6, 0.1, 0.1]
        )
        step_types[ended] = StepType.FIRST
        step_types = step_types.astype(np.int8)


def test_diagnostics_average_since_the_previous_call() -> None:
    agent = agent_for("agent.signal=reward")
    some_steps(agent, 20)
    found = agent.diagnostics()
    assert found["learn/td_error"] == pytest.approx(np.mean([i % 3 for i in range(1, 20)]))
    assert 0 < found["spikes/action_rate"] < 1 and 0 <= found["learn/weight_at_bounds"] <= 1
    agent.step(5.0, observation(99))
    assert agent.diagnostics()["learn/td_error"] == pytest.approx(5.0)


def test_actions_begin_at_the_start_of_the_discrete_space() -> None:
    env = gym.make("CartPole-v1")
    env.unwrapped.action_space = gym.spaces.Discrete(2, start=5)
    agent = make_agent(env, "agent=rstdp")
    assert {agent.start(observation(i)) for i in range(30)} == {5, 6}


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("signal=critic", "signal"),
        ("discount=1.1", "discount"),
        ("trace_decay=-1", "trace_decay"),
        ("value_step=1.5", "value_step"),
        ("average_decay=1", "average_decay"),
        ("scale_reward=2", "scale_reward"),
        ("ticks=0", "ticks"),
        ("population=1.5", "population"),
        ("rate_gain=0", "rate_gain"),
        ("tonic_rate=2", "tonic_rate"),
        ("input_gain=-1", "input_gain"),
        ("membrane_decay=1", "membrane_decay"),
        ("threshold=0", "threshold"),
        ("inhibition=-1", "inhibition"),
        ("noise=-1", "noise"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        agent_for(f"agent.{override}")


# Learning of probes by every seed.


@pytest.mark.parametrize("signal", ["advantage", "td"])
def test_probe_bandit(signal: str) -> None:
    _, records = run_many_lifetimes("Bandit-v0", 200, "agent=rstdp", f"agent.signal={signal}", seeds=list(range(4)))
    assert min(record.mean_return() for record in records) >= 0.9


@pytest.mark.parametrize("signal", ["advantage", "td"])
def test_probe_contextual_bandit_of_four_contexts(signal: str) -> None:
    overrides = ("agent=rstdp", f"agent.signal={signal}")
    _, records = run_many_lifetimes("tracerl/ContextualBandit-v0", 300, *overrides, seeds=list(range(4)))
    assert min(record.mean_return() for record in records) >= 0.9


def test_probe_reward_delayed_by_five_steps() -> None:
    overrides = ("agent=rstdp", "agent.signal=td")
    _, records = run_many_lifetimes("tracerl/DelayedBandit-v0", 1200, *overrides, seeds=list(range(4)))
    assert min(record.mean_return() for record in records) >= 0.9


def test_delayed_reward_needs_the_eligibility_trace() -> None:
    """The same agent with an eligibility of one step has a random return."""
    overrides = ("agent=rstdp", "agent.signal=advantage", "agent.stdp.eligibility_decay=0")
    _, records = run_many_lifetimes("tracerl/DelayedBandit-v0", 600, *overrides, seeds=list(range(4)))
    assert np.mean([record.mean_return() for record in records]) < 0.5
