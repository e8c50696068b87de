"""The records that the kernels read: each field is filled by the attribute of its name."""

from typing import Any

import gymnasium as gym
import numpy as np

from tests.engines import SPACES, pair
from tracerl.kernels.describe import Layout
from tracerl.kernels.layout import ABSENT, AGENT, FLAG, LAYER, RECTIFIED

LEARN = ("network.learn_membrane_decay=true", "network.learn_threshold=true", "network.learn_readout_decay=true")
GAUSSIAN = "head=bounded", "head.mean_margin=1", "head.max_std=1", "head.target_std=1"
AGENTS: list[tuple[Any, tuple[str, ...]]] = [
    (SPACES["box"], ("network.neuron=alif", *LEARN, "network.hidden=[3,4]", *GAUSSIAN)),
    (SPACES["box"], ("network.hidden=[3]", "head.reference_std=1")),
    (gym.spaces.Box(-1, 1, (2,)), ("network.hidden=[3]", "head=discretized")),
    (3, ("network.hidden=[3]", "network.rate_target=0.1")),
    (3, ("network.hidden=[3]", "network.neuron=ternary")),
    (3, ("network.hidden=[3]", "optimizer.value.normalize_signal=true", "encoder.memory_decay=[.9]")),
    (SPACES["multi-binary"], ("network.credit=presynaptic", "network.reset=hard", "agent.signal=advantage")),
    (3, ("agent=stream_ac", "agent.hidden=[8,6]", "optimizer=update_rms")),
    (3, ("network.hidden=[3]", "agent.trunk=shared", "agent.target_rate=0.1", "agent.discount=[.9,.995]")),
    (3, ("network.hidden=[3]", "agent=q_lambda", "agent.atoms=3")),
    (3, ("network.hidden=[3]", "+agent.weight_bits=8")),
    (3, ("network.hidden=[3]", "network.neuron=graded", "network.detach_reset=true", "optimizer=adaptive_obgd")),
]
IMAGES = "network=conv", "network.channels=[3]", "network.pool=2", "network.pool_kind=max"
PERCEPTRON_OF_IMAGES = "agent=stream_ac", "agent.hidden=[5]", "agent.channels=[3]"
SWITCHED = {("frozen",), ("adapts",), ("greedy",), ("by_rows",), ("finds_active",)}
OF_OTHERS = {("threshold", "complement"), ("adaptation_decay", "raw")}  # of one record type with those that have them


def given(values: np.ndarray[Any, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the paths of the fields set in some record: lengths and flags not 0, others present."""
    if values.dtype.names is None:
        counts = values.dtype == FLAG or path[-1].startswith("len_")
        return {path} if (values != (0 if counts else ABSENT)).any() else set()
    return set().union(*(given(values[name], (*path, name)) for name in values.dtype.names))


def paths(dtype: np.dtype[Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if dtype.names is None:
        return {path}
    return set().union(*(paths(dtype[name], (*path, name)) for name in dtype.names))


def test_every_field_is_an_attribute_of_some_agent() -> None:
    """A misspelt field would be absent in all agents, and its kernels would never run."""
    agents = [pair(4, space, *overrides) for space, overrides in AGENTS] + [
        pair((6, 6, 2), 3, *overrides) for overrides in (IMAGES, PERCEPTRON_OF_IMAGES)
    ]
    layouts = [Layout(fused.fused_parts()) for _, fused in agents]
    found = set().union(*(given(layout.agent) for layout in layouts))
    assert paths(AGENT) - found - SWITCHED == set()
    for kind, absent in ((LAYER, OF_OTHERS), (RECTIFIED, set())):
        found = set().union(*(given(layout.layers) for layout in layouts if layout.layers.dtype == kind))
        assert paths(kind) - found == absent


def test_offset_is_the_start_of_the_tensor() -> None:
    agent = pair(4, 3, "network.hidden=[5,6]")[1]
    layout, memory = Layout(agent.fused_parts()), agent.memory.real.numpy()
    agent.critic.network.layers[1].membrane.copy_(agent.critic.network.layers[1].rate + 7)
    layer = layout.layers[layout.agent["critic"]["network"]["first_layer"][0] + 1]
    assert layer["n_out"] == 6 and (memory[layer["membrane"] :][:6] == 7).all()
