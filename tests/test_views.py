"""Views of an agent are current at every call, and its distributions have all its numbers."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import tracerl
from tests.helpers import make_agent
from tracerl.lifetime.loop import run_lifetime
from tracerl.lifetime.record import Record
from tracerl.nn.views import View, Viewer, constants, distributions, view

AGENTS: dict[str, dict[str, Any]] = {
    "reflect": {"network.hidden": [5, 4], "engine": "torch"},
    "eprop": {"network.hidden": [5]},
    "rstdp": {"agent.signal": "td"},
    "reflect_classic": {},
    "stream_ac": {"agent.hidden": [5], "engine": "torch"},
    "q_lambda": {"network.hidden": [5], "engine": "torch"},
}


def run_agent(name: str, steps: int = 25) -> Any:
    env = gym.make("CartPole-v1")
    agent = tracerl.make_agent(env, name, AGENTS[name])
    run_lifetime(agent, env, steps, 0, Record())
    return agent, env


def same(one: View, other: View) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("probabilities", "value", "td_error")]
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        pairs += [(getattr(mine, part), getattr(theirs, part)) for part in ("spikes", "membrane", "threshold", "rate")]
    return all(np.array_equal(a, b, equal_nan=True) if a is not None else b is None for a, b in pairs)


@pytest.mark.parametrize("name", AGENTS)
def test_second_view_equals_a_first_view_at_that_step(name: str) -> None:
    agent, env = run_agent(name)
    viewer = Viewer(agent)
    before = viewer()
    run_lifetime(agent, env, 25, 1, Record())
    assert same(viewer(), view(agent)) and not same(viewer(), before)


def test_views_of_the_fused_engine_and_of_one_of_many_lifetimes_are_current() -> None:
    env = gym.make("CartPole-v1")
    agent = make_agent(env, "engine=fused", "network.hidden=[6]", seed=[0, 1])
    viewer = Viewer(agent, 1)
    viewer()
    agent.policy.network.layers[0].membrane[1] = torch.arange(6.0)
    agent.value[1] = 2.5
    seen = viewer()
    assert seen.layers[0].membrane.tolist() == [0, 1, 2, 3, 4, 5] and seen.value == 2.5


@pytest.mark.parametrize("name", AGENTS)
def test_every_spiking_agent_has_distributions(name: str) -> None:
    agent, _ = run_agent(name)
    found = distributions(agent)
    groups = {tag.split("/")[0] for tag in found}
    assert groups >= {"weights", "traces"}
    assert groups >= {"decays", "thresholds"} or name in ("rstdp", "stream_ac")
    assert all(values.ndim == 1 and values.size for values in found.values())
    kept = constants(agent)
    assert set(kept) == {tag for tag in found if tag.startswith(("decays/", "thresholds/"))}
    assert not any(np.shares_memory(kept[tag], found[tag]) for tag in kept)


def test_layers_have_their_own_weights_and_traces() -> None:
    agent, _ = run_agent("reflect", 65)
    found, network = distributions(agent), agent.policy.network
    np.testing.assert_array_equal(found["weights/policy_1"], network.layers[1].synapses.weight.reshape(-1))
    np.testing.assert_array_equal(found["weights/policy_readout_bias"], network.readout.bias)
    np.testing.assert_array_equal(found["decays/policy_0_membrane"], network.layers[0].membrane_decay.value)
    parts = ("policy_0", "policy_1", "policy_readout")
    trace = np.concatenate([found[f"traces/{part}"] for part in parts])
    np.testing.assert_array_equal(trace, agent.policy.eligibility_trace)
    assert len(found["traces/policy_1"]) == 4 * 6 and np.abs(trace).max() > 0


def test_distributions_count_all_lifetimes_and_may_be_empty() -> None:
    env = gym.make("CartPole-v1")
    agent = make_agent(env, "network.hidden=[6]", seed=[0, 1, 2])
    assert len(distributions(agent)["weights/policy_0"]) == 3 * 12 * 6
    assert len(distributions(agent)["traces/policy_readout"]) == 3 * 2 * 7
    assert distributions(tracerl.make_agent(env, "random")) == {}
