"""The command line as a user meets it, in processes of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]
QUICK = ("steps=300", "network.hidden=[8]")


def command(*overrides: str) -> list[str]:
    return [sys.executable, "-W", "error::DeprecationWarning:tracerl", "-m", "tracerl.run", *overrides]


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # for the test envs: env.id=tests.worlds:...
    return subprocess.run(command(*overrides), cwd=folder, env=environment, capture_output=True, text=True)


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_the_main_job_leaves_a_summary_curves_and_its_config(tmp_path: Path) -> None:
    result = run(tmp_path, "env=CartPole", "steps=2000", "network.hidden=[8]", "logger.every=500")
    path = Path(last_line(result))
    assert re.fullmatch(r"runs/CartPole/reflect/[\d_-]+-[0-9a-f]{6}/summary\.json", str(path.relative_to(tmp_path)))
    summary = json.loads(path.read_text())
    assert set(summary) >= {
        *("env", "agent", "engine", "device", "seed", "lifetimes", "steps", "episodes", "steps_per_second"),
        *("wall_seconds", "return_last100", "reward_rate_last10000", "milestones", "peak_rss_mb", "version", "status"),
    }
    expected = {"env": "CartPole", "agent": "reflect", "engine": "fused", "steps": 2000, "status": "finished"}
    assert {key: summary[key] for key in expected} == expected
    assert set(summary["milestones"]) == {"w20>=195", "w20>=475", "w100>=475"}
    assert summary["episodes"] > 0 and len(summary["return_last100"]["per_life"]) == 1
    assert yaml.safe_load((path.parent / "config.yaml").read_text())["agent"]["network"]["hidden"] == [8]
    events = EventAccumulator(str(path.parent)).Reload()
    for tag in ("rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "learn/td_error", "learn/entropy"):
        assert [point.step for point in events.Scalars(tag)] == [500, 1000, 1500, 2000], tag
    assert {"spikes/policy_0_rate", "spikes/value_0_silent"} <= set(events.Tags()["scalars"])
    assert f"tensorboard --logdir {path.parent}" in result.stdout
    assert "engine: fused" in result.stdout.splitlines()
    assert "2,000/2,000 steps" in result.stderr  # plain lines where there is no terminal


def test_engines_can_be_chosen_and_auto_says_why_not(tmp_path: Path) -> None:
    assert "engine: torch\n" in run(tmp_path, *QUICK, "engine=torch", "logger=none").stdout
    reason = "engine: torch (not fused: it has no torch.optim optimisers)"
    assert reason in run(tmp_path, *QUICK, "optimizer=torch", "logger=none").stdout
    without = run(tmp_path, "agent=rstdp", "steps=20", "logger=none")
    assert "engine: torch (not fused: agent=rstdp has no kernels)" in without.stdout
    assert json.loads(Path(last_line(without)).read_text())["engine"] == "torch"


def test_many_lives_and_their_statistics(tmp_path: Path) -> None:
    shared = ("steps=2000", "network.hidden=[8]", "logger.every=500", "lifetimes=3", "seed=5")
    result = run(tmp_path, *shared)
    path = Path(last_line(result))
    summary = json.loads(path.read_text())
    assert (summary["lifetimes"], summary["steps"], summary["seed"]) == (3, 2000, 5)
    found = summary["return_last100"]
    assert found["ci_low"] <= found["iqm"] <= found["ci_high"]
    assert [len(reached) for reached in summary["milestones"].values()] == [3, 3, 3]
    with np.load(path.parent / "returns.npz") as episodes:
        assert len(episodes["life"]) == summary["episodes"]
        for life in range(3):
            last = episodes["return"][episodes["life"] == life][-100:]
            assert found["per_life"][life] == pytest.approx(last.mean())
    events = EventAccumulator(str(path.parent)).Reload()
    assert [point.step for point in events.Scalars("lives/return_ci_high")] == [500, 1000, 1500, 2000]
    assert "seeds 5-7, 3 lives of 2,000 steps" in result.stdout
    compiled = json.loads(Path(last_line(run(tmp_path, *shared, "env.backend=compiled", "threads=1"))).read_text())
    assert compiled["return_last100"] == found
    alone = json.loads(Path(last_line(run(tmp_path, *shared, "lifetimes=1", "seed=7"))).read_text())
    assert alone["return_last100"]["mean"] == found["per_life"][2]


def test_a_life_of_one_endless_episode_reports_what_a_step_earns(tmp_path: Path) -> None:
    result = run(tmp_path, "env=CartPoleForever", "agent=random", "steps=3000", "logger.every=1000")
    path = Path(last_line(result))
    summary = json.loads(path.read_text())
    assert (summary["episodes"], summary["return_last100"]["mean"], summary["steps"]) == (0, None, 3000)
    rate = summary["reward_rate_last10000"]["mean"]
    assert 1 / 30 < -rate < 1 / 15  # a fall every 22 steps, by chance
    points = EventAccumulator(str(path.parent)).Reload().Scalars("rollout/reward_rate")
    assert [point.step for point in points] == [1000, 2000, 3000] and points[-1].value == pytest.approx(rate)
    assert f"mean reward of the last 10,000 steps: {rate:.5f}" in result.stdout
    assert f"3,000/3,000 steps, reward {rate:.4f} a step" in result.stderr


def test_agents_without_an_axis_of_lives_live_many_too(tmp_path: Path) -> None:
    path = last_line(run(tmp_path, "env=Pendulum", "agent=random", "steps=400", "lifetimes=2"))
    assert json.loads(Path(path).read_text())["episodes"] == 4


def test_the_folder_can_be_chosen(tmp_path: Path) -> None:
    target = tmp_path / "a folder"
    assert last_line(run(tmp_path, *QUICK, f"hydra.run.dir='{target}'")) == str(target / "summary.json")


def test_a_sweep_gives_each_job_its_folder(tmp_path: Path) -> None:
    result = run(tmp_path, "-m", *QUICK, "logger=none", "seed=0,1", "agent.trace_decay=0.8,0.95")
    assert result.returncode == 0, result.stderr
    summaries = sorted(tmp_path.glob("runs/sweeps/*/*/summary.json"))
    assert [path.parent.name for path in summaries] == ["0", "1", "2", "3"]
    settings = [yaml.safe_load((path.parent / "config.yaml").read_text()) for path in summaries]
    assert {(s["seed"], s["agent"]["trace_decay"]) for s in settings} == {(0, 0.8), (0, 0.95), (1, 0.8), (1, 0.95)}


def test_a_job_of_a_sweep_equals_the_single_run(tmp_path: Path) -> None:
    run(tmp_path, "-m", *QUICK, "logger=none", "seed=0,1")
    alone = Path(last_line(run(tmp_path, *QUICK, "logger=none", "seed=1")))
    (swept,) = tmp_path.glob("runs/sweeps/*/1/summary.json")
    assert json.loads(alone.read_text())["return_last100"] == json.loads(swept.read_text())["return_last100"]


def test_a_job_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    result = run(tmp_path, "-m", *QUICK, "logger=none", "network.threshold=-1,0.25")
    assert result.returncode == 1
    assert "network.threshold must be" in result.stderr
    assert [path.parent.name for path in tmp_path.glob("runs/sweeps/*/*/summary.json")] == ["1"]
    (error,) = tmp_path.glob("runs/sweeps/*/*/error.txt")
    assert error.parent.name == "0" and "network.threshold must be" in error.read_text()


def test_a_folder_has_one_run_and_the_same_command_goes_on_with_it(tmp_path: Path) -> None:
    arguments = (*QUICK, "logger=none", "hydra.run.dir=here")
    summary = Path(last_line(run(tmp_path, *arguments)))
    lived_at = summary.stat().st_mtime_ns
    result = run(tmp_path, *arguments)
    assert result.returncode == 2 and "hydra.run.dir holds a run already" in result.stderr
    assert last_line(run(tmp_path, *arguments, "resume=true")) == f"finished before: {summary}"
    assert summary.stat().st_mtime_ns == lived_at
    result = run(tmp_path, *arguments, "resume=true", "seed=1")
    assert result.returncode == 2 and "seed must be 0, as in the run to be gone on with" in result.stderr


def test_random_agents_take_any_env(tmp_path: Path) -> None:
    path = last_line(run(tmp_path, "env=gymnasium", "env.id=Pendulum-v1", "agent=random", "steps=500"))
    assert json.loads(Path(path).read_text())["episodes"] == 2


def test_help_shows_uses_choices_and_settings(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")
    assert result.returncode == 0
    for part in ("python -m tracerl.run env=CartPole", "MountainCar", "adaptive_obgd", "trace_decay: 0.95"):
        assert part in result.stdout
    assert not list(tmp_path.iterdir())


def test_interrupted_runs_end_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("steps=100000", "engine=torch", "logger.every=500"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    events: list[Path] = []
    while time.monotonic() < deadline and not (events and events[0].stat().st_size > 8000):
        time.sleep(0.1)
        events = list(tmp_path.glob("runs/CartPole/reflect/*/events*"))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    summary = json.loads(Path(output.strip().splitlines()[-1]).read_text())
    assert summary["status"] == "interrupted"
    assert 500 <= summary["steps"] < 100000
    curve = EventAccumulator(str(events[0].parent)).Reload().Scalars("learn/entropy")
    assert curve[-1].step == summary["steps"]


@pytest.mark.parametrize(
    ("how", "lifetimes", "status", "steps", "message"),
    [
        ("raise", 1, "failed", 49, "the env failed in step 50: RuntimeError: the simulator lost its head"),
        ("reset", 1, "failed", 50, "the env failed in reset after 50 steps: RuntimeError: the simulator lost"),
        ("observation", 1, "diverged", 49, "env handed out nan in the observation"),
        ("shape", 1, "failed", 49, "env handed out an observation of shape (3,) after 49 steps"),
        ("reward", 1, "diverged", 49, "env handed out the reward nan"),
        ("two", 1, "failed", 49, "env handed out the reward array([1., 1.]) in step 50: TypeError"),
        ("reset", 2, "failed", 50, "an env failed in reset after 50 steps: RuntimeError: the simulator lost"),
        ("infinity", 2, "diverged", 49, "env handed out the reward inf in step 50 of life 0"),
    ],
)
def test_a_broken_env_leaves_a_summary_and_one_line(
    tmp_path: Path, how: str, lifetimes: int, status: str, steps: int, message: str
) -> None:
    world = ("env=gymnasium", "env.id=tests.worlds:Broken-v0", f"+env.kwargs.how={how}", f"lifetimes={lifetimes}")
    result = run(tmp_path, *world, "network.hidden=[8]", "logger=none")
    assert result.returncode == 1
    hydras, ours = result.stderr.splitlines()
    assert hydras.startswith("Error executing job with overrides") and ours.startswith(f"error: {status}: {message}")
    (path,) = tmp_path.glob("runs/*/reflect/*/summary.json")
    summary = json.loads(path.read_text())
    assert (summary["status"], summary["steps"], summary["episodes"]) == (status, steps, lifetimes * (steps // 10))
    assert message in summary["error"]
    assert "Traceback" in (path.parent / "error.txt").read_text()


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_an_env_that_cannot_be_closed_costs_a_warning(tmp_path: Path, lifetimes: int) -> None:
    world = ("env=gymnasium", "env.id=tests.worlds:Broken-v0", "+env.kwargs.how=close", f"lifetimes={lifetimes}")
    result = run(tmp_path, *world, "agent=random", "steps=60", "logger=none")
    assert json.loads(Path(last_line(result)).read_text())["status"] == "finished"
    assert "warning: the env failed to close: RuntimeError: the simulator does not let go" in result.stderr
    assert "Traceback" not in result.stderr


BAD = {
    "env=CartPol": "Could not find 'env/CartPol'\nThere are: Acrobot, Ant, ",
    "evn=CartPole": "Did you mean env?",
    "agent=reflec": "random",
    "optimizer=adam": "adaptive_obgd",
    "agent.trace_decy=0.9": "Did you mean agent.trace_decay?",
    "seed.first=3": "seed is a value, there is no seed.first in it",
    "netwrk.hidden=[8]": "Did you mean network?",
    "+agent.foo=1": "agent.foo does not exist",
    "agent.trace_decay=high": "agent.trace_decay must be a number in [0, 1], got 'high'",
    "network.threshold=-0.5": "network.threshold must be",
    "optimizer.value.eta=0": "optimizer.value.eta must be a number above 0",
    "encoder.clip=-1": "encoder.clip must be",
    "logger.every=0": "logger.every must be",
    "steps=0": "steps must be a whole number of 1 or above, got 0",
    "steps=many": "steps must be",
    "seed=-1": "seed must be",
    "device=gpu": "device must be",
    "network=conv": "network.channels needs observations of two or three dimensions, got shape (4,)",
    "engine=numpy": "engine must be one of auto, torch, fused",
    "engine=fused optimizer=torch": "engine cannot be fused: it has no torch.optim optimisers",
    "network.credit=bptt": "network.credit must be one of otpe, presynaptic, exact",
    "network=graph network.edges=[[input,late]]": "network.edges must have one to output",
    "agent=rstdp agent.stdp.lr=0": "agent.stdp.lr must be",
    "agent=eprop agent.value_weight=0": "agent.value_weight must be a number above 0",
    "agent=reflect_classic agent.decays=0.9": "agent.decays must be a list",
    "encoder=latency": "network.ticks must be 2 or above for the encoder latency",
    "encoder=rate agent=stream_ac": "encoder must not be rate: this agent has no ticks for a code in time",
    "engine=fused agent=eprop": "engine cannot be fused: agent=eprop has no kernels",
    "engine=fused agent=random": "engine cannot be fused: agent=random has no kernels",
    "lifetimes=0": "lifetimes must be a whole number of 1 or above, got 0",
    "lifetimes=2 seed=4294967295": "seed must be a whole number from 0 to 4294967294",
    "threads=none": "threads must be",
    "env.backend=gpu": "env.backend must be one of gymnasium, compiled",
    "env.backend=compiled engine=torch": "env.backend must be gymnasium where the engine is not fused",
    "env.backend=compiled agent=random": "this agent has no kernels",
    "env.backend=compiled optimizer=torch": "it has no torch.optim optimisers",
    "env.backend=compiled env=gymnasium env.id=LunarLander-v3": "env.backend must be gymnasium for LunarLander-v3",
    "env.backend=compiled +env.kwargs.sutton_barto_reward=true": "env.kwargs must be empty with backend=compiled",
    "env.vectorization=async": "env.vectorization must be one of sync, native",
    "env.vectorization=native": "env.vectorization must be sync for one life",
    "env.vectorization=native lifetimes=2 env=Acrobot": "env.vectorization must be sync: Acrobot-v1 has no vector form",
    "dtype=int8": "dtype must be one of float32, float64",
    "env=gymnasium": "env.id must be given",
    "env=gymnasium env.id=NoSuch-v0": "env.id must be an env that Gymnasium can make",
    "env=gymnasium env.id=nosuchmodule:Env-v0": "env.id must be",
    "env=gymnasium env.id=Pendulum-v1 agent=rstdp": "env must have a Discrete action space",
    "env=gymnasium env.id=tests.worlds:Words-v0": (
        "env must have observations of a Box, Discrete, MultiBinary or MultiDiscrete space, or a Dict or Tuple of these"
        " for this agent, got Dict('said': Text("
    ),
    "env.kwargs.wind=3": "env.kwargs must suit CartPole-v1",
    "env=ContextualBandit env.kwargs.contexts=1": "contexts must be a whole number of 2 or above, got 1",
    "env.wrappers=[{_target_:gymnasium.wrappers.ClipReward,min_reward:-1}]": "env.wrappers.0 cannot be built",
    "env.wrappers=[{_target_:gymnasium.wrappers.ClipReward,_partial_:true,low:-1}]": "env.wrappers.0 must suit",
    "env.wrappers=[no]": "env.wrappers must be a list such as [{_target_: ..., _partial_: true}]",
    "env.backend=compiled env.wrappers=[{_target_:gymnasium.wrappers.ClipReward,_partial_:true}]": "env.wrappers must",
    "env.vectorization=native lifetimes=2 env.wrappers=[{_target_:gymnasium.wrappers.ClipReward,_partial_:true}]": (
        "env.wrappers must be empty with vectorization=native"
    ),
    "env.time_aware=1": "env.time_aware must be true or false",
    "env.time_aware=true env.backend=compiled": "env.time_aware must be false with backend=compiled",
    "env.time_aware=true env.vectorization=native lifetimes=2": "env.time_aware must be false with vector",
    "env.time_aware=true env=CartPoleForever": "env.time_aware must be false for CartPole-v1: it has no time limit",
    "env.time_aware=true env=gymnasium env.id=tests.worlds:Image-v0": "env.time_aware must be false where",
    "env=CartPoleForever env.kwargs.max_episode_steps=9": "env.wrappers.0 must suit CartPole-v1: NeverReset needs",
    "env=CartPolePositions env.wrappers.0.hidden=[9]": "hidden must be a whole number from 0 to 3, got 9",
    "env=CartPoleDrift env.wrappers.0.every=0": "every must be a whole number of 1 or above, got 0",
    "env.extra=sky env.id=nosuchmodule:Env-v0": 'pip install "tracerl[sky]"',
    "env.milestones=[soon]": "env.milestones must look like",
    "agent=random network=dense": "there is no network",
    "hydra.run.dir=/dev/null/runs": "hydra.run.dir must be a folder that can be written",
}


@pytest.mark.parametrize("overrides", BAD)
def test_bad_input_is_named_on_one_screen(tmp_path: Path, overrides: str) -> None:
    result = run(tmp_path, *overrides.split(" "))
    expected = BAD[overrides]
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 20
    assert not list(tmp_path.glob("runs/**/summary.json"))
