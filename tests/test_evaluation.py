"""Evaluating an agent, from Python and on the command line: the agent and its run stay as they are."""

import errno
import io
import json
import math
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

import tracerl
from tests.watching import made_runs
from tracerl.config.checks import ConfigError
from tracerl.eval import main
from tracerl.lifetime.evaluation import Evaluation, evaluate, frozen_copy

CHECKPOINT = "must be newest, best or the name of a folder in checkpoints (step-000000000100)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_runs(tmp_path_factory.mktemp("runs"))


def cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tracerl.eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def made(engine: str = "torch", **settings: Any) -> Any:
    shape = {"network.hidden": [8], "engine": engine, **settings}
    return tracerl.make_agent(tracerl.make_env("CartPole"), settings=shape)


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_evaluated_agent_continues_as_if_it_had_not_been(engine: str) -> None:
    agent, other = made(engine), made(engine)
    lifetimes = [tracerl.live(each, tracerl.make_env("CartPole"), 60) for each in (agent, other)]
    for lifetime in lifetimes:
        for _ in range(25):
            next(lifetime)
    first = evaluate(agent, tracerl.make_env("CartPole"), 4, seed=3)
    assert len(first.returns) == 4 and first.returns == first.lengths and first.steps == sum(first.lengths)
    again = evaluate(agent, tracerl.make_env("CartPole"), 4, seed=3)
    assert (again.returns, again.steps) == (first.returns, first.steps)
    rest = [[(step.action, step.reward) for step in lifetime] for lifetime in lifetimes]
    assert rest[0] == rest[1]
    for name, tensor in agent.capture().items():
        assert torch.equal(tensor, other.capture()[name])


def evaluated(at_once: int, **options: Any) -> Evaluation:
    agent = made("fused", **{"network.hidden": [8, 6], "encoder": "auto"})
    tracerl.live(agent, tracerl.make_env("CartPole"), 100).finish()
    return evaluate(agent, lambda: tracerl.make_env("CartPole"), 7, at_once=at_once, **options)


@pytest.mark.parametrize("options", [{}, {"greedy": True}, {"steps": 70}, {"steps": 3}], ids=str)
def test_result_does_not_depend_on_how_many_episodes_run_at_once(options: dict[str, Any]) -> None:
    one, three, seven = (evaluated(n, **options) for n in (1, 3, 7))
    assert one == three == seven and one.operations["policy"].spikes > 0
    assert (len(one.returns) == 7 and len(set(one.returns)) > 1) if "steps" not in options else len(one.returns) < 7
    assert one.steps == options.get("steps", sum(one.lengths))


def test_copies_act_together_and_their_envs_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    events, close, copies = list[str](), CartPoleEnv.close, list[int]()
    monkeypatch.setattr(CartPoleEnv, "close", lambda self: (events.append("closed"), close(self))[1])
    agent = made("fused")
    build = type(agent.built_from).copies
    monkeypatch.setattr(
        type(agent.built_from), "copies", lambda self, agent, n: (copies.append(n), build(self, agent, n))[1]
    )
    evaluate(agent, lambda: tracerl.make_env("CartPole"), 5, at_once=4)
    assert copies == [4] and events.count("closed") == 4


def test_episode_depends_on_its_number_and_the_seed_alone() -> None:
    agent = made()
    few, many, other = (evaluate(agent, tracerl.make_env("CartPole"), n, seed=s) for n, s in ((3, 0), (6, 0), (6, 1)))
    assert few.returns == many.returns[:3] and many.returns != other.returns


def test_copy_is_frozen_and_greedy_on_request() -> None:
    agent = made()
    copied = frozen_copy(agent, greedy=True)
    assert (copied.frozen, copied.head.greedy, agent.frozen, agent.head.greedy) == (True, True, False, False)
    sampled, greedy = (evaluate(agent, tracerl.make_env("CartPole"), 5, greedy=each) for each in (False, True))
    assert greedy.greedy and sampled.returns != greedy.returns


def test_agent_without_freeze_is_evaluated_as_it_is() -> None:
    env = tracerl.make_env("CartPole")
    assert len(evaluate(tracerl.make_agent(env, "random"), env, 3).returns) == 3


def test_numbers_of_an_evaluation() -> None:
    found = Evaluation([1.0, 2.0, 3.0, 10.0], [1, 2, 3, 4], 12, False)
    low, high = found.interval()
    assert (found.mean, found.iqm, found.mean_length) == (4.0, 2.5, 2.5) and 1 <= low < 4 < high <= 10
    numbers = found.as_dict()
    assert (numbers["lowest"], numbers["highest"], numbers["episodes"], numbers["steps"]) == (1.0, 10.0, 4, 12)
    none = Evaluation([], [], 7, False)
    assert math.isnan(none.mean) and math.isnan(none.mean_length) and none.as_dict()["mean"] is None
    json.dumps(none.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"episodes": 0}, "^episodes must be a whole number of 1 or above, got 0"),
        ({"greedy": 1}, "^greedy must be"),
        ({"seed": -1}, "^seed must be"),
        ({"steps": 0}, "^steps must be"),
        ({"at_once": 0}, "^at_once must be a whole number of 1 or above, got 0"),
    ],
)
def test_invalid_arguments_are_named(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        evaluate(made(), tracerl.make_env("CartPole"), **arguments)


def test_agents_that_cannot_be_evaluated_are_named() -> None:
    env = tracerl.make_env("CartPole")
    locked = tracerl.make_agent(env, "random")
    locked.lock = threading.Lock()
    for agent, problem in (
        ("reflect", "must have the methods start, step and end, got 'reflect'"),
        (type(locked), "must be an agent, got the class RandomAgent"),
        (locked, "must be one that copy.deepcopy can copy, got RandomAgent: TypeError: cannot pickle"),
    ):
        with pytest.raises(ConfigError, match=f"^agent {problem}"):
            evaluate(agent, env)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="^greedy needs an agent with a distribution"):
        evaluate(tracerl.make_agent(env, "random"), env, greedy=True)


def test_endless_episode_ends_at_the_limit_of_steps() -> None:
    found = evaluate(made(), tracerl.make_env("CartPoleForever"), 3, steps=20)
    assert (found.returns, found.steps) == ([], 20)


@pytest.mark.parametrize("name", ["CartPole", "CartPoleForever"])
def test_limit_of_steps_limits_the_steps_of_all_copies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, step = list[int](), CartPoleEnv.step
    monkeypatch.setattr(CartPoleEnv, "step", lambda self, action: (taken.append(1), step(self, action))[1])
    for steps, at_once, most in ((3, 30, 6), (5, 8, 16), (60, 8, 168), (200, 8, 560)):
        taken.clear()
        limits: Any = {"steps": steps, "at_once": at_once, "interrupted": lambda: len(taken) > most}
        found = evaluate(made("fused"), lambda: tracerl.make_env(name), 10**20, **limits)
        assert found.steps == steps <= len(taken) <= most


def test_command_line_evaluates_runs_and_writes_json(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    options = ["--episodes", 3, "--json", tmp_path / "a.json", "--engine", "torch"]
    assert cli(monkeypatch, run, run.parent / "random", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{run} lifetime 0, 100 steps old: 3 episodes, mean 8 [8, 8], IQM 8, 8 to 8, 24 steps")
    assert re.fullmatch(r"  policy, per decision: .* spikes, .* synaptic operations, .* without spikes", lines[1])
    assert lines[2].startswith("  value, per decision: 0 spikes, 0 synaptic operations, ")
    assert lines[3].startswith(f"{run.parent / 'random'}, 100 steps old: 3 episodes, mean ") and len(lines) == 4
    found = json.loads((tmp_path / "a.json").read_text())
    assert [entry["returns"] for entry in found][0] == [8.0, 8.0, 8.0] and found[0]["seed"] == 1_000_000
    assert found[0]["operations"]["policy"]["spikes"] > 0 and found[1]["operations"] == {}
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    every = ["--lifetime", "all", "--checkpoint", "best", "--greedy", "--seed", 5, "--env", "CartPole"]
    assert cli(monkeypatch, run, *every, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    runs = [line.split(",")[0] for line in lines if not line.startswith(" ")]
    assert runs == [f"{run} lifetime {i}" for i in range(2)]
    entries = json.loads((tmp_path / "a.json").read_text())
    assert [(entry["lifetime"], entry["seed"], entry["greedy"]) for entry in entries] == [(0, 5, True), (1, 5, True)]
    assert np.mean(entries[0]["returns"]) == entries[0]["mean"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--episodes", 0], "--episodes must be a whole number of 1 or above, got 0"),
        (["--at-once", 0], "--at-once must be a whole number of 1 or above, got 0"),
        (["--lifetime", 2], "--lifetime must be a whole number from 0 to 1, got 2"),
        (["--lifetime", "b"], "--lifetime must be the index of a lifetime or all, got 'b'"),
        (["--env", "Pendulum"], "--env must have the run's space of observations"),
        (["--engine", "fast"], "--engine must be one of auto, torch, fused"),
        (["--episode", 3], "unrecognized arguments: --episode"),
        (["--env", ""], "--env must be the name of an env, got ''"),
        (["--checkpoint", ""], f"--checkpoint {CHECKPOINT}, got ''"),
        (["--checkpoint", "/"], f"--checkpoint {CHECKPOINT}, got '/'"),
        (["--checkpoint", "a" * 300], f"--checkpoint {CHECKPOINT}, got 'aaa"),
        (["--json", "/proc/none/a.json"], "got '/proc/none/a.json': there is no folder /proc/none"),
        (["--json", "a" * 300], "--json must be a file that can be written, got 'aaa"),
        (["--json", ""], "must be a path, got ''"),
        (["--json", "/proc/a.json", "--episodes", 1], "No such file or directory"),
    ],
)
def test_wrong_options_are_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[Any], problem: str
) -> None:
    assert cli(monkeypatch, run, *arguments) == (1 if "/proc/a.json" in arguments else 2)
    assert problem in capsys.readouterr().err


def test_file_that_cannot_be_written_is_named_before_the_evaluation(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    assert cli(monkeypatch, run, "--json", tmp_path / "a.json") == 2
    assert capsys.readouterr() == (
        "",
        f"error: --json must be a file that can be written, got '{tmp_path}/a.json': {tmp_path} cannot be written\n",
    )
    (tmp_path / "full").symlink_to("/dev/full")
    assert cli(monkeypatch, run, "--json", tmp_path / "full", "--episodes", 1, "--engine", "torch") == 1
    assert capsys.readouterr().err == f"error: [Errno 28] No space left on device: '{tmp_path}/full'\n"


def test_closed_stdout_does_not_cost_the_json(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("os.dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", Closed())
    options = ["--episodes", 1, "--engine", "torch", "--json", tmp_path / "a.json"]
    assert cli(monkeypatch, run, *options) == 141 and capsys.readouterr().err == ""
    assert json.loads((tmp_path / "a.json").read_text())[0]["returns"] == [8.0]


def test_failed_env_does_not_cost_the_earlier_evaluations(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, step = iter(range(10**6)), CartPoleEnv.step
    monkeypatch.setattr(CartPoleEnv, "step", lambda self, action: step(self, action if next(calls) < 12 else 7))
    options = ["--lifetime", "all", "--episodes", 1, "--engine", "torch", "--json", tmp_path / "a.json"]
    assert cli(monkeypatch, run, *options) == 1
    assert [entry["lifetime"] for entry in json.loads((tmp_path / "a.json").read_text())] == [0]


def test_interrupt_keeps_the_episodes_until_then(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls, step = iter(range(10**6)), CartPoleEnv.step

    def interrupting(self: CartPoleEnv, action: Any) -> Any:
        if next(calls) == 20:
            signal.raise_signal(signal.SIGINT)
        return step(self, action)

    monkeypatch.setattr(CartPoleEnv, "step", interrupting)
    assert cli(monkeypatch, run, "--engine", "torch") == 130
    assert "2 episodes, mean 8 [8, 8]" in capsys.readouterr().out
