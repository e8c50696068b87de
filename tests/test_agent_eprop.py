"""The e-prop agent: its trace against autograd with e-prop's stop-gradient, its feedback, learning of probes."""

from typing import Any

import numpy as np
import pytest
import torch
import tracerl.envs  # noqa: F401  registers the bandits
from tracerl.agents.eprop import EpropAgent

from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime
from tests.oracles import initial_state, parameters_of, scores_of, tick
from tests.test_gradients import build, relative_error, stream
from tests.toy_envs import Space  # and registers the probes
from tracerl.config.checks import ConfigError

SMALL = "network.hidden=[12]"
BANDIT = "tracerl/ContextualBandit-v0"


def agent_for(*overrides: str, **options: Any) -> EpropAgent:
    return make_agent(Space(4, 3), "agent=eprop", SMALL, *overrides, dtype=torch.float64, **options)


def observations(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 4))


@pytest.mark.parametrize("network", ["alif", "recurrent", "synaptic"])
def test_trace_is_the_gradient_with_the_spikes_of_other_neurons_held_constant(network: str) -> None:
    """With weights held: zeta = d/dtheta sum_k d^(t-k) (log pi(a_k) + c_V V(s_k)), z_{t-1} a constant."""
    still = ("optimizer=sgd", "optimizer.policy.lr=1e-300", "agent.entropy=0", "encoder.normalize=false")
    drawn = ("network.output_scale=1", "network.recurrent_scale=0.7", "network.layer_norm=false")
    agent = agent_for(f"network={network}", *still, *drawn)
    seen = observations(40)
    actions = [agent.start(seen[0])]
    for observation in seen[1:]:
        actions.append(agent.step(0.0, observation))
    learner = agent.learner
    p = {name: value.requires_grad_() for name, value in parameters_of(learner.network).items()}
    state, total = initial_state(learner.network), torch.zeros((), dtype=torch.float64)
    for observation, action in zip(seen, actions, strict=True):
        state, y = tick(p, state, torch.as_tensor(observation), learner.network, stop=True)
        objective = torch.log_softmax(y[:-1], -1)[action] + 0.2 * y[-1]
        total = learner.trace_decay * total + objective
    truth = dict(zip(p, torch.autograd.grad(total, list(p.values())), strict=True))
    learner.network.score.copy_(learner.eligibility_trace)
    traces = scores_of(learner.network)
    for name in ("W0", "b0", "V", "c"):
        assert relative_error(traces[name], truth[name]) <= 1e-10, name


def test_one_step_by_hand() -> None:
    """One neuron that always spikes: zbar = 1, pi = 1/2, V = 0, r = 1; lr 1 moves logits by 1/2 and V's bias by c_V."""
    plain = ("optimizer=sgd", "optimizer.policy.lr=1", "agent.scale_reward=false", "agent.entropy=0")
    still = ("network.hidden=[1]", "network.readout_decay=0", "network.weight_scale=0", "network.layer_norm=false")
    agent = make_agent(Space(4, 2), "agent=eprop", *plain, *still, "network.recurrent=false", dtype=torch.float64)
    network = agent.learner.network
    network.layers[0].synapses.affine[-1] = 9.0
    action = agent.start(np.ones(4))
    agent.end(1.0, np.ones(4), terminated=True)
    sign = 1.0 if action == 0 else -1.0
    expected = [[0.5 * sign, 0.5 * sign], [-0.5 * sign, -0.5 * sign], [0.2, 0.2]]
    torch.testing.assert_close(network.readout.affine, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("terminated", [True, False])
def test_only_termination_sets_the_next_value_to_zero(terminated: bool) -> None:
    agent = agent_for("agent.scale_reward=false", "network.output_scale=1")
    seen = observations(3)
    agent.start(seen[0])
    agent.step(0.5, seen[1])
    value_t = float(agent.value)
    agent.end(0.5, seen[2], terminated)
    bootstrap = 0.0 if terminated else 0.99 * float(agent.value)
    assert float(agent.signal) == pytest.approx(0.5 + bootstrap - value_t)
    assert agent.learner.eligibility_trace.abs().max() == agent.bonus.abs().max() == 0


def test_random_feedback_is_constant_and_carries_the_learning_signal() -> None:
    network = build(0, feedback="random", membrane_decay=0.0, readout_decay=0.0)
    g = torch.tensor([0.7, -1.3], dtype=torch.float64)
    for x in stream(0, 5):
        network(x)
    network.backward(g)
    with_feedback, feedback = network.score.clone(), network.readout.feedback.clone()
    network.readout.weight.copy_(feedback)
    plain = build(0, membrane_decay=0.0, readout_decay=0.0)
    plain.readout.weight.copy_(feedback)
    for x in stream(0, 5):
        plain(x)
    plain.backward(g)
    torch.testing.assert_close(with_feedback, plain.score)
    assert not any(parameter is network.readout.feedback for parameter in network.parameters())


def test_adaptive_feedback_approaches_the_readout_weights() -> None:
    agent = agent_for("network.feedback=adaptive", "network.feedback_decay=0.01")
    readout = agent.learner.network.readout
    before = (readout.weight - readout.feedback).norm()
    seen = observations(300)
    agent.start(seen[0])
    for i, observation in enumerate(seen[1:]):
        agent.step(float(i % 3), observation)
    after = (readout.weight - readout.feedback).norm()
    assert float(after / before) == pytest.approx(0.99**299, rel=1e-6)


@pytest.mark.parametrize("feedback", ["symmetric", "random", "adaptive"])
@pytest.mark.parametrize(
    ("steps", "divisor"),
    [(900, ("optimizer.policy.rms_floor=0.5", "optimizer.policy.slow_decay=0.9998")), (1200, ())],
    ids=["mean magnitude", "default"],
)
def test_agent_learns_the_contextual_bandit(steps: int, divisor: tuple[str, ...], feedback: str) -> None:
    small = ("agent=eprop", "network.hidden=[32]", f"network.feedback={feedback}")
    _, record = run_one_lifetime(BANDIT, steps, *small, *divisor)
    assert record.mean_return() > 0.75  # .25 at random


@pytest.mark.parametrize(
    ("probe", "steps", "least"),
    [("Bandit-v0", 200, 0.9), ("DelayedReward-v0", 400, 0.9), ("OneStepMemory-v0", 500, 0.7)],
)
def test_agent_learns_the_probes(probe: str, steps: int, least: float) -> None:
    """Immediate reward, delayed reward, and a cue shown a step before."""
    _, record = run_one_lifetime(probe, steps, "agent=eprop", "network.hidden=[32]")
    assert record.mean_return() > least


def test_many_lifetimes_equal_single_lifetimes() -> None:
    overrides = ("agent=eprop", SMALL, "network.feedback=adaptive")
    _, together = run_many_lifetimes(BANDIT, 80, *overrides, seeds=[3, 4], dtype=torch.float64)
    for record, seed in zip(together, (3, 4), strict=True):
        _, alone = run_one_lifetime(BANDIT, 80, *overrides, seed=seed, dtype=torch.float64)
        assert record.returns == alone.returns


def test_diagnostics_are_averages_since_the_previous_call() -> None:
    agent = agent_for()
    seen = observations(20)
    agent.start(seen[0])
    for observation in seen[1:]:
        agent.step(1.0, observation)
    found = agent.diagnostics()
    assert 0 < found["learn/entropy"] <= np.log(3)
    assert {"learn/td_error", "learn/value", "learn/step_size_policy", "spikes/policy_0_rate"} <= set(found)
    assert agent.diagnostics()["learn/entropy"] == 0


@pytest.mark.parametrize(
    ("message", "override"),
    [
        ("value_weight must be a number above 0", "agent.value_weight=0"),
        ("discount must be", "agent.discount=2"),
        ("trace_decay must be below 1", "agent.discount=1 agent.trace_decay=1"),
        ("entropy must be", "agent.entropy=-1"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(message: str, override: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        agent_for(*override.split(" "))
