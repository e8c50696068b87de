"""Convolution and pooling in the fused engine against the torch engine, step by step in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import FAN_IN, by_rows, pair, step_together
from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.nn.layers import ConvolutionalSynapses, Pooling

CONV = ("network=conv", "network.channels=[3]")
TWO = ("network=conv", "network.channels=[3,4]", "network.kernel=[3,2]", "network.hidden=[5]")
NORM, TICKS = "network.layer_norm=true", "network.ticks=2"
GRADED = ("network.neuron=graded", "network.surrogate=rectifier")
MIXED = (*TWO, "network.hidden=[6,5]", "network.credit=mixed")
SHARED = ("agent.trunk=shared", "optimizer=update_rms", "encoder=raw")
SEPARATE = {"encoder": "contrast", "optimizer": "intentional", "agent.trunk": "separate"}  # the parts of vectors
CASES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "under the readout": ((6, 5, 2), CONV),
    "channels first": ((2, 6, 5), CONV),
    "grey": ((6, 5), (*CONV, "network.padding=1", "network.stride=2")),
    "raw": ((6, 5, 2), (*CONV, "encoder=raw", NORM)),
    "dense on top": ((6, 5, 2), (*CONV, "network.hidden=[6,5]", NORM, "network.membrane_decay=[0,0.7]")),
    "two, average": ((7, 8, 2), (*TWO, "network.padding=[1,0]", "network.pool=[2,1]")),
    "two, maximum": ((9, 8, 2), (*TWO, "network.stride=[2,1]", "network.pool=[1,2]", "network.pool_kind=max", NORM)),
    "pooled twice, ticks": ((12, 12), (*TWO, "network.pool=2", "network.pool_kind=max", "network.hidden=[]", TICKS)),
    "rectified": ((6, 5, 2), (*TWO, *GRADED, NORM, "network.membrane_decay=0", "network.readout_decay=0")),
    "graded, remembering": ((6, 5, 2), (*TWO, "network.neuron=graded", TICKS)),
    "adaptive, recurrent": ((6, 5, 2), (*TWO, "network.neuron=alif", "network.recurrent=true")),
    "readout learned": ((6, 5, 2), (*TWO, "network.learn_readout_decay=true", "network.membrane_decay=0.5")),
    "obgd": ((6, 5, 2), (*TWO, "optimizer=obgd")),
    "update_rms": ((6, 5, 2), (*TWO, *FAN_IN)),
    "mixed, pooled": ((9, 8, 2), (*MIXED, "network.pool=[1,2]", "network.pool_kind=max", "network.hidden=[5]", NORM)),
    "mixed, two dense": ((7, 8, 2), (*MIXED, "network.pool=[2,1]", "network.padding=[1,0]", TICKS)),
    "mixed, graded": ((6, 5, 2), (*MIXED, "network.neuron=graded", NORM, TICKS)),
    "mixed, adaptive": ((6, 5, 2), (*MIXED, "network.neuron=alif", "network.recurrent=true")),
    "mixed, hard reset": ((6, 5, 2), (*MIXED, "network.reset=hard", "network.learn_readout_decay=true")),
    "mixed, update_rms": ((6, 5, 2), (*MIXED, "optimizer=update_rms")),
    "mixed, no dense": ((6, 5, 2), (*MIXED, "network.hidden=[]")),
    "shared": (
        (6, 5, 2),
        (*CONV, "network.hidden=[5]", *SHARED, NORM),
    ),
    "shared, hard reset": (
        (6, 5, 2),
        (*CONV, "network.hidden=[5]", *SHARED, "network.reset=hard", "network.weight_scale=2.8"),
    ),
    "shared, steps of layers": (
        (6, 5, 2),
        (*CONV, "network.hidden=[5]", *SHARED, "optimizer.policy.fan_in=20", "network.reset=hard"),
    ),
    "rate target": ((7, 8, 2), (*TWO, "network.pool=[2,1]", "network.rate_target=0.1", TICKS)),
    "spiking critic": ((6, 5, 2), (*CONV, "agent.critic=null")),
}


def images(case: str, *more: str, **options: Any) -> tuple[Any, int]:
    """Return the agents of a case and how many numbers they observe."""
    shape, overrides = case_of(case)
    return pair(shape, 3, *overrides, *more, dtype=torch.float64, **options), math.prod(shape)


def case_of(case: str) -> tuple[tuple[int, ...], list[str]]:
    """Return the shape and the overrides of a case, with two networks unless it has settings of its own."""
    shape, overrides = CASES[case]
    own = {override.partition("=")[0] for override in overrides}
    return shape, [*(f"{key}={value}" for key, value in SEPARATE.items() if key not in own), *overrides]


@pytest.mark.parametrize("case", CASES)
def test_fused_equals_torch_step_by_step(case: str) -> None:
    agents, size = images(case)
    step_together(agents, size, 60, joined_every=50)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_fused_equals_torch_over_a_long_run(case: str) -> None:
    agents, size = images(case)
    step_together(agents, size, 2000, joined_every=50)


@pytest.mark.parametrize("case", ["two, maximum", "dense on top", "mixed, two dense", "mixed, update_rms"])
def test_large_network_is_computed_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that have always been zero do not change what is learned."""
    shape, overrides = case_of(case)
    agents, silent = by_rows(monkeypatch, shape, 3, *overrides), {1: 120, 3: 60, **{i: 90 for i in range(10, 40)}}
    step_together(agents, math.prod(shape), 120, joined_every=50, silent=silent)


@pytest.mark.parametrize("case", ["two, average", "mixed, two dense"])
def test_many_lifetimes_equal_each_alone(case: str) -> None:
    shape, overrides = CASES[case]
    env, rng = Space(shape, 3), np.random.default_rng(0)
    seen = rng.normal(size=(12, 3, *shape)).astype(np.float32)
    together = make_agent(env, *overrides, "engine=fused", seed=[4, 5, 6], dtype=torch.float64)
    alone = [make_agent(env, *overrides, "engine=fused", seed=seed, dtype=torch.float64) for seed in (4, 5, 6)]
    step_types = np.full(3, 1)
    together.advance(step_types, np.zeros(3), seen[0])
    for i, agent in enumerate(alone):
        agent.start(seen[0, i])
    for t in range(1, 12):
        together.advance(step_types + 1, np.full(3, float(t % 3)), seen[t])
        for i, agent in enumerate(alone):
            agent.step(float(t % 3), seen[t, i])
    for i, agent in enumerate(alone):
        for name, tensor in agent.state_dict().items():
            torch.testing.assert_close(together.state_dict()[name][i], tensor, rtol=0, atol=0)


@given(
    side=st.integers(5, 9),
    planes=st.integers(1, 3),
    last=st.booleans(),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    pool=st.integers(1, 2),
    kind=st.sampled_from(["average", "max"]),
)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_every_geometry_is_computed(
    side: int, planes: int, last: bool, kernel: int, stride: int, padding: int, pool: int, kind: str
) -> None:
    shape = (side, side + 1, planes) if last else (planes, side, side + 1)
    geometry = dict(kernel=kernel, stride=stride, padding=padding, pool=pool, pool_kind=kind, channels_last=last)
    overrides = [f"network.{name}={str(value).lower()}" for name, value in geometry.items()]
    agents = pair(shape, 2, *CONV, "network.hidden=[4]", "encoder=raw", *overrides, dtype=torch.float64)
    step_together(agents, math.prod(shape), 12)


def test_otpe_of_convolutions_is_not_fused() -> None:
    with pytest.raises(ConfigError, match="credit=otpe of convolutional layers"):
        make_agent(Space((6, 5, 2), 3), *CONV, "network.credit=otpe", "engine=fused")


def test_states_of_earlier_versions_are_loaded() -> None:
    """Patches were saved in place of images, their trace once per channel, and a maximum as its place in the input."""
    agents, size = images("two, maximum", "network.padding=[1,0]")  # every pixel is in a patch
    step_together(agents, size, 20)
    agent = agents[0]
    state = {name: tensor.clone() for name, tensor in agent.capture().items()}
    earlier = dict(state)
    for name, module in agent.named_modules():
        if isinstance(module, ConvolutionalSynapses):
            earlier[f"{name}.patches"] = module._patches(earlier.pop(f"{name}.inputs"))
        if isinstance(module, Pooling):
            winners = state[f"{name}.winners"].long().unsqueeze(-1)
            earlier[f"{name}.winners"] = module.members.gather(-1, winners).squeeze(-1)
    for network in ("policy.network", "critic.network"):
        synapses, name = agent.get_submodule(f"{network}.hidden.0.synapses"), f"{network}.credit.parts.0.trace"
        earlier[name] = synapses._patches(state[name].squeeze(-1)).repeat(1, 3)
    assert sum(tensor is not state.get(name) for name, tensor in earlier.items()) == 8
    agent.reset_episode()
    agent.restore(earlier)
    for name, tensor in agent.capture().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
