"""The command line, in a new process where that could matter."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import forks, helpers
from tracerl.runs import lock
from tracerl.runs.saved_run import load

ROOT = Path(__file__).parents[1]
QUICK = ("steps=300", "network.hidden=[8]")

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


def command(*overrides: str) -> list[str]:
    return [sys.executable, "-W", "error::DeprecationWarning:tracerl", "-m", "tracerl.run", *overrides]


def run(folder: Path, *overrides: str) -> Result:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # for the test envs: env.id=tests.toy_envs:...
    return subprocess.run(command(*overrides), cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return ``run`` in this process, which saves the seconds of importing everything."""

    def run_in_this_process(*overrides: str) -> Result:
        capfd.readouterr()
        code = helpers.command([*overrides], monkeypatch, tmp_path)
        return subprocess.CompletedProcess(overrides, code, *capfd.readouterr())

    return run_in_this_process


def last_line(result: Result) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_main_job_writes_a_summary_curves_and_its_config(tmp_path: Path) -> None:
    result = run(tmp_path, "env=CartPole", "steps=2000", "network.hidden=[8]", "logger.every=500")
    path = Path(last_line(result))
    assert re.fullmatch(r"runs/CartPole/reflect/[\d_-]+-[0-9a-f]{6}/summary\.json", str(path.relative_to(tmp_path)))
    summary = json.loads(path.read_text())
    assert set(summary) >= {
        *("env", "agent", "engine", "device", "seed", "lifetimes", "steps", "episodes", "steps_per_second"),
        *("wall_seconds", "return_last100", "reward_rate_last10000", "milestones", "peak_rss_mb", "version", "status"),
        *("machine", "ended"),
    }
    expected = {"env": "CartPole", "agent": "reflect", "engine": "fused", "steps": 2000, "status": "finished"}
    assert {key: summary[key] for key in expected} == expected
    assert set(summary["milestones"]) == {"w20>=195", "w20>=475", "w100>=475"}
    assert summary["episodes"] > 0 and len(summary["return_last100"]["per_life"]) == 1
    assert yaml.safe_load((path.parent / "config.yaml").read_text())["agent"]["network"]["hidden"] == [8]
    events = EventAccumulator(str(path.parent)).Reload()
    for tag in ("rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "learn/td_error", "learn/entropy"):
        assert [point.step for point in events.Scalars(tag)] == [500, 1000, 1500, 2000], tag
    assert {"spikes/policy_0_rate", "spikes/policy_0_silent"} <= set(events.Tags()["scalars"])
    assert f"tensorboard --logdir {path.parent}" in result.stdout
    assert "engine: fused" in result.stdout.splitlines()
    assert "2,000/2,000 steps" in result.stderr  # plain lines without a terminal


def test_engine_is_selectable_and_auto_gives_its_reason(run_here: Run) -> None:
    assert "engine: torch\n" in run_here(*QUICK, "engine=torch", "logger=none").stdout
    reason = "engine: torch (not fused: it has no torch.optim optimisers)"
    assert reason in run_here(*QUICK, "optimizer=torch", "logger=none").stdout
    without = run_here("agent=rstdp", "steps=20", "logger=none")
    assert "engine: torch (not fused: agent=rstdp has no kernels)" in without.stdout
    assert json.loads(Path(last_line(without)).read_text())["engine"] == "torch"


def test_run_of_many_lifetimes_writes_their_statistics(run_here: Run) -> None:
    shared = ("steps=2000", "network.hidden=[8]", "logger.every=500", "lifetimes=3", "seed=5")
    result = run_here(*shared)
    path = Path(last_line(result))
    summary = json.loads(path.read_text())
    assert (summary["lifetimes"], summary["steps"], summary["seed"]) == (3, 2000, 5)
    found = summary["return_last100"]
    assert found["ci_low"] <= found["iqm"] <= found["ci_high"]
    assert [len(reached) for reached in summary["milestones"].values()] == [3, 3, 3]
    with np.load(path.parent / "returns.npz") as episodes:
        assert len(episodes["life"]) == summary["episodes"]
        for lifetime in range(3):
            last = episodes["return"][episodes["life"] == lifetime][-100:]
            assert found["per_life"][lifetime] == pytest.approx(last.mean())
    events = EventAccumulator(str(path.parent)).Reload()
    assert [point.step for point in events.Scalars("lives/return_ci_high")] == [500, 1000, 1500, 2000]
    assert "seeds 5-7, 3 lifetimes of 2,000 steps" in result.stdout
    compiled = json.loads(Path(last_line(run_here(*shared, "env.backend=compiled", "threads=1"))).read_text())
    assert compiled["return_last100"] == found
    alone = json.loads(Path(last_line(run_here(*shared, "lifetimes=1", "seed=7"))).read_text())
    assert alone["return_last100"]["mean"] == found["per_life"][2]


def test_lifetime_without_episodes_reports_its_reward_rate(run_here: Run) -> None:
    result = run_here("env=CartPoleForever", "agent=random", "steps=3000", "logger.every=1000")
    path = Path(last_line(result))
    summary = json.loads(path.read_text())
    assert (summary["episodes"], summary["return_last100"]["mean"], summary["steps"]) == (0, None, 3000)
    rate = summary["reward_rate_last10000"]["mean"]
    assert 1 / 30 < -rate < 1 / 15  # at random a fall every 22 steps
    points = EventAccumulator(str(path.parent)).Reload().Scalars("rollout/reward_rate")
    assert [point.step for point in points] == [1000, 2000, 3000] and points[-1].value == pytest.approx(rate)
    assert f"mean reward of the last 10,000 steps: {rate:.5f}" in result.stdout
    assert f"3,000/3,000 steps, reward {rate:.4f} a step" in result.stderr


def test_agents_without_a_lifetimes_axis_run_many_lifetimes(run_here: Run) -> None:
    path = last_line(run_here("env=Pendulum", "agent=random", "steps=400", "lifetimes=2"))
    assert json.loads(Path(path).read_text())["episodes"] == 4


def test_run_folder_is_selectable(run_here: Run, tmp_path: Path) -> None:
    target = tmp_path / "a folder"
    assert last_line(run_here(*QUICK, f"hydra.run.dir='{target}'")) == str(target / "summary.json")


def test_each_job_of_a_sweep_has_its_folder(tmp_path: Path) -> None:
    result = forks.run(tmp_path, "-m", *QUICK, "logger=none", "seed=0,1", "agent.trace_decay=0.8,0.95")
    assert result.returncode == 0, result.stderr
    summaries = sorted(tmp_path.glob("runs/sweeps/*/*/summary.json"))
    assert [path.parent.name for path in summaries] == ["0", "1", "2", "3"]
    settings = [yaml.safe_load((path.parent / "config.yaml").read_text()) for path in summaries]
    assert {(s["seed"], s["agent"]["trace_decay"]) for s in settings} == {(0, 0.8), (0, 0.95), (1, 0.8), (1, 0.95)}


def test_job_of_a_sweep_equals_the_single_run(tmp_path: Path) -> None:
    forks.run(tmp_path, "-m", *QUICK, "logger=none", "seed=0,1")
    alone = Path(last_line(forks.run(tmp_path, *QUICK, "logger=none", "seed=1")))
    (swept,) = tmp_path.glob("runs/sweeps/*/1/summary.json")
    assert json.loads(alone.read_text())["return_last100"] == json.loads(swept.read_text())["return_last100"]


def test_failed_job_does_not_stop_the_others(tmp_path: Path) -> None:
    result = forks.run(tmp_path, "-m", *QUICK, "logger=none", "network.threshold=-1,0.25")
    assert result.returncode == 1
    assert "network.threshold must be" in result.stderr
    assert [path.parent.name for path in tmp_path.glob("runs/sweeps/*/*/summary.json")] == ["1"]
    (error,) = tmp_path.glob("runs/sweeps/*/*/error.txt")
    assert error.parent.name == "0" and "network.threshold must be" in error.read_text()


def test_folder_has_one_run_and_the_same_command_resumes_it(run_here: Run) -> None:
    arguments = (*QUICK, "logger=none", "hydra.run.dir=here")
    summary = Path(last_line(run_here(*arguments)))
    written_at = summary.stat().st_mtime_ns
    result = run_here(*arguments)
    assert result.returncode == 2 and "hydra.run.dir already holds a run" in result.stderr
    assert last_line(run_here(*arguments, "resume=true")) == f"finished before: {summary}"
    assert summary.stat().st_mtime_ns == written_at
    result = run_here(*arguments, "resume=true", "seed=1")
    assert result.returncode == 2 and "seed must be 0, as in the run to resume" in result.stderr


def test_settings_that_are_not_finite_are_in_checkpoints(run_here: Run, tmp_path: Path) -> None:
    clip = "{_target_: gymnasium.wrappers.ClipReward, _partial_: true, min_reward: -1, max_reward: inf}"
    unused = "{_target_: gymnasium.wrappers.TimeAwareObservation, _partial_: true, dict_time_key: nan}"
    last_line(run_here(f"env.wrappers=[{clip}, {unused}]", "agent=random", "steps=100", "hydra.run.dir=here"))
    last_line(run_here("resume=here", "steps=200"))
    (tmp_path / "here" / "config.yaml").unlink()  # the settings are then compared with those of the checkpoint
    result = run_here("resume=here", "steps=300")
    assert "resumed at step 200" in result.stdout and json.loads(Path(last_line(result)).read_text())["steps"] == 300
    assert load(tmp_path / "here").config.env.wrappers[0].max_reward == math.inf
    result = run_here("resume=here", "steps=400", f"env.wrappers=[{clip.replace('inf', '-1')}, {unused}]")
    assert result.returncode == 2 and re.search(
        r"error: env.wrappers must be .*'max_reward': inf.*, got", result.stderr
    )


def test_run_ends_and_stops_writing_after_another_took_its_folder(
    run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    monkeypatch.setattr(lock.RunLock, "_is_lost", lambda self: True)
    result = run_here("agent=random", "steps=1000000", "logger=none", "hydra.run.dir=here")
    assert result.returncode == 2 and "error: hydra.run.dir was taken over by process" in result.stderr
    left = {path.name for path in (tmp_path / "here").iterdir()}
    assert left.isdisjoint({"summary.json", "error.txt", "returns.npz", "checkpoints"})


@pytest.mark.parametrize("steps", ["steps=3e1", "env.steps=3e1"])
def test_steps_may_be_written_with_an_exponent(run_here: Run, tmp_path: Path, steps: str) -> None:
    run_here("env=CartPole", "agent=q_lambda", "network.hidden=[2]", "engine=torch", steps, "hydra.run.dir=here")
    config = yaml.safe_load((tmp_path / "here" / "config.yaml").read_text())
    assert config["steps"] == 30 and isinstance(config["steps"], int)


def test_random_agent_runs_in_any_env(run_here: Run) -> None:
    path = last_line(run_here("env=gymnasium", "env.id=Pendulum-v1", "agent=random", "steps=500"))
    assert json.loads(Path(path).read_text())["episodes"] == 2


def test_help_shows_usage_choices_and_settings(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")
    assert result.returncode == 0
    discount = "  discount: ${tracerl.input:{vectors:[0.99,0.995],images:0.99}}\n"
    for part in ("python -m tracerl.run env=CartPole", "MountainCar", "adaptive_obgd", discount, "--trust"):
        assert part in result.stdout
    assert not list(tmp_path.iterdir())


def entropies(folder: Path) -> list[Any]:
    """Return the points of a curve of the only run in a folder."""
    for events in folder.glob("runs/CartPole/reflect/*/events*"):
        found = EventAccumulator(str(events.parent)).Reload()
        return list(found.Scalars("learn/entropy")) if "learn/entropy" in found.Tags()["scalars"] else []
    return []


def test_interrupted_runs_write_their_summary(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("steps=100000", "engine=torch", "logger.every=500"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (curve := entropies(tmp_path)):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    summary = json.loads(Path(output.strip().splitlines()[-1]).read_text())
    assert summary["status"] == "interrupted"
    assert 500 <= summary["steps"] < 100000
    assert curve and entropies(tmp_path)[-1].step == summary["steps"]


@pytest.mark.parametrize(
    ("how", "lifetimes", "status", "steps", "message"),
    [
        ("raise", 1, "failed", 49, "the env failed in step 50: RuntimeError: the simulator failed"),
        ("reset", 1, "failed", 50, "the env failed in reset after 50 steps: RuntimeError: the simulator failed"),
        ("observation", 1, "diverged", 49, "the env returned nan in the observation"),
        ("shape", 1, "failed", 49, "the env returned an observation of shape (3,) after 49 steps"),
        ("reward", 1, "diverged", 49, "the env returned the reward nan"),
        ("two", 1, "failed", 49, "the env returned the reward array([1., 1.]) in step 50: TypeError"),
        (
            "reset",
            2,
            "failed",
            50,
            "the env of lifetime 0 failed in reset after 50 steps: RuntimeError: the simulator failed",
        ),
        ("infinity", 2, "diverged", 49, "the env returned the reward inf in step 50 of lifetime 0"),
        ("exit", 1, "failed", 49, "the env failed in step 50: SystemExit: 0"),
        ("exit_in_reset", 2, "failed", 50, "the env of lifetime 0 failed in reset after 50 steps: SystemExit: 0"),
    ],
)
def test_env_that_raises_leaves_a_summary_and_one_line(
    run_here: Run, tmp_path: Path, how: str, lifetimes: int, status: str, steps: int, message: str
) -> None:
    runner = ("env=gymnasium", "env.id=tests.toy_envs:Broken-v0", f"+env.kwargs.how={how}", f"lifetimes={lifetimes}")
    result = run_here(*runner, "network.hidden=[8]", "logger=none")
    assert result.returncode == 1
    hydras, ours = result.stderr.splitlines()[-2:]
    assert hydras.startswith("Error executing job with overrides")
    assert ours.startswith(f"error: {status}: ") and message in ours
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) <= 6
    (path,) = tmp_path.glob("runs/*/reflect/*/summary.json")
    summary = json.loads(path.read_text())
    assert (summary["status"], summary["steps"], summary["episodes"]) == (status, steps, lifetimes * (steps // 10))
    assert message in summary["error"]
    assert "Traceback" in (path.parent / "error.txt").read_text()


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_env_that_fails_to_close_raises_a_warning(run_here: Run, lifetimes: int) -> None:
    runner = ("env=gymnasium", "env.id=tests.toy_envs:Broken-v0", "+env.kwargs.how=close", f"lifetimes={lifetimes}")
    result = run_here(*runner, "agent=random", "steps=60", "logger=none")
    assert json.loads(Path(last_line(result)).read_text())["status"] == "finished"
    assert "warning: the env failed to close: RuntimeError: the simulator cannot be closed" in result.stderr
    assert "Traceback" not in result.stderr
