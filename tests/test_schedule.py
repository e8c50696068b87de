"""Runs resumed from the command line are bit-identical with complete files, or raise an error with a message."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tracerl
from tests.forks import start
from tests.helpers import command
from tests.kills import differences
from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import Record
from tracerl.runs import lock, prepare
from tracerl.runs.checkpoint import newest_good
from tracerl.runs.checkpoint.schedule import Checkpoints, CheckpointSettings
from tracerl.runs.saved import CHECKPOINTS

# Schedules in env steps: shares of the run would change with its length. One image is of steps 441 to 540.
QUICK = ["network.hidden=[8]", "logger.every=400", "logger.histograms_every=300", "logger.pictures_every=270"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    return lambda *arguments: command([*arguments], monkeypatch, tmp_path)


def steps_of(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in (folder / "checkpoints").iterdir())


ENDING = "env=ContextualBandit"  # an episode ends with every step


@pytest.mark.parametrize(
    "case",
    [
        (),
        ("lifetimes=3",),
        ("env.backend=compiled", "lifetimes=3"),
        ("agent=stream_ac",),
        ("agent=q_lambda", "agent.steps=1000"),
        (ENDING,),
        (ENDING, "lifetimes=3"),
    ],
)
def test_finished_run_resumed_with_more_steps_equals_the_longer_run(case: tuple, run: Any, tmp_path: Path) -> None:
    settings = [f"agent.hidden={[8]}" if "agent=stream_ac" in case else QUICK[0], *QUICK[1:], *case]
    assert run(*settings, "steps=1000", "hydra.run.dir=whole") == 0
    assert run(*settings, "steps=517", "hydra.run.dir=parts") == 0
    assert run("resume=parts", "steps=1000") == 0
    assert differences(tmp_path / "whole", tmp_path / "parts") == []
    whole, parts = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "parts"))
    assert parts["resumed"] == [{"step": 517, "new_episode": False}] and whole["resumed"] == []
    for key in ("return_last100", "milestones", "episodes", "steps", "reward_rate_last10000", "status"):
        assert whole[key] == parts[key], key


def test_checkpoints_are_on_schedule_and_the_newest_and_best_are_kept(run: Any, tmp_path: Path) -> None:
    keep = ["checkpoint.every=100", "checkpoint.keep_last=3", "checkpoint.keep_best=0"]
    assert run(*QUICK, *keep, "steps=1050", "hydra.run.dir=here") == 0
    assert steps_of(tmp_path / "here") == [900, 1000, 1050]
    assert run(*QUICK, "checkpoint.minutes=null", "steps=300", "hydra.run.dir=none") == 0
    assert not (tmp_path / "none" / "checkpoints").exists()
    assert run(*QUICK, "steps=300", "hydra.run.dir=last") == 0
    assert steps_of(tmp_path / "last") == [300]


def test_older_checkpoint_can_be_resumed(run: Any, tmp_path: Path) -> None:
    settings = [*QUICK, "checkpoint.every=300", "checkpoint.keep_last=9"]
    assert run(*settings, "steps=900", "hydra.run.dir=here") == 0
    shutil.copytree(tmp_path / "here", tmp_path / "whole")
    assert run("resume=here/checkpoints/step-000000000300", "steps=901") == 0
    assert run(*settings, "steps=901", "hydra.run.dir=straight") == 0
    assert differences(tmp_path / "straight", tmp_path / "here") == []
    assert run("resume=here/checkpoints/step-000000000300", "steps=902", "checkpoint.every=500") == 0
    assert steps_of(tmp_path / "here") == [300, 500, 902]  # and not 600, 900 and 901 of the part that was left
    refused = ["resume=here/checkpoints/step-000000000300", "steps=1000", "logger=tensorboard", "logger.every=0"]
    assert run(*refused) == 2
    assert steps_of(tmp_path / "here") == [300, 500, 902] and (tmp_path / "here" / "summary.json").exists()


def test_native_vector_envs_begin_new_episodes_where_one_was_stepped_past_the_end_of_its_lifetime(
    run: Any, tmp_path: Path
) -> None:
    several = [*QUICK, "env.vectorization=native", "lifetimes=3", "checkpoint.every=300", "checkpoint.keep_last=9"]
    assert run(*several, "steps=517", "hydra.run.dir=here") == 0
    shutil.copytree(tmp_path / "here", tmp_path / "before")
    assert run("resume=here", "steps=1000") == 0
    assert json.loads((tmp_path / "here" / "summary.json").read_text())["resumed"][0]["new_episode"]
    assert run("resume=before/checkpoints/step-000000000300", "steps=1000") == 0
    assert run(*several, "steps=1000", "hydra.run.dir=whole") == 0
    assert differences(tmp_path / "whole", tmp_path / "before") == []


def test_other_settings_raise_an_error_naming_them_unless_they_may_change(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "steps=300", "hydra.run.dir=here") == 0
    capfd.readouterr()
    assert run("resume=here", "steps=600", "agent.trace_decay=0.5") == 2
    assert "agent.trace_decay must be 0.9, as in the run to resume" in capfd.readouterr().err
    assert run("resume=here", "steps=600", "engine=torch") == 2
    assert run("resume=here", "steps=600", "logger.every=50", "checkpoint.keep_last=1", "threads=1") == 0


def test_damaged_checkpoint_is_reported_and_the_previous_one_is_used(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = [*QUICK, "checkpoint.every=300", "checkpoint.keep_last=9"]
    assert run(*settings, "steps=900", "hydra.run.dir=here") == 0
    torn = tmp_path / "here" / "checkpoints" / "step-000000000900" / "agent.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    assert run("resume=here", "steps=1200") == 0
    output = capfd.readouterr()
    assert "step-000000000900 cannot be used: agent.safetensors has 100 bytes" in output.err
    assert "resumed at step 600" in output.out
    assert run(*settings, "steps=1200", "hydra.run.dir=straight") == 0
    assert differences(tmp_path / "straight", tmp_path / "here") == []


def test_a_resume_keeps_what_it_cannot_read_and_a_refused_one_keeps_everything(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*QUICK, "checkpoint.every=300", "checkpoint.keep_last=9", "steps=900", "hydra.run.dir=here") == 0

    def refuse(*arguments: Any) -> None:
        raise ConfigError("eval.env", "cannot be made")

    with monkeypatch.context() as refused:
        refused.setattr(prepare, "_evaluations", refuse)
        assert run("resume=here/checkpoints/step-000000000300", "steps=1000") == 2
    assert steps_of(tmp_path / "here") == [300, 600, 900] and (tmp_path / "here" / "summary.json").exists()
    torn = tmp_path / "here" / "checkpoints" / "step-000000000900" / "agent.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    assert run("resume=here/../here", "steps=1000", "checkpoint.every=1000") == 0
    assert steps_of(tmp_path / "here") == [300, 600, 900, 1000] and len(torn.read_bytes()) == 100


def test_run_without_a_valid_checkpoint_is_not_restarted(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "steps=300", "hydra.run.dir=here") == 0
    for path in (tmp_path / "here" / "checkpoints").glob("*/manifest.json"):
        path.write_text("{}")
    assert run("resume=here", "steps=600") == 2
    assert "resume finds no sound checkpoint" in capfd.readouterr().err
    shutil.rmtree(tmp_path / "here" / "checkpoints")
    assert run("resume=here", "steps=600") == 2
    assert "steps must be 300 or below" in capfd.readouterr().err
    assert (tmp_path / "here" / "returns.npz").exists()


def test_agent_without_state_dict_raises_a_warning(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("agent._target_=tests.toy_envs.StatelessAgent", "agent=random", "steps=50") == 0
    assert "warning: no checkpoints" in capfd.readouterr().err


@pytest.mark.parametrize("lifetimes", [1, 2])
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("raise", "Saved.state_dict raised RuntimeError: the simulator failed;"),
        ("list", "Saved.state_dict() must return a dict, got list;"),
        ("function", "Saved.more.0 must be plain data (numbers, strings, arrays of numbers), got"),
    ],
)
def test_env_whose_state_cannot_be_saved_raises_one_warning(
    how: str, problem: str, lifetimes: int, run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = ["env=gymnasium", "env.id=tests.toy_envs:Saved-v0", f"env.kwargs.how={how}", "agent=random"]
    own += [f"lifetimes={lifetimes}", "checkpoint.every=50", "hydra.run.dir=here"]
    assert run(*own, "steps=150") == 0
    output = capfd.readouterr().err
    assert output.count(f"warning: cannot save the state of the env: {problem}") == 1 and "Traceback" not in output
    assert run(*own, "steps=200", "resume=true") == 0
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert summary["resumed"] == [{"step": 150, "new_episode": True}]


def test_env_that_does_not_take_its_state_is_named(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    own = ["env=gymnasium", "env.id=tests.toy_envs:Saved-v0", "env.kwargs.how=lack", "agent=random"]
    assert run(*own, "steps=50", "hydra.run.dir=here") == 0
    assert run(*own, "steps=100", "hydra.run.dir=here", "resume=true") == 2
    problem = "cannot use the checkpoint at step 50: Saved.load_state_dict raised KeyError: 'counted'"
    assert f"error: resume {problem}\n" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR2, 140), (signal.SIGINT, 130)])
def test_signal_ends_a_run_after_a_step_and_the_same_command_resumes_it(
    number: int, code: int, tmp_path: Path, run: Any
) -> None:
    arguments = [*QUICK, "steps=40000", "engine=torch", "hydra.run.dir=here", "resume=auto"]
    running = start(tmp_path, *arguments)
    while not (lock.read(tmp_path / "here") or {}).get("step"):  # slow is allowed, ended is not
        assert running.is_alive()
        time.sleep(0.05)
    os.kill(running.pid or 0, number)
    running.join(60)
    assert running.exitcode == code
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert summary["status"] == "interrupted" and 0 < summary["steps"] < 40000
    assert not (tmp_path / "here" / "running.json").exists()
    found, bad = newest_good(tmp_path / "here" / "checkpoints")
    assert found is not None and found.step == summary["steps"] and not bad


def test_diverged_run_writes_a_checkpoint_of_its_state(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "optimizer=sgd", "optimizer.policy.lr=1e15", "optimizer.value.lr=1e15", "steps=300") == 1
    output = capfd.readouterr().err
    assert "diverged: the agent's" in output and "try a smaller step size" in output
    (folder,) = tmp_path.glob("runs/*/*/*")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "diverged" and list(summary["diverged_lives"]) == ["0"]
    evidence, _ = newest_good(folder / "diverged")
    assert evidence is not None
    assert any(not tensor.isfinite().all() for tensor in evidence.parts["agent"].values() if tensor.is_floating_point())


def test_full_disk_skips_a_checkpoint_with_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Agent:
        def capture(self) -> dict[str, torch.Tensor]:
            return {"weight": torch.zeros(3)}

        def restore(self, state: Any) -> None: ...

        def reset_episode(self) -> None: ...

    class Env:
        def capture(self) -> dict[str, Any]:
            return {"rows": np.zeros(2)}

    settings = CheckpointSettings(10, None, 2, 0)
    callback = Checkpoints(settings, tmp_path / "gone", 100, Env(), lambda: False, dict)  # type: ignore[arg-type]
    record = Record()
    for _ in range(30):
        record.add(1.0)
        if record.step % 10 == 0:
            callback.call([record], Agent())  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("warning: cannot write a checkpoint") == 1
    (tmp_path / "gone").mkdir()
    for _ in range(10):
        record.add(1.0)
    callback.call([record], Agent())  # type: ignore[arg-type]
    assert [int(path.name.split("-")[1]) for path in (tmp_path / "gone" / CHECKPOINTS).iterdir()] == [40]
    assert os.listdir(tmp_path / "gone") == [CHECKPOINTS]


@pytest.mark.parametrize(("how", "lifetimes", "step"), [("raise", 1, 49), ("reset", 1, 50), ("raise", 2, 49)])
def test_run_whose_env_failed_continues_with_what_was_learned(
    how: str, lifetimes: int, step: int, run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ["env=gymnasium", "env.id=tests.toy_envs:Broken-v0", f"lifetimes={lifetimes}", "network.hidden=[8]"]
    whole = [*broken, f"+env.kwargs.how={how}", "steps=80", "hydra.run.dir=run"]
    assert run(*whole) == 1
    assert run(*broken, "+env.kwargs.how=well", f"steps={step}", "hydra.run.dir=short") == 0
    learned, expected = (newest_good(tmp_path / name / CHECKPOINTS)[0] for name in ("run", "short"))
    assert learned is not None and expected is not None and learned.step == expected.step == step
    same = {name: tensor.equal(expected.parts["agent"][name]) for name, tensor in learned.parts["agent"].items()}
    assert all(same.values()), [name for name in same if not same[name]]
    capsys.readouterr()
    assert run(*whole, "resume=auto") == 0
    assert f"resumed at step {step}, with a new episode" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("finished", 80)
    assert summary["resumed"] == [{"step": step, "new_episode": True}]


def test_run_without_a_checkpoint_says_that_it_begins_anew(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = [
        "checkpoint.every=null",
        "checkpoint.minutes=null",
        "network.hidden=[8]",
        "hydra.run.dir=run",
        "resume=auto",
    ]
    broken = ["env=gymnasium", "env.id=tests.toy_envs:Broken-v0", "steps=60", *none]
    said = "no checkpoint in "
    assert run(*broken) == 1
    assert said not in capsys.readouterr().out
    assert run(*broken) == 1
    assert f"{said}{tmp_path / 'run'}: the run begins at step 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (None, "state must be tensors by name, .*, got None"),
        ({"n": 5}, "state must be tensors by name, .*, got 5 as 'n'"),
    ],
)
def test_agent_with_a_state_of_another_kind_does_not_begin(state: Any, problem: str, tmp_path: Path) -> None:
    settings = {"agent": "random", "agent._target_": "tests.toy_envs.Remembering", "steps": 20, "logger": "none"}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match=problem):
        patch.setattr("tests.toy_envs.Remembering.capture", lambda self: state)
        tracerl.launch(settings, tmp_path)
    assert not (tmp_path / "checkpoints").exists()
