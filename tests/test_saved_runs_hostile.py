"""No command executes code named in a hostile run folder; --trust allows the names of the user's own run."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import tracerl.configs
import yaml

import tracerl.export.__main__
import tracerl.plot.__main__
import tracerl.sweep.__main__
import tracerl.watch.__main__
from tests.helpers import command, exit_code
from tracerl.config.checks import ConfigError
from tracerl.runs.resume import command_line
from tracerl.runs.saved_run import load

SETTINGS = ["steps=100", "network=dense", "network.hidden=[8]", "engine=torch", "logger=none", "checkpoint.every=50"]
OWN = "env.wrappers=[{_target_:planted.Wrap,_partial_:true}]"
CALL = {"_target_": "planted.run"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        assert command([*SETTINGS, "hydra.run.dir=run"], patch, folder) == 0
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path, planted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "run"))


def put(tree: Any, key: str, value: Any) -> None:
    """Set a dotted key."""
    *path, last = key.split(".")
    for name in path:
        tree = tree[name]
    tree[last] = value


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def exit_codes(run: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> list[int]:
    """Run every command that reads a run; return their exit codes."""
    return [
        exit_code(tracerl.watch.__main__.main, monkeypatch, run, "--raster", "a.png", "--steps", 12, *flags),
        exit_code(tracerl.plot.__main__.main, monkeypatch, run, "--what", "raster", "--steps", 12, *flags),
        exit_code(tracerl.plot.__main__.main, monkeypatch, run, "--what", "distributions", *flags),
        exit_code(tracerl.plot.__main__.main, monkeypatch, run, "--what", "table", *flags),
        exit_code(tracerl.export.__main__.main, monkeypatch, run, "--nir", "a.nir", *flags),
        exit_code(tracerl.sweep.__main__.main, monkeypatch, run.parent),
    ]


BUILT: list[tuple[str, Any]] = [
    ("env._target_", "planted.run"),
    ("env.id", "planted:CartPole-v1"),
    ("env.wrappers", [{**CALL, "_partial_": True}]),
    ("env.kwargs", {"x": [CALL]}),
    ("agent._target_", "planted.run"),
    ("agent.head", {**CALL, "_partial_": True}),
    ("agent.head", {"_target_": "tracerl.runs.launch.os.system", "command": "touch $PLANTED"}),
    ("agent.encoder._target_", "planted.run"),
    ("agent.network._target_", "planted.run"),
    ("agent.network.hidden", [CALL]),
    ("agent.optimizer.policy._target_", "planted.run"),
    ("agent.optimizer.value", {"_target_": "tracerl.optim.TorchOptim", "name": "Adam", "kwargs": {"lr": CALL}}),
]
NOT_BUILT: list[tuple[str, Any]] = [
    *((f"{group}._target_", "planted.run") for group in ("network", "encoder", "optimizer.policy", "logger")),
    ("checkpoint._target_", "planted.run"),
    ("hydra", {"callbacks": {"x": CALL}, "launcher": CALL, "sweeper": CALL}),
]


class Plain(yaml.SafeDumper):
    """Writes yaml without aliases, which the reader rejects."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def plant_config(run: Path, *settings: tuple[str, Any]) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in settings:
        put(config, key, value)
    for name in ("config.yaml", ".hydra/config.yaml", "multirun.yaml"):
        (run / name).write_text(yaml.dump(config, Dumper=Plain))


@pytest.mark.parametrize(("key", "value"), BUILT)
def test_hostile_target_in_config_yaml_is_not_built(run: Path, planted: Path, key: str, value: Any) -> None:
    plant_config(run, (key, value))
    saved = load(run)
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}.*: it comes from a saved run .*config.yaml.*--trust"):
        saved.agent()
    if key.startswith("env."):
        with pytest.raises(ConfigError, match=re.escape(key)):
            saved.env()
    assert not planted.exists() and "planted" not in sys.modules


def test_interpolation_in_config_yaml_is_not_resolved(run: Path, planted: Path) -> None:
    plant_config(run, ("env.name", "${planted:1}"))
    for trust in (False, True):
        with pytest.raises(ConfigError, match=r"^env\.name must be a value, not an interpolation"):
            load(run, trust=trust)


@pytest.mark.parametrize("place", ["env", "agent", "elsewhere"])
def test_no_command_executes_a_hostile_config_yaml(
    run: Path, planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    plant_config(run, *NOT_BUILT, *(setting for setting in BUILT if setting[0].startswith(f"{place}.")))
    before = contents(run)
    assert exit_codes(run, monkeypatch) == ([0] * 6 if place == "elsewhere" else [2, 2, 0, 0, 2, 0])
    output = capsys.readouterr().err
    assert "Traceback" not in output and output.count("--trust") == (0 if place == "elsewhere" else 3)
    assert contents(run) == before
    assert command(["resume=run", "steps=200"], monkeypatch, run.parent) == 2  # not settings of this command
    assert command([*SETTINGS, "hydra.run.dir=run", "resume=true"], monkeypatch, run.parent) == 2
    assert not planted.exists() and "planted" not in sys.modules


@pytest.mark.parametrize(
    "line",
    [
        "+hydra.callbacks.x={_target_: planted.run}",
        "hydra.launcher._target_=planted.run",
        "hydra.sweeper._target_=planted.run",
        "+hydra.job_logging.root.handlers=[x]",
        "hydra.searchpath=[file:///tmp]",
        "hydra.mode=MULTIRUN",
        "hydra.run.dir=elsewhere",
        "hydra={callbacks:{x:{_target_: planted.run}}}",
        "+env@hydra.callbacks.x=CartPole",
        "hydra/launcher=planted",
        "--config-dir=conf",
        "--multirun",
        "-m",
    ],
)
def test_hydra_settings_of_a_saved_run_are_ignored(
    run: Path, planted: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    plant(run)
    plain = command_line(["resume=run", "steps=200"])
    plant(run, line)
    for trusted in (False, True):
        assert command_line(["resume=run", "steps=200"], trusted) == plain
        assert f"warning: {line!r} of" in capsys.readouterr().err
    assert not planted.exists() and "planted" not in sys.modules


def plant(run: Path, *lines: str) -> None:
    path = run / "overrides.yaml"
    path.write_text(yaml.safe_dump([*SETTINGS, *lines]))


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        (["env._target_=planted.run"], "env._target_"),
        (["env=gymnasium", "env.id=planted:CartPole-v1"], "env.id"),
        (["env=gymnasium", "+x=planted:CartPole-v1", "env.id='${x}'"], "env.id"),
        (["env.wrappers=[{_target_:planted.run,_partial_:true}]"], "env.wrappers.0._target_"),
        (["++env.kwargs.x={y:[{_target_:planted.run}]}"], "env.kwargs.x.y.0._target_"),
        (["agent._target_=planted.run"], "agent._target_"),
        (["agent._target_='${x.y}'", "+x={y:planted.run}"], "agent._target_"),
        (["agent.head={_target_:planted.run,_partial_:true}"], "agent.head._target_"),
        (["agent.head={_target_:tracerl.runs.launch.os.system,command:touch}"], "agent.head._target_"),
        (["encoder._target_=planted.run"], "encoder._target_"),
        (["network._target_=planted.run"], "network._target_"),
        (["optimizer.policy._target_=planted.run"], "optimizer.policy._target_"),
        (["logger._target_=planted.run"], "logger._target_"),
        (["checkpoint._target_=planted.run"], "checkpoint._target_"),
        (["+x={a:[{_target_:planted.run}]}"], "x.a.0._target_"),
        (["env.name='${oc.env:HOME}'"], "env.name"),
        (["env.name=$\\{oc.env:HOME\\}"], "env.name"),
        (["env=../../evil"], "resume"),
        (["env=$x"], "resume"),
        (["a b c"], "resume"),
    ],
)
def test_hostile_overrides_yaml_is_ignored(run: Path, planted: Path, lines: list[Any], key: str) -> None:
    plant(run, *lines)
    with pytest.raises(ConfigError, match=re.escape(str(run / "overrides.yaml"))) as caught:
        command_line(["resume=run", "steps=200"])
    assert caught.value.key == key
    assert not planted.exists() and "planted" not in sys.modules


def test_overrides_that_are_not_strings_are_read_from_the_checkpoint(
    run: Path, planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = command_line(["resume=run", "steps=200"])
    (run / "overrides.yaml").write_text(yaml.safe_dump([*SETTINGS, {"_target_": "planted.run"}]))
    assert command_line(["resume=run", "steps=200"]) == plain
    assert "overrides.yaml: it holds list, not a command line" in capsys.readouterr().err
    assert not planted.exists() and "planted" not in sys.modules


@pytest.mark.parametrize("arguments", [["steps=200"], ["-m", "seed=0,1"], ["--cfg", "job", "--resolve"]])
def test_untrusted_run_is_not_changed(
    run: Path, planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    plant(run, "+hydra.callbacks.x={_target_: planted.run}", "agent.head={_target_: planted.run}")
    before = contents(run.parent)
    assert command(["resume=run", *arguments], monkeypatch, run.parent) == 2
    assert "error: agent.head._target_ is 'planted.run': it comes from a saved run" in capsys.readouterr().err
    assert contents(run.parent) == before and not planted.exists()


def test_choices_of_a_saved_run_do_not_load_yamls_from_its_folder(run: Path, planted: Path) -> None:
    (run / "evil.yaml").write_text("# @package _global_\nhydra: {callbacks: {x: {_target_: planted.run}}}\n")
    there = os.path.relpath(run / "evil", Path(tracerl.configs.__file__).parent / "env")
    for line in (f"env={there}", f"+env@y={there}", f"+env@y=[{there}]"):
        plant(run, line)
        for trusted in (False, True):
            with pytest.raises(ConfigError, match="^resume must be of a run whose choices are names"):
                command_line(["resume=run"], trusted)
    assert not planted.exists()


def test_own_run_is_resumed_with_trust(
    run: Path, planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = run.parent / "mine"
    assert command([*SETTINGS, OWN, "hydra.run.dir=mine"], monkeypatch, run.parent) == 0
    before = contents(mine)
    where = "env.wrappers.0._target_"
    capsys.readouterr()
    assert command(["resume=mine", "steps=200"], monkeypatch, run.parent) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"error: {where} is 'planted.Wrap': it comes from a saved run ({mine / 'overrides.yaml'})")
    assert "outside the trusted packages" in output and "--trust" in output and len(output.splitlines()) == 1
    assert exit_codes(mine, monkeypatch) == [2, 2, 0, 0, 2, 0] and contents(mine) == before
    capsys.readouterr()

    assert exit_codes(mine, monkeypatch, "--trust") == [0] * 6
    line = f"trusted: {where}=planted.Wrap of {mine / 'config.yaml'} will be run"
    assert capsys.readouterr().err.count(line) == 4
    assert load(mine, trust=True).env().__class__.__name__ == "Wrap"
    capsys.readouterr()
    assert command(["resume=mine", "steps=150", "--trust"], monkeypatch, run.parent) == 0
    assert f"trusted: {where}=planted.Wrap of {mine / 'overrides.yaml'} will be run" in capsys.readouterr().err
    # Names on the user's own command line need no trust.
    assert command(["resume=mine", "steps=200", OWN], monkeypatch, run.parent) == 0
    assert command([*SETTINGS, OWN, "steps=250", "hydra.run.dir=mine", "resume=auto"], monkeypatch, run.parent) == 0
    assert yaml.safe_load((mine / "overrides.yaml").read_text())[-1] == "resume=auto"


def test_yaml_in_the_working_folder_is_found_on_resume(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.parent / "conf" / "encoder").mkdir(parents=True)
    (run.parent / "conf" / "encoder" / "mine.yaml").write_text(
        "_target_: tracerl.nn.encoders.Raw\nnormalize: true\nclip: 5.0"
    )
    flags = ["--config-dir", "conf"]
    assert command([*SETTINGS, "encoder=mine", "hydra.run.dir=mine", *flags], monkeypatch, run.parent) == 0
    assert command(["resume=mine", "steps=150", *flags], monkeypatch, run.parent) == 0
    assert command(["resume=mine", "steps=200", "hydra.searchpath=[file://conf]"], monkeypatch, run.parent) == 0
