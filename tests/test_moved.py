"""Runs, targets and imports of tracerl 0.1 work after the move of its modules."""

import importlib
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gymnasium import spaces
from omegaconf import OmegaConf
from tracerl.agents.random import RandomAgent
from tracerl.agents.reflect import ReflectAgent

import tracerl
from tests.helpers import command, compose
from tests.kills import differences
from tracerl.config import moved
from tracerl.config.checks import ConfigError, ConfigWarning
from tracerl.config.instantiate import build, with_current_keys
from tracerl.lifetime.divergence import DivergenceCheck
from tracerl.lifetime.independent_agents import IndependentAgents, build_agents
from tracerl.lifetime.protocol import StepType, is_stateful, reset_episode
from tracerl.lifetime.record import Record
from tracerl.nn.heads import Categorical, HeadSettings
from tracerl.nn.layers import LIF
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.views import PolicyOutputs, is_visible, view
from tracerl.optim.rule import StepRule
from tracerl.runs.build import with_input
from tracerl.runs.resume import check_same_settings, flat
from tracerl.watch import watch

OLD_RUN = Path(__file__).parent / "data" / "run_0_1"  # 300 steps of the settings below
SETTINGS = ["env=CartPole", "network.hidden=[4]", "checkpoint.every=150", "checkpoint.keep_best=0"]
SETTINGS += ["checkpoint.keep_last=1", "logger.every=100", "logger.pictures_every=null", "logger.histograms_every=null"]
FORMER = ["network.bias_scale=1.0", "encoder.trace_scale=1.0", "agent.discount=0.99", "agent.critic.surrogate=arctan"]
FORMER += ["optimizer.policy.rms_floor=0.5", "optimizer.policy.slow_decay=0.9998"]


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def test_run_of_the_previous_version_is_resumed(old_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([f"resume={old_run}", "steps=450"], monkeypatch, tmp_path) == 0
    whole = tmp_path / "whole"
    assert command([*SETTINGS, *FORMER, "steps=450", f"hydra.run.dir={whole}"], monkeypatch, tmp_path) == 0
    assert differences(whole, old_run, logs=False, rounding=1e-4) == []  # kernels have rounded differently since


def test_agent_of_a_run_of_the_previous_version_is_built(old_run: Path) -> None:
    saved = tracerl.load(old_run)
    assert type(saved.agent()).__module__ == "tracerl.agents.reflect" and saved.step == 300


def test_every_moved_module_has_both_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for old, homes in moved.MOVED.items():
            importlib.import_module(f"tracerl.{old}")
            for home in homes:
                found = importlib.import_module(f"tracerl.{home}")
                if not hasattr(found, "__path__"):
                    assert found.__doc__


@pytest.mark.parametrize(
    ("module", "name", "home"),
    [
        ("tracerl.checks", "ConfigError", "tracerl.config.checks"),
        ("tracerl.stats", "Record", "tracerl.lifetime.record"),
        ("tracerl.stats", "bootstrap_interval", "tracerl.lifetime.statistics"),
        ("tracerl.lifetime", "EnvFailed", "tracerl.lifetime.loop"),
        ("tracerl.recording", "Recorder", "tracerl.recording.recorder"),
        ("tracerl.runs", "SavedRun", "tracerl.runs.saved_run"),
        ("tracerl.network.perceptron", "Perceptron", "tracerl.nn.networks.perceptron"),
        ("tracerl.envs.state.forms", "whole", "tracerl.config.forms"),
    ],
)
def test_name_of_a_moved_module_is_imported_with_a_warning(module: str, name: str, home: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{name} is now in {home}"):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(home), name)


RENAMED = {
    "tracerl": {"Life": "Lifetime", "Lives": "Lifetimes", "Verbs": "AgentMethods"},
    "tracerl.kernels.compiled_runner": {"CompiledWorld": "CompiledEnvRunner"},
    "tracerl.lifetime.api": {"Life": "Lifetime"},
    "tracerl.lifetime.divergence": {"Guard": "DivergenceCheck"},
    "tracerl.lifetime.env_state": {"obstacle": "unsupported_reason", "capture_many": "capture"},
    "tracerl.lifetime.independent_agents": {"Population": "IndependentAgents", "carry_out": "take_step"},
    "tracerl.lifetime.loop": {
        "Monitor": "ScheduledCallback",
        "Callback": "ScheduledCallback",
        "Moment": "LoopState",
        "live": "run_lifetime",
    },
    "tracerl.lifetime.protocol": {"Verb": "StepType", "Verbs": "AgentMethods", "Origin": "AgentOrigin"},
    "tracerl.lifetime.record": {"Tally": "VectorStatistics", "lived_by_all": "steps_of_all"},
    "tracerl.lifetime.runners": {"World": "EnvRunner", "SingleWorld": "GymnasiumRunner"},
    "tracerl.lifetime.vector_loop": {"live_many": "run_lifetimes"},
    "tracerl.nn.lifetimes": {"Lives": "Lifetimes"},
    "tracerl.nn.packed_state": {"Arena": "PackedState"},
    "tracerl.nn.state_dict": {"memories": "state_tensors", "recall": "load_state"},
    "tracerl.nn.views": {"Outlook": "PolicyOutputs"},
    "tracerl.rules.stdp": {"Synapses": "STDPSynapses"},
    "tracerl.runs.checkpoint.read": {"look": "read_manifest"},
    "tracerl.runs.compare": {"Lifetime": "SavedLifetime"},
    "tracerl.runs.launch": {"Origin": "RunOrigin"},
    "tracerl.runs.lock": {"alive": "is_active"},
}


@pytest.mark.parametrize(
    ("module", "old", "new"), [(module, *pair) for module, names in RENAMED.items() for pair in names.items()]
)
def test_renamed_name_is_found_by_its_previous_name_with_a_warning(module: str, old: str, new: str) -> None:
    there = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{old} is now .*{new}"):
        assert getattr(there, old) is getattr(there, new)


def test_step_types_have_their_previous_names() -> None:
    assert StepType["START"] is StepType.FIRST and StepType["STEP"] is StepType.MID
    assert [step_type.name for step_type in StepType] == ["SKIP", "FIRST", "MID", "TERMINATED", "TRUNCATED"]


class Counting:
    """A callback with the method names of tracerl 0.1."""

    every = 10

    def __init__(self) -> None:
        self.steps: list[int] = []

    def look(self, records: Sequence[Record], agent: object) -> None:
        self.steps.append(records[0].step)

    def look_at_last(self, records: Sequence[Record], agent: object) -> None:
        self.steps.append(-records[0].step)


def test_callback_with_the_previous_method_names_is_called() -> None:
    env, callback = tracerl.make_env("CartPole"), Counting()
    with pytest.warns(DeprecationWarning, match="look is now call"):
        lifetime = tracerl.live(tracerl.make_agent(env, agent="random"), env, steps=25, callbacks=[callback])
    lifetime.finish()
    assert callback.steps == [10, 20, -25]


def test_argument_life_is_lifetime_with_a_warning(old_run: Path) -> None:
    saved = tracerl.load(old_run)
    with pytest.warns(DeprecationWarning, match="argument life is now lifetime"):
        assert saved.memory(life=0).keys() == saved.memory(lifetime=0).keys()
    with pytest.warns(DeprecationWarning, match="life is now"), pytest.raises(ConfigError, match="from 0 to 0, got 3"):
        saved.agent(life=3)
    with pytest.warns(DeprecationWarning, match="life is now"), pytest.raises(ConfigError, match="lifetime must be"):
        watch(old_run, life=-1)
    with pytest.warns(DeprecationWarning, match="life is now"), pytest.raises(TypeError, match="both life and"):
        saved.memory(life=0, lifetime=0)


class Abandoning:
    """An agent with the method names of tracerl 0.1."""

    def __init__(self) -> None:
        self.abandoned = 0

    def start(self, observation: object) -> int:
        return 0

    def step(self, reward: float, observation: object) -> int:
        return 0

    def end(self, reward: float, observation: object, terminated: bool) -> None: ...

    def diagnostics(self) -> dict[str, float]:
        return {}

    def capture(self) -> dict[str, Any]:
        return {}

    def restore(self, state: object) -> None: ...

    def abandon(self) -> None:
        self.abandoned += 1


def test_agent_with_abandon_is_reset_and_has_checkpoints() -> None:
    agent, env = Abandoning(), tracerl.make_env("CartPole")
    assert is_stateful(agent) and not is_stateful(Counting())
    with pytest.warns(DeprecationWarning, match="Abandoning.abandon is now reset_episode"):
        tracerl.live(agent, env, steps=5).finish()
    with pytest.warns(DeprecationWarning, match="abandon is now"):
        IndependentAgents([agent, agent]).reset_episode()
    assert agent.abandoned == 3


@pytest.mark.parametrize("name", ["random", "reflect"])
def test_agent_has_abandon_by_its_previous_name(name: str) -> None:
    env = tracerl.make_env("CartPole")
    agent: Any = tracerl.make_agent(env, agent=name)
    agent.start(env.reset()[0])
    with pytest.warns(DeprecationWarning, match="abandon is now reset_episode"):
        agent.abandon()
    assert not getattr(agent, "in_episode", False)


def test_agent_of_a_subclass_with_abandon_is_reset_by_it() -> None:
    class Own(RandomAgent):
        def abandon(self) -> None:
            super().abandon()
            self.abandoned = True

    env = tracerl.make_env("CartPole")
    agent = Own(env.observation_space, env.action_space, Lifetimes(0))
    with pytest.warns(DeprecationWarning, match="abandon is now"):
        reset_episode(agent)
    assert agent.abandoned


class CountingRule(StepRule):
    """A step-size rule with state in a number of its own, and the method names of tracerl 0.1."""

    def __init__(self, settings: object, lifetimes: Lifetimes) -> None:
        super().__init__(lifetimes)
        self.steps = torch.zeros(())

    def forward(self, network: Any, trace: Any, signal: Any) -> None:
        self.steps += 1

    def foreign_state(self) -> list[tuple[torch.Tensor, float]]:
        return [*super().foreign_state(), (self.steps, 0.0)]

    def capture_foreign(self) -> dict[str, torch.Tensor]:
        return {**super().capture_foreign(), "steps": self.steps}

    def restore_foreign(self, state: Any) -> None:
        self.steps = state["steps"].clone()


@pytest.mark.filterwarnings("ignore:.*foreign.* is now:DeprecationWarning")
def test_external_state_of_a_rule_with_the_previous_method_names_is_captured() -> None:
    env = tracerl.make_env("CartPole")
    agents: list[Any] = [tracerl.make_agent(env, agent="stream_ac") for _ in range(2)]
    for agent in agents:
        agent.policy.step_rule = CountingRule(None, agent.lifetimes)
    agents[0].policy.step_rule.steps += 3
    agents[1].restore(agents[0].capture())
    assert agents[1].policy.step_rule.steps == 3 and len(agents[1]._external_tensors()) == 1
    with pytest.warns(DeprecationWarning, match="CountingRule.capture_foreign is now external_state"):
        agents[1].capture()


def test_agent_with_outlook_is_seen_with_a_warning() -> None:
    class Own(ReflectAgent):
        def outlook(self) -> PolicyOutputs:
            return replace(super().outlook(), value=torch.tensor(7.0))

    env = tracerl.make_env("CartPole")
    agent: Any = tracerl.make_agent(env)
    with pytest.warns(DeprecationWarning, match="outlook is now policy_outputs"):
        assert agent.outlook().probabilities is agent.policy_outputs().probabilities
    agent.__class__ = Own
    with pytest.warns(DeprecationWarning, match="outlook is now policy_outputs"):
        assert view(agent).value == 7
    assert is_visible(SimpleNamespace(spiking_layers=dict, outlook=PolicyOutputs))


def test_layer_with_leaks_has_the_same_credit_with_a_warning() -> None:
    class Own(LIF):
        def leaks(self) -> list[torch.Tensor]:
            return [2 * each for each in super().leaks()]

    env = tracerl.make_env("CartPole")
    agent: Any = tracerl.make_agent(env, settings={"network": "dense", "network.hidden": [4, 4]})
    credit, layer = agent.policy.network.credit, agent.policy.network.hidden[1]
    credit.begin_tick()
    expected = [2 * each for each in credit._retention[1]]
    layer.__class__ = Own
    with pytest.warns(DeprecationWarning, match="leaks is now state_retention"):
        credit.begin_tick()
    assert expected and all(map(torch.equal, credit._retention[1], expected))


OBGD = "stream_ac optimizer=adaptive_obgd"


@pytest.mark.parametrize("agent", ["reflect", "reflect agent.signal=advantage", OBGD])
def test_state_with_unseen_is_restored(agent: str) -> None:
    name, *overrides = agent.split()
    env = tracerl.make_env("CartPole")
    settings = dict(override.split("=") for override in overrides)
    first, second = (tracerl.make_agent(env, agent=name, settings=settings) for _ in range(2))
    tracerl.live(first, env, steps=20).finish()
    saved = {key.replace("bias_correction", "unseen"): tensor for key, tensor in first.capture().items()}
    assert saved.keys() != first.capture().keys()
    second.restore(saved)
    assert all(torch.equal(tensor, second.capture()[key]) for key, tensor in first.capture().items())


def test_unseen_is_bias_correction_with_a_warning() -> None:
    rule = tracerl.make_agent(tracerl.make_env("CartPole"), agent="reflect").policy.step_rule
    with pytest.warns(DeprecationWarning, match="unseen is now bias_correction"):
        assert rule.unseen is rule.bias_correction


class OfOneLifetime:
    """An agent with the argument ``lives``, as in tracerl 0.1."""

    def __init__(self, observation_space: object, action_space: object, lives: Lifetimes) -> None:
        self.seeds = lives.seeds


def test_agent_with_the_argument_lives_is_built() -> None:
    make = partial(OfOneLifetime, None, None)
    assert build_agents(OfOneLifetime, make, Lifetimes, [3]).seeds == [3]
    assert [agent.seeds for agent in build_agents(OfOneLifetime, make, Lifetimes, [3, 4]).agents] == [[3], [4]]


def test_unknown_module_or_name_raises_an_error() -> None:
    for name in ("tracerl.nothing", "tracerl.lifetime.nothing", "tracerl.network.nothing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    with pytest.raises(AttributeError, match="no 'nothing' in tracerl.config.checks"):
        importlib.import_module("tracerl.checks").nothing  # noqa: B018
    with pytest.raises(AttributeError, match="module 'tracerl.nn.lifetimes' has no attribute 'nothing'"):
        importlib.import_module("tracerl.nn.lifetimes").nothing  # noqa: B018
    assert moved.current("tracerl.network.Nothing") == "tracerl.network.Nothing"
    assert moved.current("torch.nn.Linear") == "torch.nn.Linear"


def test_config_with_a_target_of_the_previous_version_is_built() -> None:
    cfg = compose()
    cfg.logger = {"_target_": "tracerl.logger.Silent"}
    assert type(build(cfg, "logger")).__module__ == "tracerl.runs.logging.tensorboard"


OLD_KEYS = ["agent.max_std=2.0", "agent.clipped_log_prob=false", "agent.mean_margin=null"]


@pytest.mark.filterwarnings("default::tracerl.config.checks.ConfigWarning")
def test_settings_of_the_head_that_were_of_the_agent_go_on_working_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["env=Pendulum", "network.hidden=[4]", "steps=20", "logger=none", "engine=torch"]
    assert command([*here, *OLD_KEYS, f"hydra.run.dir={tmp_path / 'old'}"], monkeypatch, tmp_path) == 0
    assert "warning: agent.max_std is now head.max_std; agent.clipped_log_prob" in capsys.readouterr().err
    new = [key.replace("agent.", "head.") for key in OLD_KEYS]
    assert command([*here, *new, f"hydra.run.dir={tmp_path / 'new'}"], monkeypatch, tmp_path) == 0
    config = [OmegaConf.load(tmp_path / name / "config.yaml") for name in ("old", "new")]
    assert config[0] == config[1] and config[0].agent.head == config[0].head and config[0].head.max_std == 2.0
    assert command([f"resume={tmp_path / 'old'}", "steps=30"], monkeypatch, tmp_path) == 0


def test_settings_of_the_head_that_were_of_the_agent_go_on_working_in_a_saved_run(old_run: Path) -> None:
    config = OmegaConf.load(old_run / "config.yaml")
    assert (config.agent.max_std, config.agent.clipped_log_prob, config.agent.mean_margin) == (4.0, True, 3.0)
    with pytest.warns(DeprecationWarning, match="agent.mean_margin is now head.mean_margin"):
        agent = build(config, "agent", partly=True)(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (2,)), Lifetimes(0))
    assert agent.settings.head == HeadSettings(max_std=4.0, clipped_log_prob=True, mean_margin=3.0)
    assert agent.head.mean_margin == 3.0 and agent.head.each_std == 2.0


@pytest.mark.parametrize("overrides", [["head=bounded", "encoder.trace_scale=1.0"], ["agent=stream_ac"]])
def test_settings_since_are_those_of_earlier_runs_by_default(overrides: list[str], tmp_path: Path) -> None:
    here = flat(OmegaConf.to_container(with_input(compose(*overrides), "vectors")))
    there = {key: value for key, value in here.items() if key not in moved.ADDED}
    assert there.keys() < here.keys()
    check_same_settings(there, here, tmp_path)


def test_settings_of_an_agent_of_ones_own_stay_its_own() -> None:
    cfg = compose("++agent._target_=tests.test_moved.Own", "++agent.max_std=2.0")
    assert with_current_keys(cfg, ConfigWarning) is cfg


def test_a_head_of_ones_own_merged_over_the_group_is_left_with_its_own_settings() -> None:
    cfg = compose()
    cfg.agent.head = {**cfg.head, "_target_": "tests.test_moved.Softmax", "_partial_": True}
    left = with_current_keys(cfg, ConfigWarning)
    assert dict(left.agent.head) == {"_target_": "tests.test_moved.Softmax", "_partial_": True}


class Softmax(Categorical):
    """A head that takes nothing but the space and the lifetimes."""

    def __init__(self, space: spaces.Discrete, lifetimes: Lifetimes) -> None:
        super().__init__(int(space.n), lifetimes)


class Own(ReflectAgent):
    """An agent that has a setting by the name of one that moved."""

    def __init__(
        self, observation_space: Any, action_space: Any, lifetimes: Lifetimes, max_std: float, **settings: Any
    ) -> None:
        super().__init__(observation_space, action_space, lifetimes, **settings)


def test_methods_of_a_divergence_check_and_of_agents_have_their_previous_names() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"engine": "torch"})
    check = DivergenceCheck("reset_life")
    with pytest.warns(DeprecationWarning, match="remember is now store_initial_state"):
        check.remember(agent)
    with pytest.warns(DeprecationWarning, match="_sound is now _check_finite"):
        assert agent._sound(torch.tensor(1.0))
