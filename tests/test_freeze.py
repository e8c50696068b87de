"""Frozen and greedy agents: both engines, one lifetime and many, and learning afterwards."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tracerl.envs.spec import EnvSpec

from tests.engines import SPACES, assert_same_state, pair
from tests.helpers import make_agent
from tests.test_inputs import KINDS, SEEN, advance, agent_in_episode, same
from tracerl.config.checks import ConfigError
from tracerl.lifetime.protocol import StepType
from tracerl.lifetime.record import Record

CASES = {
    "default": ("network.hidden=[9]",),
    "learned, two layers, adaptive": (
        "network.hidden=[7,5]",
        "network.neuron=alif",
        "network.learn_membrane_decay=true",
        "network.learn_threshold=true",
        "network.learn_readout_decay=true",
    ),
    "presynaptic, adaptive, obgd": (
        "network.hidden=[7,5]",
        "network.neuron=alif",
        "network.credit=presynaptic",
        "optimizer=obgd",
    ),
    "advantage": ("network.hidden=[9]", "agent.signal=advantage", "optimizer=adaptive_obgd"),
    "update rms": ("network.hidden=[9]", "optimizer=update_rms"),
    "shared": ("network.hidden=[9]", "agent.trunk=shared", "agent.target_rate=0.1"),
    "rounded": ("network.hidden=[9]", "+agent.weight_bits=8"),
    "action values": ("agent=q_lambda", "network.hidden=[9]"),
    "rate target": ("network.hidden=[7,5]", "network.rate_target=0.1", "agent.trunk=shared"),
    "ternary": ("network.hidden=[7,5]", "network.neuron=ternary", "network.learn_threshold=true"),
    "perceptron": ("agent=stream_ac", "agent.hidden=[9]"),
}


def tracked(agent: Any) -> dict[str, torch.Tensor]:
    modules = ((path, module) for path, module in agent.named_modules() if hasattr(module, "tracked"))
    named = ((f"{path}.{name}", getattr(module, name)) for path, module in modules for name in module.tracked)
    return {name: tensor for name, tensor in named if tensor is not None}


def averages(agent: Any) -> list[torch.Tensor]:
    return [tensor.clone() for rule in agent._rules() for tensor in rule.buffers()]


def step_together(agents: Any, steps: int, seed: int, size: int = 4) -> None:
    """Pass two agents the same episodes; compare actions at every step and all state at the first ten."""
    rng = np.random.default_rng(seed)
    for i in range(steps):
        seen, reward = rng.normal(size=size), float(rng.normal())
        if i % 7 == 6:
            for agent in agents:
                agent.end(reward, seen, i % 2 == 0)
            actions = [agent.start(seen) for agent in agents]
        else:
            actions = [agent.step(reward, seen) for agent in agents]
        np.testing.assert_allclose(*actions, rtol=1e-6, atol=1e-7)
        if i < 10:
            assert_same_state(agents)
    assert_same_state(agents)


@pytest.mark.parametrize("case", CASES)
def test_both_engines_freeze_and_resume_learning_equally_step_by_step(case: str) -> None:
    agents = pair(4, 3, *CASES[case], dtype=torch.float64)
    for agent in agents:
        agent.start(np.zeros(4))
    step_together(agents, 15, 0)
    for agent in agents:
        agent.freeze()
    kept, flat = [averages(agent) for agent in agents], [agent.policy.network.flat.clone() for agent in agents]
    scales = agents[1].encoder.normalizer.moments.mean.clone()
    step_together(agents, 20, 1)
    for agent, before, rules in zip(agents, flat, kept, strict=True):
        assert torch.equal(agent.policy.network.flat, before)
        assert all(torch.equal(a, b) for a, b in zip(averages(agent), rules, strict=True))
        assert not any(tensor.any() for tensor in tracked(agent).values())
    assert not torch.equal(agents[1].encoder.normalizer.moments.mean, scales)
    for agent in agents:
        agent.unfreeze()
    step_together(agents, 15, 2)
    assert not torch.equal(agents[1].policy.network.flat, flat[1])


@pytest.mark.parametrize("space", SPACES)
def test_both_engines_act_greedily_and_sample_again(space: str) -> None:
    overrides = ("network.hidden=[9]", "network.output_scale=1")
    agents = pair(4, SPACES[space], *overrides, dtype=torch.float64)
    for agent in agents:
        agent.start(np.zeros(4))
        agent.act_greedily()
    step_together(agents, 20, 0)
    head = agents[1].head
    if space == "box":
        assert torch.equal(head.action, head.mean)
    elif space == "multi-binary":
        assert torch.equal(head.action, (head.probabilities > 0.5).long())
    else:
        parts = zip(head.probabilities.split(head.sizes), head.action.reshape(-1), strict=True)
        assert all(part.argmax() == action for part, action in parts)
    for agent in agents:
        agent.act_greedily(False)
    actions = [np.asarray(agents[1].step(0.0, np.zeros(4))).tolist() for _ in range(40)]
    assert any(action != actions[0] for action in actions)
    with pytest.raises(ConfigError, match="greedy must be true or false"):
        agents[1].act_greedily("yes")


@pytest.mark.parametrize("kind", KINDS)
def test_every_agent_freezes_and_resumes_learning(kind: str) -> None:
    agent = agent_in_episode(kind)
    for i in range(12):
        agent.step(float(i % 3), SEEN[i % 12])
    agent.freeze()
    learned, kept = [tensor.clone() for tensor in agent._learned()], averages(agent)
    for i in range(12):
        agent.step(float(i % 3), SEEN[i % 12])
    assert all(torch.equal(a, b) for a, b in zip(agent._learned(), learned, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(averages(agent), kept, strict=True))
    assert tracked(agent) and not any(tensor.any() for tensor in tracked(agent).values())
    agent.unfreeze()
    for i in range(12):
        agent.step(float(i % 3), SEEN[i % 12])
    assert not all(torch.equal(a, b) for a, b in zip(agent._learned(), learned, strict=True))


@pytest.mark.parametrize("kind", ["torch", "fused"])
def test_many_lifetimes_freeze_like_one(kind: str) -> None:
    many, alone = agent_in_episode(kind, [0, 1]), [agent_in_episode(kind, seed) for seed in (0, 1)]
    for agent in (many, *alone):
        agent.freeze()
        agent.act_greedily()
        agent.reset_episode()
    flat = many.policy.network.flat.clone()
    advance(many, [StepType.FIRST] * 2, np.ones(2), SEEN[:2])
    for agent, observation in zip(alone, SEEN, strict=False):
        agent.start(observation)
    for i in range(2, 10):
        actions = advance(many, [StepType.MID] * 2, np.ones(2), SEEN[i : i + 2])
        assert actions == [agent.step(1.0, observation) for agent, observation in zip(alone, SEEN[i:], strict=False)]
    assert torch.equal(many.policy.network.flat, flat)
    assert not any(tensor.any() for tensor in tracked(many).values())


def test_frozen_agents_run_whole_lifetimes_in_a_kernel() -> None:
    """Lifetimes in a compiled env equal those in Gymnasium, and no parameter changes."""
    runs = []
    for backend in ("compiled", "gymnasium"):
        runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, [], backend=backend).open([3, 4])
        agent, records = make_agent(runner, "network.hidden=[8]", "engine=fused", seed=[3, 4]), [Record(), Record()]
        agent.freeze()
        agent.act_greedily()
        flat = agent.policy.network.flat.clone()
        runner.prepare(agent)
        assert runner.run(agent, 300, records, [], lambda: False) == "finished"
        runner.close()
        assert torch.equal(agent.policy.network.flat, flat)
        runs.append((agent.encoder.normalizer.moments.mean, [record.returns for record in records]))
    (scales, returns), (expected_scales, expected) = runs
    assert returns == expected and torch.equal(scales, expected_scales)


@pytest.mark.parametrize("kind", ["torch", "fused"])
def test_freeze_and_greedy_are_not_in_the_state_and_are_copied(kind: str) -> None:
    agent, other = agent_in_episode(kind), agent_in_episode(kind, seed=1)
    agent.freeze()
    other.restore(copy.deepcopy(agent.capture()))
    other.step(1.0, SEEN[2])
    assert not other.frozen and not torch.equal(other.policy.network.flat, agent.policy.network.flat)
    clone = copy.deepcopy(agent)
    assert clone.step(1.0, SEEN[2]) == agent.step(1.0, SEEN[2])
    assert same(clone.capture(), agent.capture()) and clone.frozen
    assert torch.equal(clone.policy.network.flat, agent.policy.network.flat)
    agent.restore(other.capture())  # still frozen, with the parameters of the other
    agent.step(1.0, SEEN[3])
    assert torch.equal(agent.policy.network.flat, other.policy.network.flat)
    assert not any(tensor.any() for tensor in tracked(agent).values())


def test_greedy_agent_without_a_distribution_raises_an_error() -> None:
    with pytest.raises(ValueError, match="only an agent with a distribution over actions can act greedily, got RSTDP"):
        agent_in_episode("rstdp").act_greedily()
