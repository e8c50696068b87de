"""The fused engine against the torch engine, step by step in float64 and in unusual shapes."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.engines import (
    FAN_IN,
    SPACES,
    assert_same_state,
    by_rows,
    compute_by_rows,
    pair,
    short_and_long,
    step_together,
)
from tests.helpers import make_agent, run_one_lifetime
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.kernels.describe import Layout

LEARN = ("network.learn_membrane_decay=true", "network.learn_threshold=true", "network.learn_readout_decay=true")
SHARED = ("network.membrane_decay=0.6", "network.readout_decay=0.4", "network.threshold=0.3")
ALIF, RECURRENT, NORM = "network.neuron=alif", "network.recurrent=true", "network.layer_norm=true"
TERNARY = "network.neuron=ternary"
PRESYNAPTIC = "network.credit=presynaptic"
TICKS = "network.ticks=4"
ONE = ("agent.trunk=shared",)
ROUNDED = "+agent.weight_bits=6"
GROWING = "agent.discount=[0.99,0.995]", "agent.horizon_share=2"
KINDS = (ALIF, RECURRENT, "network.layer_norm=false", PRESYNAPTIC)
CASES = {
    "default": ("network.hidden=[12]",),
    "two layers": ("network.hidden=[7,5]",),
    "three layers, learned": ("network.hidden=[6,5,4]", *LEARN),
    "three layers, learned and shared": ("network.hidden=[6,5,4]", *LEARN, *SHARED),
    "learned": ("network.hidden=[9]", *LEARN),
    "learned threshold": ("network.hidden=[9]", LEARN[1], "network.threshold=[0.2,0.5]"),
    "learned decay, shared": ("network.hidden=[9]", LEARN[0], *SHARED),
    "shared": ("network.hidden=[9]", *SHARED),
    "hard reset": ("network.hidden=[9]", "network.reset=hard"),
    "hard reset, spike kept": (
        "network.hidden=[9]",
        "network.reset=hard",
        "network.detach_reset=false",
        *SHARED,
        *LEARN,
    ),
    "soft reset, detached": ("network.hidden=[9]", "network.detach_reset=true", *LEARN),
    "triangle": ("network.hidden=[9,4]", "network.surrogate=triangle", "network.slope=0.7"),
    "ticks": ("network.hidden=[9,4]", "network.ticks=3"),
    "obgd": ("network.hidden=[9]", "optimizer=obgd"),
    "adaptive obgd": ("network.hidden=[9]", "optimizer=adaptive_obgd"),
    "sgd": ("network.hidden=[9]", "optimizer=sgd"),
    "update rms": ("network.hidden=[7,5]", *FAN_IN, *LEARN),
    "update rms, presynaptic": ("network.hidden=[7,5]", "optimizer=update_rms", PRESYNAPTIC),
    "low floor": ("network.hidden=[9]", "optimizer.policy.floor=0.2", "optimizer.value.normalize_signal=true"),
    "small signals": ("network.hidden=[9]", "optimizer.policy.signal_floor=0.9", "optimizer.policy.peak_decay=0.999"),
    "rare signals": ("network.hidden=[9]", "optimizer.policy.rms_floor=0.9"),
    "advantage": ("network.hidden=[9]", "agent.signal=advantage"),
    "reward": ("network.hidden=[9]", "agent.signal=reward"),
    "contrast": ("network.hidden=[9]", "encoder=contrast"),
    "contrasts": ("network.hidden=[9]", "encoder=contrast", "encoder.trace_decay=[.5,.99]", "encoder.memory_decay=[]"),
    "memories": ("network.hidden=[9]", "encoder=contrast", "encoder.trace_decay=[]", "encoder.memory_decay=[.5,.99]"),
    "nothing scaled": ("network.hidden=[9]", "encoder.normalize=false", "agent.scale_reward=false"),
    "contrast, nothing scaled": ("network.hidden=[9]", "encoder=contrast", "encoder.normalize=false"),
    "graded": ("network.neuron=graded", "network.hidden=[7,5]", *LEARN, "network.ticks=2"),
    "graded, triangle": ("network.neuron=graded", "network.hidden=[9]", "network.surrogate=triangle"),
    "growing discount": ("network.hidden=[9]", *GROWING),
    "one network": (*ONE, "network.hidden=[9]"),
    "one network, growing discount": (*ONE, "network.hidden=[9]", *GROWING),
    "copy of V's readout": ("network.hidden=[7,5]", "agent.target_rate=0.1", "network.ticks=2"),
    "one network, copy of V's readout": (*ONE, "network.hidden=[9]", "agent.target_rate=0.1", PRESYNAPTIC),
    "one network, two layers": (*ONE, "network.hidden=[7,5]", "agent.value_weight=0.5", *LEARN, "network.ticks=2"),
    "one network, presynaptic, update rms": (*ONE, "network.hidden=[7,5]", PRESYNAPTIC, NORM, *FAN_IN),
    "one network, adaptive": (*ONE, ALIF, RECURRENT, "network.hidden=[7,5]"),
    "graded critic, wider": ("network.hidden=[5]", "agent.critic={hidden:[9,7]}"),
    "spiking critic": ("network.hidden=[9]", "agent.critic=null"),
    "rate target": ("network.hidden=[9]", "network.rate_target=0.1"),
    "rate target, adaptive, learned": (
        ALIF,
        "network.hidden=[7,5]",
        "network.rate_target=0.1",
        "agent.critic=null",
        *LEARN,
    ),
    "rate target, one network": (*ONE, "network.hidden=[64,64]", "network.rate_target=0.1", PRESYNAPTIC, TICKS),
    "ternary": (TERNARY, "network.hidden=[9]"),
    "ternary, two layers, learned": (TERNARY, "network.hidden=[7,5]", *LEARN, "network.ticks=2"),
    "ternary, three layers, shared": (TERNARY, RECURRENT, "network.hidden=[6,5,4]", *LEARN, *SHARED),
    "ternary, hard reset": (TERNARY, "network.hidden=[7,5]", "network.reset=hard", *LEARN),
    "ternary, hard reset, spike kept": (
        TERNARY,
        "network.hidden=[9]",
        "network.reset=hard",
        "network.detach_reset=false",
        *SHARED,
        *LEARN,
    ),
    "ternary, rate target": (TERNARY, "network.hidden=[7,5]", NORM, "network.rate_target=0.1", PRESYNAPTIC),
    "one neuron": ("network.hidden=[1]",),
    "rounded": (ROUNDED, "network.hidden=[7,5]", "network.output_scale=1"),
    "rounded, one network, copy of V's readout": (*ONE, ROUNDED, "network.hidden=[9]", "agent.target_rate=0.1"),
    "rounded, update rms, learned": (ROUNDED, "network.hidden=[9]", "optimizer=update_rms", *LEARN),
    "recurrent": (RECURRENT, "network.hidden=[9]"),
    "recurrent, two layers": (RECURRENT, "network.hidden=[7,5]", "network.ticks=2"),
    "adaptive": (ALIF, "network.hidden=[9]"),
    "adaptive, recurrent, learned": (ALIF, RECURRENT, "network.hidden=[9]", *LEARN),
    "adaptive, three layers, shared": (
        ALIF,
        RECURRENT,
        "network.hidden=[6,5,4]",
        "network.adaptation_decay=0.8",
        *LEARN,
        *SHARED,
    ),
    "normalised": ("network.hidden=[9]", NORM),
    "normalised, two layers, learned": ("network.hidden=[7,5]", NORM, *LEARN),
    "presynaptic": ("network.hidden=[9]", PRESYNAPTIC),
    "presynaptic, three layers": ("network.hidden=[6,5,4]", PRESYNAPTIC, *SHARED, "network.learn_readout_decay=true"),
    "presynaptic, adaptive": (ALIF, RECURRENT, "network.hidden=[7,5]", PRESYNAPTIC),
    "presynaptic, recurrent, normalised": (RECURRENT, "network.hidden=[5,6,4]", PRESYNAPTIC, NORM),
    "everything at once": (
        ALIF,
        RECURRENT,
        "network.hidden=[6,5]",
        NORM,
        *LEARN,
        "network.ticks=3",
        "network.reset=hard",
    ),
}


def settings_of(case: str) -> list[str]:
    """Return the settings of a case, added to a plain network unless the case is the default."""
    given = list(CASES[case])
    if case == "default":
        return given
    coded = any(setting.startswith("encoder=") for setting in given)
    return [*([] if coded else ["encoder=raw"]), *([] if NORM in given else ["network.layer_norm=false"]), *given]


@pytest.mark.parametrize(("case", "steps"), short_and_long(CASES))
def test_fused_equals_torch_step_by_step(case: str, steps: int) -> None:
    """State is copied every 50 steps: with large steps a rounding error grows tenfold in 40 steps."""
    step_together(pair(4, 3, *settings_of(case), dtype=torch.float64), 4, steps, joined_every=50)


@pytest.mark.parametrize("case", CASES)
def test_large_network_is_computed_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of inputs that have always been zero are skipped until an input is not zero."""
    agents = by_rows(monkeypatch, 5, 3, *settings_of(case))
    step_together(agents, 5, 120, joined_every=50, silent={1: 120, 3: 60})


@pytest.mark.parametrize("more", [(), (PRESYNAPTIC,)], ids=["otpe", "presynaptic"])
def test_more_rows_than_fit_one_pass_are_computed(more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    compute_by_rows(monkeypatch)
    silent = {place: 20 * (place % 4) for place in range(300)}
    step_together(pair(300, 2, "network.hidden=[4]", *more, dtype=torch.float64), 300, 60, silent=silent)


def test_only_a_large_network_is_computed_by_rows() -> None:
    for size, expected in ((20, 0), (400, 1)):
        _, agent = pair(size, 2)
        assert Layout(agent.fused_parts()).agent["by_rows"][0] == expected


@pytest.mark.parametrize(("space", "steps"), short_and_long(SPACES))
@pytest.mark.parametrize(
    ("entropy", "max_std", "target", "clipped", "margin"),
    [
        (0.0, "null", "null", "false", "null"),
        (0.3, "0.7", "null", "false", "0"),
        (0.3, "null", "0.6", "true", "null"),
        (0.3, "0.7", "0.2", "true", "0.5"),
    ],
)
def test_fused_equals_torch_with_every_head(
    space: str, steps: int, entropy: float, max_std: str, target: str, clipped: str, margin: str
) -> None:
    deviations = "head=bounded", f"head.max_std={max_std}", f"head.target_std={target}"
    gaussian = *deviations, f"head.clipped_log_prob={clipped}", f"head.mean_margin={margin}"
    overrides = ("network.hidden=[9]", "network.output_scale=1", f"agent.entropy={entropy}", *gaussian)
    step_together(pair(4, SPACES[space], *overrides, dtype=torch.float64), 4, steps)


@pytest.mark.parametrize("reference", ["null", "1.5"])
def test_fused_equals_torch_with_a_relative_entropy(reference: str) -> None:
    box = gym.spaces.Box(np.float32([-1, 0, 5]), np.float32([1, 9, np.inf]))  # the last number has no range
    head = "head=relative", f"head.reference_std={reference}", "head.bonus_components=1"
    overrides = "network.hidden=[9]", "network.output_scale=9", "agent.entropy=0.3", *head
    step_together(pair(4, box, *overrides, dtype=torch.float64), 4, 60)


@pytest.mark.parametrize("bins", [2, 5])
def test_fused_equals_torch_with_a_discretized_head(bins: int) -> None:
    box = gym.spaces.Box(np.float32([[-1, 0, 2]]), np.float32([[1, 9, 2.5]]))
    overrides = "network.hidden=[9]", "network.output_scale=1", "head=discretized", f"head.bins={bins}"
    overrides = *overrides, "head.bonus_components=2", "agent.entropy=0.3"
    step_together(pair(4, box, *overrides, dtype=torch.float64), 4, 60)


@settings(max_examples=24, deadline=None, derandomize=True, database=None)
@given(
    size=st.integers(1, 19),
    actions=st.integers(1, 18),
    hidden=st.lists(st.integers(1, 17), min_size=1, max_size=3),
    kind=st.sets(st.sampled_from(KINDS)),
    seed=st.integers(0, 99),
)
@example(size=1, actions=18, hidden=[1], kind=set(), seed=0)
@example(size=2, actions=1, hidden=[1, 1, 1], kind=set(KINDS), seed=1)
@example(size=2, actions=2, hidden=[65], kind=set(), seed=2)
@example(size=2, actions=2, hidden=[65, 3], kind=set(KINDS), seed=3)
def test_fused_equals_torch_in_any_shape(size: int, actions: int, hidden: list[int], kind: set[str], seed: int) -> None:
    """State is copied at times: rounding errors grow in narrow layers of normalised currents."""
    overrides = (f"network.hidden={hidden}", "network.output_scale=1", *sorted(kind))
    step_together(pair(size, actions, *overrides, seed=seed, dtype=torch.float64), size, 30, seed, joined_every=10)


def test_float32_is_close_to_float64() -> None:
    torch_agent, fused_agent = pair(4, 2, "network.hidden=[32]", "optimizer.policy.eta=1e-4")
    seen = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    for agent in (torch_agent, fused_agent):
        agent.start(seen[0])
        for observation in seen[1:]:
            agent.step(1.0, observation)
    torch.testing.assert_close(fused_agent.critic.network.flat, torch_agent.critic.network.flat, rtol=1e-3, atol=1e-4)
    assert fused_agent.diagnostics().keys() == torch_agent.diagnostics().keys()


def test_both_engines_share_one_state() -> None:
    """One engine continues from the other: state_dict, logging and kernels read the same tensors."""
    _, fused = pair(4, 2, "network.hidden=[9]", dtype=torch.float64)
    reference, _ = pair(4, 2, "network.hidden=[9]", dtype=torch.float64)
    seen = np.random.default_rng(0).normal(size=(60, 4))
    for agent in (reference, fused):
        agent.start(seen[0])
    kernels = fused.fused
    for i in range(1, 60):
        fused.fused = kernels if i % 2 else None
        assert fused.step(0.5, seen[i]) == reference.step(0.5, seen[i]), i
    torch.testing.assert_close(fused.policy.network.flat, reference.policy.network.flat)


@pytest.mark.parametrize("more", [(), ("agent=stream_ac",)], ids=["reflect", "stream_ac"])
def test_fused_equals_torch_at_a_reward_far_beyond_those_before_it(more: tuple[str, ...]) -> None:
    agents = pair(4, 2, *more, dtype=torch.float64)
    step_together(agents, 4, 60)
    state = {name: tensor.clone() for name, tensor in agents[0].capture().items()}
    state["reward_scaler.moments.count"] += 1000
    for agent in agents:
        agent.restore(state)
        agent.step(-1e9, np.ones(4))
    assert -1e4 < float(agents[0].reward_scaler.discounted) < -10
    assert_same_state(agents)


def test_copies_and_restored_agents_are_independent() -> None:
    _, agent = pair(4, 2, "network.hidden=[9]")
    seen = np.random.default_rng(0).normal(size=(60, 4))
    agent.start(seen[0])
    for observation in seen[1:20]:
        agent.step(1.0, observation)
    clone = copy.deepcopy(agent)
    _, restored = pair(4, 2, "network.hidden=[9]", seed=9)
    restored.load_state_dict(copy.deepcopy(agent.state_dict()))
    before = agent.policy.network.flat.clone()
    actions = [[other.step(1.0, observation) for observation in seen[20:]] for other in (clone, restored)]
    assert torch.equal(agent.policy.network.flat, before)
    assert actions[0] == actions[1] == [agent.step(1.0, observation) for observation in seen[20:]]
    for other in (clone, restored):
        assert torch.equal(other.policy.network.flat, agent.policy.network.flat)


def test_same_seed_is_bit_identical_and_actions_begin_at_the_start_of_the_space() -> None:
    runs = [run_one_lifetime("CartPole-v1", 3000, "engine=fused", seed=3) for _ in range(2)]
    assert torch.equal(runs[0][0].policy.network.flat, runs[1][0].policy.network.flat)
    assert runs[0][1].returns == runs[1][1].returns
    env = Space(2, 2)
    env.action_space = gym.spaces.Discrete(2, start=5)
    agent = make_agent(env, "engine=fused", "network.hidden=[9]")
    assert {agent.start(np.random.default_rng(i).normal(size=2)) for i in range(30)} == {5, 6}


def test_fused_engine_learns_cartpole() -> None:
    """Ten thousand steps take a tenth of a second once compiled."""
    _, record = run_one_lifetime("CartPole-v1", 10_000, "engine=fused", seed=0)
    assert record.mean_return(20) >= 150


def test_observation_of_another_size_raises_an_error() -> None:
    _, agent = pair(4, 2, "network.hidden=[9]")
    with pytest.raises(ValueError, match="observation must hold 4 numbers, got 3"):
        agent.start(np.zeros(3))


def test_building_the_engine_changes_no_state() -> None:
    first, second = pair(4, 2, "network.hidden=[9]")
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_auto_selects_kernels_if_supported_and_gives_the_reason_otherwise() -> None:
    env = Space(4, 2)
    assert make_agent(env, "engine=auto").engine == "fused"
    agent = make_agent(env, "engine=auto", "optimizer=torch")
    assert (agent.engine, agent.engine_reason) == ("torch", "it has no torch.optim optimisers")
    assert make_agent(env, "engine=torch").engine_reason is None
    for setting in ("neuron=synaptic", "credit=exact"):
        agent = make_agent(env, "engine=auto", "network.hidden=[3]", f"network.{setting}")
        assert (agent.engine, agent.engine_reason) == ("torch", f"it has no kernel for {setting}")
    with pytest.raises(ConfigError, match="engine cannot be fused: it has no torch.optim optimisers"):
        make_agent(env, "engine=fused", "optimizer=torch")
    with pytest.raises(ConfigError, match="engine must be one of auto, torch, fused"):
        make_agent(env, "engine=numpy")
