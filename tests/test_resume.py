"""The effect of a folder with a run on the next run."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helpers import command
from tracerl.config.checks import ConfigError
from tracerl.runs import versions
from tracerl.runs.checkpoint import manifest
from tracerl.runs.resume import OVERRIDES, InUse, check_same_settings, clear, command_line, finished_run, flat

SETTINGS = {"steps": 10, "seed": 0, "env": {"id": "A", "kwargs": {}}, "threads": 1, "resume": True, "list": [1, 2]}


def write_run(folder: Path, status: str | None) -> None:
    """Write a run's folder as after an end with a status, or after a kill."""
    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    for name in ("returns.part", "error.txt", "events.out.tfevents.1.host.2.0", "notes.md"):
        (folder / name).write_text("old")
    if status is not None:
        (folder / "summary.json").write_text(json.dumps({"status": status, "steps": 10}))


def test_new_folder_is_free(tmp_path: Path) -> None:
    for resume in (False, True):
        assert finished_run(tmp_path, [flat(SETTINGS)], resume, "hydra.run.dir", 10) is None


def test_folder_with_a_run_raises_an_error_unless_resumed(tmp_path: Path) -> None:
    write_run(tmp_path, "finished")
    with pytest.raises(InUse, match=rf"^hydra.sweep.dir already holds a run, .*resume=true.*{tmp_path.name}"):
        finished_run(tmp_path, [flat(SETTINGS)], False, "hydra.sweep.dir", 10)
    assert (tmp_path / "returns.part").exists()


def test_finished_run_is_not_changed(tmp_path: Path) -> None:
    write_run(tmp_path, "finished")
    other = flat({**SETTINGS, "threads": 8, "resume": False, "steps": 9, "logger": {"every": 3}})
    assert finished_run(tmp_path, [other], True, "k", 9) == {"status": "finished", "steps": 10}
    assert finished_run(tmp_path, [other], True, "k", 11) is None  # steps remain
    assert (tmp_path / "returns.part").read_text() == "old"


@pytest.mark.parametrize("status", ["interrupted", "failed", None, "torn"])
def test_unfinished_run_is_replaced_and_other_files_are_kept(tmp_path: Path, status: str | None) -> None:
    write_run(tmp_path, status)
    if status == "torn":
        (tmp_path / "summary.json").write_text('{"status": "fin')
    assert finished_run(tmp_path, [flat(SETTINGS)], True, "k", 10) is None
    clear(tmp_path, 10, "hydra.run.dir")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "notes.md"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"^seed must be 0, as in the run to resume \(.*\), got 1"),
        ({"env": {"id": "B", "kwargs": {}}}, r"^env.id must be 'A'"),
        ({"env": {"id": "A", "kwargs": {"x": 1}}}, r"^env.kwargs"),
        ({"list": [1]}, r"^list must be \[1, 2\]"),
        ({"more": 1}, r"^more must be absent, as in the run to resume"),
        ({"seed": 1, "more": 1}, r"^more must be absent, .*, got 1; seed must be 0$"),
    ],
)
def test_other_settings_raise_an_error_naming_them_and_nothing_is_removed(
    tmp_path: Path, change: dict, message: str
) -> None:
    write_run(tmp_path, None)
    with pytest.raises(ConfigError, match=message):
        finished_run(tmp_path, [flat({**SETTINGS, **change})], True, "k", 10)
    assert (tmp_path / "returns.part").exists()


@pytest.mark.parametrize(
    ("there", "here", "problem"),
    [
        ({"weight_bits": 8}, {"weight_bits": 4}, None),
        ({}, {"weight_bits": 8, "rounding": "export"}, None),
        ({}, {"weight_bits": 8, "rounding": "learning"}, "^deploy.rounding must be 'export', as in the run to resume"),
        ({"weight_bits": 8, "rounding": "learning"}, {"weight_bits": 8, "rounding": "export"}, "^deploy.rounding must"),
        (
            {"weight_bits": 8, "rounding": "learning"},
            {"weight_bits": 4, "rounding": "learning"},
            "^deploy.weight_bits must be 8, as in the run to resume",
        ),
    ],
    ids=["bits of the export", "older run", "learning now", "export now", "bits of learning"],
)
def test_rounding_may_change_only_where_it_is_of_the_export(
    there: dict, here: dict, problem: str | None, tmp_path: Path
) -> None:
    both = flat({"deploy": there}), flat({"deploy": here})
    if problem is None:
        check_same_settings(*both, tmp_path)
    else:
        with pytest.raises(ConfigError, match=problem):
            check_same_settings(*both, tmp_path)


def test_interpolated_agent_settings_are_compared_at_their_source(tmp_path: Path) -> None:
    there = {"agent": {"x": 1, "network": {"hidden": [8]}}, "network": {"hidden": [8]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(there))
    assert finished_run(tmp_path, [flat({**there, "agent": {"x": 1}})], True, "k", 1) is None
    with pytest.raises(ConfigError, match="^network.hidden must be"):
        finished_run(tmp_path, [flat({"agent": {"x": 1}, "network": {"hidden": [9]}})], True, "k", 1)
    with pytest.raises(ConfigError, match="^agent.x must be 1"):
        finished_run(tmp_path, [flat({"agent": {"x": 2}, "network": {"hidden": [8]}})], True, "k", 1)


def test_trained_run_without_a_valid_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    write_run(tmp_path, "finished")
    with pytest.raises(ConfigError, match="^steps must be 10 or below: .* has no checkpoint to resume from, got 20"):
        clear(tmp_path, 20, "hydra.run.dir")
    assert (tmp_path / "returns.part").exists()


def test_files_of_another_program_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    foreign = [tmp_path / "here" / name for name in ("metrics.csv", "events.out.tfevents.1.host.2.0")]
    for path in (*foreign, tmp_path / "here" / "error.txt"):
        path.write_text("of another program")
    line = ["network.hidden=[8]", "steps=20", "logger=csv", "hydra.run.dir=here", "resume=auto"]
    assert command(line, monkeypatch, tmp_path) == 2
    assert "hydra.run.dir must be a folder in which no other program has a file 'events" in capfd.readouterr().err
    for path in foreign:
        assert path.read_text() == "of another program"
        path.unlink()
    assert command(line, monkeypatch, tmp_path) == 0  # an error.txt is left by a run that could not start


def test_path_becomes_the_command_line_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "a run"
    (run / "checkpoints" / "step-3").mkdir(parents=True)
    (run / "config.yaml").write_text("")
    (run / OVERRIDES).write_text(yaml.safe_dump(["env=Acrobot", "+agent.x=1", "steps=10", "resume=auto"]))
    folder = f"hydra.run.dir='{run}'"
    assert command_line(["resume=a run", "steps=20"]) == [
        "env=Acrobot",
        "+agent.x=1",
        "steps=20",
        f"resume='{run}'",
        folder,
    ]
    checkpoint = run / "checkpoints" / "step-3"
    assert command_line([f"resume='{checkpoint}'"])[-2:] == [f"resume='{checkpoint}'", folder]
    for arguments in ([], ["resume=true"], ["resume=auto", "seed=1"], ["seed=1"]):
        assert command_line(arguments) == arguments
    with pytest.raises(ConfigError, match="^resume must be true, false, auto, or the folder of a run"):
        command_line(["resume=elsewhere"])


def test_flat_keeps_every_setting() -> None:
    assert flat({"a": {"b": 1, "c": {"d": None}}, "e": {}}) == {"a.b": 1, "a.c.d": None, "e": {}}


def test_resumed_run_keeps_values_whose_default_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, pendulum = tmp_path / "run", ["env=Pendulum", "network.hidden=[4]", "logger=none", "engine=torch"]
    assert command([*pendulum, "head=bounded", "steps=20", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    (run / OVERRIDES).write_text(yaml.safe_dump([*pendulum, "steps=20"]))  # as if head=bounded was the default
    values = ["head.max_std=4.0", "head.mean_margin=3.0", "head.reference_std=null"]
    assert [text for text in command_line([f"resume={run}"]) if text.startswith("head")] == values
    given = command_line([f"resume={run}", "head.max_std=2"])
    assert [text for text in given if text.startswith("head")] == [*values[1:], "head.max_std=2"]
    assert command([f"resume={run}", "head=relative", "steps=30"], monkeypatch, tmp_path) == 2
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").unlink()
    assert command([f"resume={run}", "steps=40"], monkeypatch, tmp_path) == 0
    assert (run / "config.yaml").read_text() == config.replace("steps: 30", "steps: 40")


def test_resumed_run_keeps_the_former_step_of_the_policy_and_neurons_of_the_critic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, small = tmp_path / "run", ["network.hidden=[4]", "network.layer_norm=false"]
    cartpole = ["env=CartPole", *small, "logger=none", "engine=torch"]
    policy = {"rms_floor": 0.5, "slow_decay": 0.9998}
    former = [f"optimizer.policy.{name}={value}" for name, value in policy.items()]
    former += ["agent.critic.surrogate=arctan", "agent.critic.layer_norm=false", "agent.discount=0.99"]
    assert command([*cartpole, *former, "steps=20", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    (run / OVERRIDES).write_text(yaml.safe_dump([*cartpole, "steps=20"]))  # as if they were the defaults
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["agent"]["critic"]["surrogate"], config["agent"]["critic"]["layer_norm"]
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    changed = [text for text in command_line([f"resume={run}"]) if text.startswith(("optimizer", "agent"))]
    assert changed == former
    own = ["agent.critic=null", "optimizer=obgd"]
    changed = [text for text in command_line([f"resume={run}", *own]) if text.startswith(("optimizer", "agent"))]
    assert changed == ["agent.discount=0.99", *own]
    assert command([*cartpole, "resume=true", "steps=30", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 2
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0


def test_resumed_run_keeps_its_initial_biases_and_the_scale_of_its_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cartpole = tmp_path / "run", ["env=CartPole", "network.hidden=[4]", "logger=none", "engine=torch"]
    former = ["network.bias_scale=1.0", "encoder.trace_scale=1.0"]
    assert command([*cartpole, *former, "steps=20", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    (run / OVERRIDES).write_text(yaml.safe_dump([*cartpole, "steps=20"]))  # as if they were the defaults
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["encoder"]["trace_scale"]  # which was no setting
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    names = ("network.bias", "encoder")
    assert [text for text in command_line([f"resume={run}"]) if text.startswith(names)] == former
    assert [text for text in command_line([f"resume={run}", "encoder=raw"]) if text.startswith(names)] == [
        former[0],
        "encoder=raw",
    ]
    assert command([*cartpole, "resume=true", "steps=30", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 2
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0


def test_resumed_run_of_large_images_keeps_its_former_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ale_py")
    run, small = tmp_path / "run", ["network.channels=[2,2,2]", "network.hidden=[4]"]
    atari = ["env=Atari", *small, "logger=none", "engine=torch"]
    former = ["encoder.normalize=false", "agent.trace_decay=0.8", "agent.entropy=0.04"]
    former += ["optimizer.policy.lr=0.00048828125"]
    assert command([*atari, *former, "steps=20", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    (run / OVERRIDES).write_text(yaml.safe_dump([*atari, "steps=20"]))  # as if they were the defaults
    names = ("encoder", "agent", "optimizer")
    assert [text for text in command_line([f"resume={run}"]) if text.startswith(names)] == former
    assert command([*atari, "resume=true", "steps=30", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 2
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0


@pytest.mark.parametrize(
    ("line", "former"),
    [
        (
            ["env=MinAtarBreakout"],
            [
                "optimizer.policy.lr=0.00048828125",
                "network.layer_norm=true",
                "network.reset=soft",
                "network.weight_scale=0.7",
                "optimizer.policy.update_decay=0.999",
            ],
        ),
        (["env=CartPole", "agent=q_lambda"], ["network.bias_scale=1.0", "encoder.trace_scale=1.0"]),
        (["env=CartPole", "agent=eprop"], ["optimizer.policy.rms_floor=0.5", "optimizer.policy.slow_decay=0.9998"]),
        (["env=CartPole", "agent=stream_q", "network.sparsity=0"], ["optimizer.policy.kappa=3.0"]),
    ],
    ids=["images", "q_lambda", "eprop", "stream_q"],
)
def test_resumed_run_without_a_head_or_of_small_images_keeps_its_former_defaults(
    line: list[str], former: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, line = tmp_path / "run", [*line, "network.hidden=[4]", "logger=none", "engine=torch"]
    assert command([*line, *former, "steps=20", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    (run / OVERRIDES).write_text(yaml.safe_dump([*line, "steps=20"]))  # as if they were the defaults
    assert set(former) <= set(command_line([f"resume={run}"]))
    assert command([*line, "resume=true", "steps=30", f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 2
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0


@pytest.mark.parametrize(
    "settings",
    [
        ["env=CartPole", "agent=stream_ac"],
        ["env=CartPole", "agent.critic=null"],
        ["env=MinAtarBreakout", "network.hidden=[4]"],
        ["env=MinAtarBreakout", "network=normalized", "encoder=contrast", "optimizer=intentional"],
    ],
)
def test_resumed_run_has_no_setting_more_than_it_had(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    settings = [*settings, "logger=none", "engine=torch", "steps=20"]
    assert command([*settings, f"hydra.run.dir={run}"], monkeypatch, tmp_path) == 0
    resumed = [text.lstrip("+") for text in command_line([f"resume={run}"])]
    assert [text for text in resumed if not text.startswith(("resume", "hydra"))] == settings
    assert command([f"resume={run}", "steps=30"], monkeypatch, tmp_path) == 0


def test_resumed_run_names_packages_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["env=CartPole", "agent=reflect", "network.hidden=[2]", "engine=torch", "logger=none", "hydra.run.dir=a"]
    now = manifest.versions()
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "versions", lambda: {**now, "torch": "0.1"})
        patch.setattr("tracerl.runs.execute.of_envs", lambda: {"removed": "1.0", "mujoco": "1.0"})
        command([*line, "steps=20"], patch, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(versions, "of_envs", lambda: {"mujoco": "2.0", "ale-py": "3.0"})
        command([*line, "steps=40", "resume=true"], patch, tmp_path)
    differ = f"torch 0.1, now {now['torch']}; mujoco 1.0, now 2.0"
    assert f"warning: the numbers can differ from those of a run without a break: {differ}\n" in capsys.readouterr().err
    command([*line, "steps=60", "resume=true"], monkeypatch, tmp_path)
    assert "the numbers can differ" not in capsys.readouterr().err
