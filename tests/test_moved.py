"""Runs, targets and imports of tracerl 0.1, from before its modules moved, go on working."""

import importlib
import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

import tracerl
from tests.helpers import command, compose
from tests.kills import differences
from tracerl.config import moved
from tracerl.config.instantiate import build
from tracerl.lifetime.independent_agents import build_agents
from tracerl.lifetime.protocol import StepType
from tracerl.lifetime.record import Record
from tracerl.nn.lifetimes import Lifetimes

OLD_RUN = Path(__file__).parent / "data" / "run_0_1"  # 300 steps of the settings below
SETTINGS = ["env=CartPole", "network.hidden=[4]", "checkpoint.every=150", "checkpoint.keep_best=0"]
SETTINGS += ["checkpoint.keep_last=1", "logger.every=100", "logger.pictures_every=null", "logger.histograms_every=null"]


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def test_a_run_from_before_goes_on_as_if_it_were_of_today(
    old_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command([f"resume={old_run}", "steps=450"], monkeypatch, tmp_path) == 0
    whole = tmp_path / "whole"
    assert command([*SETTINGS, "steps=450", f"hydra.run.dir={whole}"], monkeypatch, tmp_path) == 0
    assert differences(whole, old_run, logs=False) == []


def test_the_agent_of_a_run_from_before_is_built(old_run: Path) -> None:
    saved = tracerl.load(old_run)
    assert type(saved.agent()).__module__ == "tracerl.agents.reflect" and saved.step == 300


def test_every_module_that_moved_is_there_by_both_names() -> None:
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
        ("tracerl.lifetime", "Callback", "tracerl.lifetime.loop"),
        ("tracerl.recording", "Recorder", "tracerl.recording.recorder"),
        ("tracerl.runs", "SavedRun", "tracerl.runs.saved_run"),
        ("tracerl.network.perceptron", "Perceptron", "tracerl.nn.networks.perceptron"),
        ("tracerl.envs.state.forms", "whole", "tracerl.config.forms"),
    ],
)
def test_a_name_of_a_module_that_moved_is_imported_with_a_warning(module: str, name: str, home: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{name} is now in {home}"):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(home), name)


RENAMED = {
    "tracerl": {"Life": "Lifetime", "Lives": "Lifetimes", "Verbs": "AgentMethods"},
    "tracerl.kernels.compiled_runner": {"CompiledWorld": "CompiledEnvRunner"},
    "tracerl.lifetime.api": {"Life": "Lifetime"},
    "tracerl.lifetime.divergence": {"Guard": "DivergenceCheck"},
    "tracerl.lifetime.env_state": {"obstacle": "unsupported_reason"},
    "tracerl.lifetime.independent_agents": {"Population": "IndependentAgents"},
    "tracerl.lifetime.loop": {"Monitor": "Callback", "Moment": "LoopState", "live": "run_lifetime"},
    "tracerl.lifetime.protocol": {"Verb": "StepType", "Verbs": "AgentMethods"},
    "tracerl.lifetime.record": {"Tally": "VectorStatistics", "lived_by_all": "steps_of_all"},
    "tracerl.lifetime.runners": {"World": "EnvRunner", "SingleWorld": "SingleEnvRunner"},
    "tracerl.lifetime.vector_loop": {"live_many": "run_lifetimes"},
    "tracerl.nn.lifetimes": {"Lives": "Lifetimes"},
    "tracerl.nn.packed_state": {"Arena": "PackedState"},
    "tracerl.nn.state_dict": {"memories": "state_tensors", "recall": "load_state"},
    "tracerl.nn.views": {"Outlook": "PolicyOutputs"},
}


@pytest.mark.parametrize(
    ("module", "old", "new"), [(module, *pair) for module, names in RENAMED.items() for pair in names.items()]
)
def test_a_name_that_changed_is_found_by_its_previous_one_with_a_warning(module: str, old: str, new: str) -> None:
    there = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{old} is now .*{new}"):
        assert getattr(there, old) is getattr(there, new)


def test_step_types_have_their_previous_names() -> None:
    assert StepType["START"] is StepType.FIRST and StepType["STEP"] is StepType.MID
    assert [step_type.name for step_type in StepType] == ["SKIP", "FIRST", "MID", "TERMINATED", "TRUNCATED"]


class Counting:
    """A callback by the names of tracerl 0.1."""

    every = 10

    def __init__(self) -> None:
        self.steps: list[int] = []

    def look(self, records: Sequence[Record], agent: object) -> None:
        self.steps.append(records[0].step)

    def look_at_last(self, records: Sequence[Record], agent: object) -> None:
        self.steps.append(-records[0].step)


def test_a_callback_with_the_previous_method_names_is_called() -> None:
    env, callback = tracerl.make_env("CartPole"), Counting()
    with pytest.warns(DeprecationWarning, match="look is now call"):
        lifetime = tracerl.live(tracerl.make_agent(env, agent="random"), env, steps=25, callbacks=[callback])
    lifetime.finish()
    assert callback.steps == [10, 20, -25]


class OfOneLifetime:
    """An agent that takes ``lives``, as agents of tracerl 0.1 do."""

    def __init__(self, observation_space: object, action_space: object, lives: Lifetimes) -> None:
        self.seeds = lives.seeds


def test_an_agent_that_takes_lives_is_built() -> None:
    make = partial(OfOneLifetime, None, None)
    assert build_agents(OfOneLifetime, make, Lifetimes, [3]).seeds == [3]
    assert [agent.seeds for agent in build_agents(OfOneLifetime, make, Lifetimes, [3, 4]).agents] == [[3], [4]]


def test_what_never_was_there_is_not_there() -> None:
    for name in ("tracerl.nothing", "tracerl.lifetime.nothing", "tracerl.network.nothing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    with pytest.raises(AttributeError, match="no 'nothing' in tracerl.config.checks"):
        importlib.import_module("tracerl.checks").nothing  # noqa: B018
    with pytest.raises(AttributeError, match="module 'tracerl.nn.lifetimes' has no attribute 'nothing'"):
        importlib.import_module("tracerl.nn.lifetimes").nothing  # noqa: B018
    assert moved.current("tracerl.network.Nothing") == "tracerl.network.Nothing"
    assert moved.current("torch.nn.Linear") == "torch.nn.Linear"


def test_a_config_with_a_target_from_before_is_built() -> None:
    cfg = compose()
    cfg.logger = {"_target_": "tracerl.logger.Silent"}
    assert type(build(cfg, "logger")).__module__ == "tracerl.runs.logging.tensorboard"
