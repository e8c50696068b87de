"""The names of a saved run that are built: classes of configs in a few packages, nothing else."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import tracerl.configs
import yaml
from omegaconf import OmegaConf

from tests.helpers import compose
from tracerl.config import trust
from tracerl.config.checks import ConfigError
from tracerl.config.trust import check, check_literal, packages
from tracerl.runs.build import expanded

SOURCE = Path("somewhere/config.yaml")
CONFIGS = Path(tracerl.configs.__file__).parent


def targets_of(tree: Any) -> set[str]:
    """Return every ``_target_`` in a yaml."""
    if isinstance(tree, list):
        return set().union(*map(targets_of, tree))
    if not isinstance(tree, dict):
        return set()
    target = tree.get("_target_", {})
    own = {target} if isinstance(target, str) else set(target.values())
    return own.union(*map(targets_of, tree.values()))


def test_every_part_of_the_included_configs_is_trusted() -> None:
    compose()  # registers the interpolations of the yamls
    found = set()
    for path in set(CONFIGS.rglob("*.yaml")) - set(CONFIGS.glob("hydra/**/*.yaml")):  # not taken from saved runs
        tree = expanded(yaml.safe_load(path.read_text()))
        found |= targets_of({key: value for key, value in tree.items() if key != "hydra"})
    assert len(found) > 30
    for target in found:
        check({"_target_": target}, "part", SOURCE)


@pytest.mark.parametrize("choice", ["env=Atari", "env=MemoryChain", "env=CartPoleDrift", "agent=eprop", "agent=rstdp"])
def test_config_of_included_choices_is_trusted_unresolved_and_resolved(choice: str) -> None:
    cfg = compose(choice)
    for resolve in (False, True):
        check(expanded(OmegaConf.to_container(cfg, resolve=resolve)), "", SOURCE)


@pytest.mark.parametrize(
    "target",
    [
        "gymnasium.wrappers.ClipReward",
        "gymnasium.wrappers.common.TimeLimit",
        "gymnasium.spaces.Box",
        "tracerl.envs.masked_observation.MaskedObservation",
        "tracerl.nn.heads.Gaussian",
        "tracerl.nn.encoders.contrast.Contrast",
    ],
)
def test_parts_wrappers_and_spaces_are_trusted(target: str) -> None:
    check({"list": [{"deeper": {"_target_": target}}]}, "", SOURCE)


@pytest.mark.parametrize("target", ["os.system", "subprocess.getoutput", "table.Table", "tracerl_evil.X", "", None, 3])
def test_target_outside_the_trusted_packages_raises_an_error_naming_it(target: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        check({"head": {"_target_": target}}, "agent", SOURCE)
    assert caught.value.key == "agent.head._target_"
    message = (
        f"is {target!r}: it comes from a saved run ({SOURCE}) and is outside the trusted packages (ale_py, gymnasium"
    )
    assert caught.value.problem.startswith(message) and "--trust (trust=True from Python)" in caught.value.problem


@pytest.mark.parametrize(
    "target",
    [
        "tracerl.runs.launch.os.system",  # other packages, through modules that import them
        "tracerl.run.sys.modules",
        "gymnasium.envs.registration.importlib.import_module",
        "tracerl.agents.reflect.torch.load",
        "tracerl.config.trust.Path",
        "tracerl.optim.torch_optim.Tensor",
        "gymnasium.make",  # functions that import, call or write
        "gymnasium.envs.registration.load_env_creator",
        "tracerl.launch",
        "tracerl.runs.api.launch",
        "tracerl.run.main",
        "tracerl.config.instantiate.build",
        "gymnasium.envs.registration.EnvSpec",  # classes that call their arguments
        "gymnasium.vector.AsyncVectorEnv",
        "gymnasium.wrappers.RecordVideo",  # and that write
        "gymnasium.wrappers.vector.RecordVideo",
        "tracerl.runs.logging.episodes.EpisodeLog",
        "tracerl.runs.logging.event_file.EventWriter",
        "tracerl.runs.logging.tensorboard.TensorBoardLog",
        "tracerl.runs.checkpoint.schedule.Checkpoints",
        "tracerl.sweep.ending.SweepEnding",
        "tracerl.nn.encoders.Raw.__class__",  # attributes of classes
        "tracerl.nn.encoders.Raw.__init__.__globals__",
        "tracerl",  # and names that do not exist
        "tracerl.nn.encoders",
        "tracerl.nn.encoders.Nothing",
        "tracerl..encoders",
    ],
)
def test_trusted_packages_give_no_access_to_other_modules(target: str) -> None:
    with pytest.raises(ConfigError, match=r"^agent\._target_ is .* is neither a part of an agent or run of tracerl"):
        check({"_target_": target}, "agent", SOURCE)


def test_checking_imports_nothing_outside_the_trusted_packages(planted: Path) -> None:
    for target in ("planted.run", "tracerl.planted.run", "tracerl.run.sys.planted.run"):
        with pytest.raises(ConfigError):
            check({"_target_": target}, "agent", SOURCE)
    assert "planted" not in sys.modules and not planted.exists()


@pytest.mark.parametrize(
    "tree",
    [
        {"a": [[{"b": {"_target_": "os.system", "_partial_": True, "_recursive_": False}}]]},
        {"_target_": "tracerl.nn.encoders.Raw", "_args_": [{"_target_": "os.system"}]},
        {"_target_": {"_target_": "os.system"}},
        {"_target_": ["os.system"]},
        {"_target_": {}},
        {"_target_": "${x}", "x": "os.system"},
    ],
)
def test_targets_are_found_wherever_they_are_nested(tree: Any) -> None:
    with pytest.raises(ConfigError, match="outside the trusted packages"):
        check(tree, "", SOURCE)


@pytest.mark.parametrize(
    "env_id", ["evil:Foo-v0", "os.path:Foo-v0", "evil:tracerl:Foo-v0", "tracerl:evil:Foo-v0", ":Foo-v0", ".evil:Foo-v0"]
)
def test_env_id_imports_no_untrusted_module(env_id: str) -> None:
    for tree in ({"id": env_id}, {"kwargs": {"env_id": env_id}}, {"_args_": ["name", env_id]}):
        with pytest.raises(ConfigError, match=r"^env\..* imports a module outside the trusted packages"):
            check(tree, "env", SOURCE)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "ale_py:ALE/Pong-v5", "tracerl.envs:tracerl/MinAtar-v0", "???"])
def test_env_id_may_import_a_trusted_module(env_id: str) -> None:
    check({"id": env_id, "_args_": [env_id]}, "env", SOURCE)


@pytest.mark.parametrize("text", ["${eval:1}", "a ${oc.env:HOME}", "${${x}:1}", "${oc.decode:'${x:1}'}"])
def test_no_resolver_is_called(text: str) -> None:
    with pytest.raises(ConfigError, match="^name is .* calls a resolver"):
        check({"name": text}, "", SOURCE)
    check({"name": "${env.id}", "other": "a: b"}, "", SOURCE)


def test_a_saved_config_has_no_interpolation() -> None:
    check_literal({"a": ["$5", {"b": None}]}, "", SOURCE)
    with pytest.raises(ConfigError, match=r"^a\.0 must be a value, not an interpolation, got '\${b}'"):
        check_literal({"a": ["${b}"], "b": 1}, "", SOURCE)
    with pytest.raises(ConfigError, match=r"^settings\.a\.\${b} must be a value"):
        check_literal({"a": {"${b}": 1}}, "settings", "a saved agent")


@pytest.mark.parametrize(
    ("override", "free"),
    [
        ("agent.head._target_=my.Head", True),
        ("agent.head={_target_:my.Head,_partial_:true}", True),
        ("+agent={head: {_target_: 'my.Head'}}", True),
        ("agent.head={_target_:not.my.Head}", False),
        ("agent.head={_target_:my.Header}", False),
        ("network=my.Head", False),
        ("agent.he=my.Head", False),
        ("agent=reflect", False),
    ],
)
def test_names_on_the_command_line_of_the_user_need_no_trust(override: str, free: bool) -> None:
    tree = {"agent": {"head": {"_target_": "my.Head"}}}
    if free:
        check(tree, "", SOURCE, [override])
        return
    with pytest.raises(ConfigError, match=r"^agent\.head\._target_ is 'my.Head'"):
        check(tree, "", SOURCE, [override])


def test_trust_prints_the_names_that_will_be_built(capsys: pytest.CaptureFixture[str]) -> None:
    tree = {
        "env": {"id": "mine:Env-v0"},
        "agent": {"_target_": "my.Agent", "encoder": {"_target_": "tracerl.nn.encoders.Raw"}},
    }
    check(tree, "", SOURCE, trust=True)
    assert capsys.readouterr().err.splitlines() == [
        f"trusted: env.id=mine:Env-v0 of {SOURCE} will be run",
        f"trusted: agent._target_=my.Agent of {SOURCE} will be run",
    ]


def test_gymnasium_plugins_are_trusted_and_later_registrations_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gym.register("Later-v0", "later.envs:Later")
    try:
        assert packages() == {"ale_py", "gymnasium", "minatar", "popgym", "tracerl"}
    finally:
        del gym.registry["Later-v0"]
    plugin = EntryPoint("Ours", "ours.envs:register_envs", "gymnasium.envs")
    monkeypatch.setattr(trust, "entry_points", lambda group: [plugin] if group == "gymnasium.envs" else [])
    assert "ours" in packages()
