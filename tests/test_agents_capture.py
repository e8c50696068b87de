"""Every restored agent continues bit-identically, with one lifetime or many, within an episode."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.helpers import make_agent
from tracerl import testing
from tracerl.lifetime.protocol import Stateful, is_stateful

CASES = {
    "reflect, torch": ("network.hidden=[9]",),
    "reflect, fused": ("network.hidden=[9]", "engine=fused"),
    "two layers, learned": (
        "engine=fused",
        "network.hidden=[7,5]",
        "network.learn_threshold=true",
        "network.learn_membrane_decay=true",
    ),
    "recurrent, adaptive, ticks": ("network=alif", "network.hidden=[7]", "network.ticks=2"),
    "synaptic": ("network=synaptic", "network.hidden=[7]"),
    "graph": ("network=graph",),
    "exact credit": ("network.hidden=[5]", "network.credit=exact"),
    "presynaptic": ("network.hidden=[7,5]", "network.credit=presynaptic"),
    "contrast": ("network.hidden=[9]", "encoder=contrast", "engine=fused"),
    "spikes drawn": ("network.hidden=[9]", "encoder=rate", "network.ticks=4"),
    "obgd": ("network.hidden=[9]", "optimizer=obgd"),
    "adaptive obgd": ("network.hidden=[9]", "optimizer=adaptive_obgd"),
    "update rms": ("network.hidden=[9]", "optimizer=update_rms", "engine=fused"),
    "torch's Adam": ("network.hidden=[9]", "optimizer=torch"),
    "torch's momentum": (
        "network.hidden=[9]",
        "optimizer=torch",
        "optimizer.policy.name=SGD",
        "+optimizer.policy.kwargs.momentum=0.9",
    ),
    "shared": ("network.hidden=[9]", "agent.trunk=shared"),
    "shared, fused": ("network.hidden=[9]", "agent.trunk=shared", "engine=fused", "agent.target_rate=0.1"),
    "growing discount": ("network.hidden=[9]", "agent.discount=[0.99,0.995]", "agent.horizon_share=2"),
    "advantage": ("network.hidden=[9]", "agent.signal=advantage"),
    "rounded": ("network.hidden=[9]", "+agent.weight_bits=8"),
    "rounded, fused": ("network.hidden=[9]", "agent.trunk=shared", "+agent.weight_bits=4", "engine=fused"),
    "eprop": ("agent=eprop", "network.hidden=[9]"),
    "eprop, adaptive feedback": ("agent=eprop", "network.hidden=[9]", "network.feedback=adaptive"),
    "rstdp": ("agent=rstdp",),
    "reflect_classic": ("agent=reflect_classic", "agent.network.hidden=[7]"),
    "reflect_classic, several decays": (
        "agent=reflect_classic",
        "agent.network.hidden=[7]",
        "agent.decays=[0.5,0.9]",
        "agent.paired_traces=true",
    ),
    "stream_ac": ("agent=stream_ac", "agent.hidden=[7,6]"),
    "stream_ac, fused": ("agent=stream_ac", "agent.hidden=[7,6]", "engine=fused"),
    "q_lambda": ("agent=q_lambda", "network.hidden=[7]", "engine=torch"),
    "q_lambda, fused": ("agent=q_lambda", "network.hidden=[7]", "agent.target=sarsa", "agent.atoms=5"),
    "stream_q": ("agent=stream_q", "network.hidden=[7]"),
    "random": ("agent=random",),
}
SPACES: dict[str, spaces.Space] = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(-1, 2, (2,), np.float32),
    "bits": spaces.MultiBinary(3),
    "several": spaces.MultiDiscrete([2, 3]),
}


class Spaces(gym.Env):
    def __init__(self, action_space: spaces.Space) -> None:
        self.observation_space = testing.OBSERVATIONS
        self.action_space = action_space


def assert_restored_agent_continues(space: spaces.Space, overrides: tuple[str, ...], lifetimes: int | None) -> None:
    def build(seed: int | list[int]) -> Any:
        return make_agent(Spaces(space), *overrides, seed=seed)

    assert is_stateful(build(0))
    testing.check_state(build, testing.OBSERVATIONS, lifetimes, steps=40)


def stepped_agent(case: str, steps: int) -> Any:
    """Return an agent after some steps."""
    agent = make_agent(Spaces(SPACES["discrete"]), *CASES[case])
    testing.play(agent, testing.random_transitions(testing.OBSERVATIONS, steps))
    return agent


def state_of(agent: Stateful) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in agent.capture().items()}


@pytest.mark.parametrize("case", CASES)
def test_restored_agent_of_one_lifetime_continues_bit_identically(case: str) -> None:
    assert_restored_agent_continues(SPACES["discrete"], CASES[case], None)


@pytest.mark.parametrize("case", [case for case in CASES if case != "random"])
def test_restored_agent_of_many_lifetimes_continues_bit_identically(case: str) -> None:
    assert_restored_agent_continues(SPACES["discrete"], CASES[case], 3)


@pytest.mark.parametrize("space", [space for space in SPACES if space != "discrete"])
@pytest.mark.parametrize(
    "case", ["reflect, torch", "reflect, fused", "eprop", "stream_ac", "stream_ac, fused", "random"]
)
def test_restored_agent_continues_bit_identically_in_every_action_space(space: str, case: str) -> None:
    assert_restored_agent_continues(SPACES[space], CASES[case], None)


@pytest.mark.parametrize("case", ["reflect, fused", "stream_ac", "random", "torch's Adam"])
def test_state_of_other_settings_raises_an_error_naming_the_difference(case: str) -> None:
    agent = stepped_agent(case, 9)
    state = state_of(agent)
    name = next(iter(state))
    with pytest.raises(ValueError, match=f"lacks {name}"):
        agent.restore({key: tensor for key, tensor in state.items() if key != name})
    with pytest.raises(ValueError, match="more"):
        agent.restore({**state, "more": torch.zeros(1)})
    if case != "random":
        with pytest.raises(ValueError, match=rf"{name} of the agent's state must be"):
            agent.restore({**state, name: torch.zeros(99)})


@pytest.mark.parametrize("case", ["reflect, fused", "stream_ac", "torch's Adam"])
def test_state_that_raises_an_error_changes_nothing(case: str) -> None:
    agent, other = stepped_agent(case, 9), state_of(stepped_agent(case, 20))
    before, last = state_of(agent), [name for name in other if not name.startswith("foreign.")][-1]
    wrong = [{last: torch.zeros(99)}]
    if case == "torch's Adam":  # an optimiser after another one has no such parameter, or has it without its steps
        wrong += [{"foreign.1.99.step": torch.zeros(())}, {"foreign.1.0.step": None}]
    for changes in wrong:
        state = {name: tensor for name, tensor in {**other, **changes}.items() if tensor is not None}
        with pytest.raises((ValueError, KeyError)):
            agent.restore(state)
        after = agent.capture()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("case", ["reflect, torch", "eprop", "rstdp", "stream_ac"])
def test_reset_episode_clears_traces_and_changes_no_parameter(case: str) -> None:
    agent = stepped_agent(case, 4)
    before = state_of(agent)
    agent.reset_episode()
    after = agent.capture()
    traces = [name for name in after if "trace" in name.split(".")[-1] or "eligibility" in name.split(".")[-1]]
    of_learning = [
        name for name in traces if not name.startswith("encoder.")
    ]  # the encoder's traces reset at the first step of an episode
    assert of_learning and all(not after[name].any() for name in of_learning)
    weights = [name for name in after if name.endswith((".affine", ".weight", "policy.flat"))]
    assert weights and all(torch.equal(after[name], before[name]) for name in weights)
