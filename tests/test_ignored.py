"""Settings that have no effect beside the others: the agent they make is the same, and a warning names them."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from gymnasium import Space, spaces
from omegaconf import OmegaConf

import tracerl
from tests.helpers import compose
from tests.test_run import QUICK, Result, Run, run_here
from tracerl.config.checks import ConfigWarning
from tracerl.config.ignored import ignored
from tracerl.config.overrides import key_and_value
from tracerl.nn.encoders import Raw
from tracerl.runs.build import with_input
from tracerl.runs.by_input import kind_of_space
from tracerl.runs.ignored import ignored_by

__all__ = ["run_here"]  # the fixture

VECTOR, IMAGE = spaces.Box(-1, 1, (3,)), spaces.Box(0, 1, (6, 6, 2))
CHOICE, NUMBERS = spaces.Discrete(2), spaces.Box(-1, 1, (2,))
DENSE, CONV = ("network.hidden=[4]",), ("network=conv", "network.channels=[2]")
SPIKING, PERCEPTRONS = ("reflect", *DENSE), ("agent.hidden=[4]", "agent.sparsity=0.5")

Case = tuple[Space[Any], Space[Any], tuple[str, ...], str, str]  # observations, actions, agent and others, two values


def of(*others: str, key: str, actions: Space[Any] = CHOICE, observations: Space[Any] = VECTOR) -> Case:
    """Return a case: an agent with other settings, and ``KEY=VALUE|VALUE``, a setting with two values."""
    key, _, values = key.partition("=")
    first, second = values.split("|")
    return observations, actions, others, f"{key}={first}", f"{key}={second}"


# Pairs of cases with the same setting: without effect for the reason, and with an effect.
PAIRS: dict[str, tuple[Case, Case]] = {
    "with this agent, whose one rule is optimizer.policy (agent=q_lambda)": (
        of("q_lambda", *DENSE, key="optimizer.value.lr=0.1|0.2"),
        of("stream_ac", *PERCEPTRONS, key="optimizer.value.lr=0.001|0.002"),
    ),
    "with this agent, whose one rule is optimizer.policy (agent=stream_q)": (
        of("stream_q", *DENSE, "network.sparsity=0.5", key="optimizer.value.kappa=2|3"),
        of("stream_ac", *PERCEPTRONS, "agent.lr=0.3", key="optimizer.value.kappa=2|3"),
    ),
    "with this agent, whose one rule is optimizer.policy (agent=eprop)": (
        of("eprop", *DENSE, key="optimizer.value.eta=0.1|0.2"),
        of(*SPIKING, key="optimizer.value.eta=0.1|0.2"),
    ),
    "with this agent, whose one rule is optimizer.policy (agent=reflect_classic)": (
        of("reflect_classic", "agent.network.hidden=[4]", key="optimizer.value.name=Adam|SGD"),
        of("reflect_classic", "agent.network.hidden=[4]", key="optimizer.policy.name=Adam|SGD"),
    ),
    "optimizer.value.eta has no effect with agent.trunk=shared": (
        of(*SPIKING, "agent.trunk=shared", key="optimizer.value.eta=0.1|0.2"),
        of(*SPIKING, "agent.trunk=separate", key="optimizer.value.eta=0.1|0.2"),
    ),
    "optimizer.value.eta has no effect with agent.signal=reward": (
        of(*SPIKING, "agent.signal=reward", key="optimizer.value.eta=0.1|0.2"),
        of(*SPIKING, "agent.signal=td", key="optimizer.value.eta=0.1|0.2"),
    ),
    "agent.critic.hidden has no effect with agent.trunk=shared": (
        of(*SPIKING, "agent.trunk=shared", key="agent.critic.hidden=[4]|[5]"),
        of(*SPIKING, key="agent.critic.hidden=[4]|[5]"),
    ),
    "agent.critic has no effect with agent.signal=advantage": (
        of(*SPIKING, "agent.signal=advantage", key="agent.critic={slope: 2}|null"),
        of(*SPIKING, key="agent.critic={slope: 2}|null"),
    ),
    "agent.critic.reset has no effect with neuron=graded": (
        of(*SPIKING, key="agent.critic.reset=hard|soft"),
        of(
            *SPIKING,
            *("agent.critic.neuron=lif", "agent.critic.surrogate=arctan", "agent.critic.membrane_decay=0.9"),
            key="agent.critic.reset=hard|soft",
        ),
    ),
    "agent.value_weight has no effect with agent.trunk=separate": (
        of(*SPIKING, key="agent.value_weight=0.5|2"),
        of(*SPIKING, "agent.trunk=shared", key="agent.value_weight=0.5|2"),
    ),
    "agent.average_decay has no effect with agent.signal=td": (
        of(*SPIKING, key="agent.average_decay=0.5|0.9"),
        of(*SPIKING, "agent.signal=advantage", key="agent.average_decay=0.5|0.9"),
    ),
    "agent.average_decay has no effect with agent.signal=reward": (
        of("rstdp", "agent.signal=reward", key="agent.average_decay=0.5|0.9"),
        of("rstdp", "agent.signal=advantage", key="agent.average_decay=0.5|0.9"),
    ),
    "agent.value_step has no effect with agent.signal=reward": (
        of("rstdp", "agent.signal=reward", key="agent.value_step=0.5|0.9"),
        of("rstdp", key="agent.value_step=0.5|0.9"),
    ),
    "agent.trace_decay has no effect with agent.signal=advantage": (
        of("rstdp", "agent.signal=advantage", key="agent.trace_decay=0.5|0.9"),
        of("rstdp", key="agent.trace_decay=0.5|0.9"),
    ),
    "agent.discount has no effect with agent.signal=reward and agent.scale_reward=false": (
        of("rstdp", "agent.signal=reward", "agent.scale_reward=false", key="agent.discount=0.5|0.9"),
        of("rstdp", "agent.signal=reward", key="agent.discount=0.5|0.9"),
    ),
    "agent.horizon_share has no effect with one number as agent.discount": (
        of(*SPIKING, "agent.discount=0.9", key="agent.horizon_share=0.5|0.9"),
        of(*SPIKING, "agent.discount=[0.5,0.99]", key="agent.horizon_share=0.5|0.9"),
    ),
    "optimizer.policy.per_component has no effect with actions of one component": (
        of(*SPIKING, key="optimizer.policy.per_component=true|false"),
        of(*SPIKING, key="optimizer.policy.per_component=true|false", actions=NUMBERS),
    ),
    "optimizer.value.rms_floor has no effect with normalize_signal=false": (
        of(*SPIKING, key="optimizer.value.rms_floor=0.5|1"),
        of(*SPIKING, "optimizer.value.normalize_signal=true", key="optimizer.value.rms_floor=0.5|1"),
    ),
    "optimizer.policy.signal_floor has no effect with normalize_signal=false": (
        of(*SPIKING, "optimizer.policy.normalize_signal=false", key="optimizer.policy.signal_floor=0.5|9"),
        of(*SPIKING, key="optimizer.policy.signal_floor=0.5|9"),
    ),
    "agent.epsilon_share has no effect with agent.epsilon_start=agent.epsilon_end": (
        of("q_lambda", *DENSE, "agent.epsilon_start=0.5", "agent.epsilon_end=0.5", key="agent.epsilon_share=0.1|0.2"),
        of("q_lambda", *DENSE, "steps=50", key="agent.epsilon_share=0.1|0.2"),
    ),
    "agent.value_range has no effect with agent.atoms=1": (
        of("q_lambda", *DENSE, key="agent.value_range=2|3"),
        of("q_lambda", *DENSE, "agent.atoms=3", key="agent.value_range=2|3"),
    ),
    "agent.learn_mixture has no effect with one number in agent.decays": (
        of("reflect_classic", "agent.network.hidden=[4]", key="agent.learn_mixture=true|false"),
        of(
            *(
                "reflect_classic",
                "agent.network.hidden=[4]",
                "agent.decays=[0.5,0.9]",
                "optimizer.policy.kwargs={lr: 0.1}",
            ),
            key="agent.learn_mixture=true|false",
        ),
    ),
    "agent.network.threshold has no effect without hidden layers": (
        of("reflect_classic", "agent.network.hidden=[]", key="agent.network.threshold=0.05|0.5"),
        of("reflect_classic", "agent.network.hidden=[4]", key="agent.network.threshold=0.05|0.5"),
    ),
    "agent.kernel has no effect without channels": (
        of("stream_ac", *PERCEPTRONS, key="agent.kernel=2|3"),
        of("stream_ac_conv", *PERCEPTRONS, key="agent.kernel=2|3", observations=IMAGE),
    ),
    "network.stride has no effect without channels": (
        of("stream_q", *DENSE, "network.sparsity=0.5", key="network.stride=2|3"),
        of("stream_q", *DENSE, "network.sparsity=0.5", key="network.stride=1|2", observations=IMAGE),
    ),
    "optimizer.policy.lr has no effect with agent.lr": (
        of("stream_ac", *PERCEPTRONS, "agent.lr=0.001", key="optimizer.policy.lr=0.002|0.003"),
        of("stream_ac", *PERCEPTRONS, key="optimizer.policy.lr=0.002|0.003"),
    ),
    "optimizer.policy.kappa has no effect with agent.kappa_policy": (
        of("stream_ac", *PERCEPTRONS, "agent.kappa_policy=2", key="optimizer.policy.kappa=3|4"),
        of("stream_ac", *PERCEPTRONS, "agent.kappa_value=2", key="optimizer.policy.kappa=3|4"),
    ),
    "network.adaptation has no effect with neuron=lif": (
        of(*SPIKING, key="network.adaptation=0.2|9"),
        of(*SPIKING, "network.neuron=alif", key="network.adaptation=0.2|9"),
    ),
    "network.adaptation_decay has no effect with neuron=ternary": (
        of("q_lambda", *DENSE, "network.neuron=ternary", key="network.adaptation_decay=0.2|0.9"),
        of("q_lambda", *DENSE, "network.neuron=alif", key="network.adaptation_decay=0.2|0.9"),
    ),
    "network.synapse_decay has no effect with neuron=alif": (
        of("eprop", *DENSE, key="network.synapse_decay=0.2|0.9"),
        of("eprop", *DENSE, "network.neuron=synaptic", key="network.synapse_decay=0.2|0.9"),
    ),
    "network.rate_target has no effect with neuron=graded": (
        of(*SPIKING, "network.neuron=graded", key="network.rate_target=0.1|0.2"),
        of(*SPIKING, key="network.rate_target=0.1|0.2"),
    ),
    "network.detach_reset has no effect with neuron=graded": (
        of(*SPIKING, "network.neuron=graded", key="network.detach_reset=true|false"),
        of(*SPIKING, key="network.detach_reset=true|false"),
    ),
    "network.recurrent_scale has no effect with recurrent=false": (
        of(*SPIKING, key="network.recurrent_scale=0.2|0.9"),
        of(*SPIKING, "network=recurrent", key="network.recurrent_scale=0.2|0.9"),
    ),
    "network.feedback_decay has no effect with feedback=random": (
        of(*SPIKING, "network.feedback=random", key="network.feedback_decay=0.2|0.9"),
        of(*SPIKING, "network.feedback=adaptive", key="network.feedback_decay=0.2|0.9"),
    ),
    "network.recurrent_scale has no effect with recurrent=false (agent=reflect)": (
        of(
            "reflect",
            "network=graph",
            "network.edges=[[input,early],[early,late],[late,output]]",
            key="network.recurrent_scale=0.2|0.9",
        ),
        of("reflect", "network=graph", key="network.recurrent_scale=0.2|0.9"),
    ),
    "network.synapse_decay has no effect with neuron=lif": (
        of("q_lambda", "network=graph", key="network.synapse_decay=0.2|0.9"),
        of(
            "q_lambda",
            "network=graph",
            "network.nodes=[{name: early, neurons: 4, neuron: synaptic}, {name: late, neurons: 3}]",
            key="network.synapse_decay=0.2|0.9",
        ),
    ),
    "network.pool_kind has no effect with pool=1": (
        of("reflect", *CONV, key="network.pool_kind=max|average", observations=IMAGE),
        of("reflect", *CONV, "network.pool=2", key="network.pool_kind=max|average", observations=IMAGE),
    ),
    "network.membrane_decay has no effect with conv_membrane_decay and without dense layers": (
        of("reflect", *CONV, "network.conv_membrane_decay=0.3", key="network.membrane_decay=0|0.9", observations=IMAGE),
        of("reflect", *CONV, key="network.membrane_decay=0|0.9", observations=IMAGE),
    ),
    "encoder.clip has no effect with normalize=false": (
        of(*SPIKING, "encoder.normalize=false", key="encoder.clip=0.2|0.4"),
        of(*SPIKING, "encoder=rate", "encoder.normalize=false", key="encoder.clip=0.2|0.4"),
    ),
    "head.max_std has no effect with discrete actions": (
        of(*SPIKING, key="head.max_std=1|2"),
        of(*SPIKING, key="head.max_std=1|2", actions=NUMBERS),
    ),
    "head.target_std has no effect with bins": (
        of(*SPIKING, "head=discretized", key="head.target_std=0.1|0.2", actions=NUMBERS),
        of(*SPIKING, "head=unbounded", key="head.target_std=0.1|0.9", actions=NUMBERS),
    ),
    "head.spacing has no effect without bins": (
        of(*SPIKING, key="head.spacing=1|2", actions=NUMBERS),
        of(*SPIKING, "head.bins=5", key="head.bonus_components=0.1|1", actions=NUMBERS),
    ),
    "head.bonus_components has no effect with agent.entropy=0": (
        of(*SPIKING, "agent.entropy=0", key="head.bonus_components=0.1|1", actions=NUMBERS),
        of(*SPIKING, key="head.bonus_components=0.1|1", actions=NUMBERS),
    ),
}


def outputs(case: Case, setting: str) -> list[torch.Tensor]:
    """Return the policy's outputs and the value at a hundred steps of random observations and rewards."""
    observations, actions, (name, *others), *_ = case
    given = [*others, setting, "engine=torch", "dtype=float64"]
    settings = {key: parsed(value) for key, value in map(key_and_value, given)}
    agent = tracerl.make_agent((observations, actions), name, settings)
    rng, found = np.random.default_rng(0), []
    for step in range(100):
        seen = rng.uniform(0, 1, observations.shape).astype(np.float32)
        if step % 40:
            agent.step(rng.normal(), seen)
        else:
            agent.start(seen)
        shown = agent.policy_outputs()  # type: ignore[attr-defined]
        found += [tensor.clone() for tensor in vars(shown).values() if isinstance(tensor, torch.Tensor)]
        if step % 40 == 39:
            agent.end(rng.normal(), seen, terminated=True)
    return found


def parsed(text: str) -> Any:
    """Return the value of an override."""
    return yaml.safe_load(text)


@pytest.mark.parametrize("reason", PAIRS)
def test_setting_without_effect_raises_a_warning_and_changes_nothing(reason: str) -> None:
    case, found = PAIRS[reason][0], list[list[torch.Tensor]]()
    for setting in case[-2:]:
        with pytest.warns(ConfigWarning) as caught:
            found.append(outputs(case, setting))
        key = key_and_value(setting)[0]
        assert len(caught) == 1 and str(caught[0].message).startswith(f"{key} has no effect ")
        assert reason in str(caught[0].message)
    assert found[0] and all(map(torch.equal, *found))


@pytest.mark.parametrize("reason", PAIRS)
def test_the_same_setting_where_it_has_an_effect_raises_none(reason: str) -> None:
    case = PAIRS[reason][1]
    first, second = (outputs(case, setting) for setting in case[-2:])  # a warning would be an error
    assert len(first) == len(second) and not all(map(torch.equal, first, second))


@pytest.mark.parametrize(
    "settings",
    [
        ["agent=eprop"],  # its yaml sets optimizer.value, and neuron=alif sets no synapse_decay
        ["head=discretized"],  # a choice can be meant for other envs
        ["network=recurrent", "optimizer=obgd", "agent.critic=null"],
        ["eval.every=50", "eval.episodes=1"],
        ["checkpoint.minutes=1"],
        ["deploy.weight_bits=4"],
        ["deploy=neuromorphic", "agent.critic=null"],
        ["~agent.average_decay"],
    ],
)
def test_command_line_whose_settings_have_an_effect_prints_no_warning(run_here: Run, settings: list[str]) -> None:
    result = run_here(*settings, *QUICK)
    assert "no effect" not in result.stderr
    assert result.returncode == (2 if settings[0].startswith("~") else 0), result.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["head.max_std=2", "network.adaptation=0.2", "head.bins=5"],
            "head.max_std, head.bins have no effect with discrete actions; "
            "network.adaptation has no effect with neuron=lif (agent=reflect)",
        ),
        (["agent.mean_margin=2"], "agent.mean_margin has no effect with discrete actions (agent=reflect)"),
        (["+agent.critic.reset=hard"], "agent.critic.reset has no effect with neuron=graded (agent=reflect)"),
        (["eval.greedy=true"], "eval.greedy has no effect without eval.every (agent=reflect)"),
        (
            ["checkpoint.every=100", "checkpoint.minutes=1"],
            "checkpoint.minutes has no effect with checkpoint.every (agent=reflect)",
        ),
        (
            ["checkpoint.minutes=null", "checkpoint.keep_last=3"],
            "checkpoint.keep_last has no effect without checkpoints (agent=reflect)",
        ),
        (["deploy.rounding=export"], "deploy.rounding has no effect without deploy.weight_bits (agent=reflect)"),
        (
            ["agent=random", "deploy.weight_bits=4", "lifetimes=2"],
            "deploy.weight_bits has no effect with this agent, which has no network to export (agent=random)",
        ),
        (
            ["agent=rstdp", "deploy.weight_bits=4"],
            "deploy.weight_bits has no effect with this agent, which has no network to export (agent=rstdp)",
        ),
        (
            ["agent=eprop", "optimizer.value.eta=0.1", "lifetimes=2"],
            "optimizer.value.eta has no effect with this agent, whose one rule is optimizer.policy (agent=eprop)",
        ),
    ],
)
def test_command_line_prints_one_warning_and_runs(run_here: Run, settings: list[str], expected: str) -> None:
    result = warned(run_here, *settings)
    assert result.returncode == 0, result.stderr
    assert no_effect(result) == [f"warning: {expected}"]


def warned(run_here: Run, *settings: str) -> Result:
    """Run a command line that warns, with warnings as outside of the tests: one of each text."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", ConfigWarning)
        small = () if {"agent=random", "agent=rstdp"} & {*settings} else ("network.hidden=[8]",)
        return run_here(*settings, *small, "steps=120", "logger=none")


def no_effect(result: Result) -> list[str]:
    """Return the warnings of settings without effect."""
    return [line for line in result.stderr.splitlines() if "no effect" in line]


def test_resumed_run_does_not_repeat_the_warning(run_here: Run) -> None:
    given = ["agent=q_lambda", "agent.horizon_share=0.1", "network.hidden=[8]", "logger=none", "hydra.run.dir=here"]
    assert len(no_effect(warned(run_here, *given))) == 1
    for i, resumed in enumerate(([*given, "resume=auto"], ["resume=here"])):
        result = run_here(*resumed, f"steps={240 + 120 * i}")
        assert result.returncode == 0 and no_effect(result) == []


def test_sweep_warns_once_of_an_axis_without_effect(run_here: Run) -> None:
    result = warned(run_here, "-m", "agent=q_lambda", "agent.horizon_share=0.1,0.2,0.3")
    assert result.returncode == 0, result.stderr
    assert no_effect(result) == [
        "warning: agent.horizon_share has no effect with one number as agent.discount (agent=q_lambda)"
    ]


@dataclass(frozen=True)
class Silent(Raw):
    """An encoder of a user, which may use what its base ignores."""


@dataclass(frozen=True)
class Stating(Raw):
    """One with a statement of its own."""

    def ignored_settings(self) -> dict[str, str]:
        return {"normalize": "on Sundays"}


def test_subclass_outside_tracerl_speaks_for_itself() -> None:
    assert ignored(Raw(normalize=False, clip=1.0), "encoder") == {"encoder.clip": "with normalize=false"}
    assert ignored(Silent(normalize=False, clip=1.0), "encoder") == {}
    assert ignored(Stating(normalize=False, clip=1.0)) == {"normalize": "on Sundays"}
    assert ignored(object()) == ignored(None) == {}


def test_every_name_is_a_setting() -> None:
    """A name that is misspelt would never be found in a command line."""
    for reason, (case, _) in PAIRS.items():
        observations, actions, (name, *others), first, _ = case
        settings = {key: parsed(value) for key, value in map(key_and_value, [*others, first, "engine=torch"])}
        with pytest.warns(ConfigWarning):
            agent = tracerl.make_agent((observations, actions), name, settings)
        cfg = with_input(compose(f"agent={name}", *others), kind_of_space(observations))
        for key in ignored_by(agent, cfg):
            if key not in ("agent.critic", "optimizer.policy.per_component"):
                where = key if not key.startswith("agent.critic.") else key.replace("agent.critic", "network")
                assert where in cfg or OmegaConf.select(cfg, where, default=...) is not ..., (reason, key)
