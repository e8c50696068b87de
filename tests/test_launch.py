"""Calls of ``sys.exit`` inside a run (in the env, its wrappers or the agent), and callbacks that end it."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers import compose
from tests.test_run import Run, last_line, run_here
from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.record import Record
from tracerl.runs.launch import RunOrigin, launch

__all__ = ["run_here"]  # the fixture

BROKEN = ("env=gymnasium", "env.id=tests.toy_envs:Broken-v0", "agent=random")
QUITTING = ("agent=random", "agent._target_=tests.toy_envs.Quitting")


def test_env_that_calls_exit_in_close_raises_a_warning(run_here: Run) -> None:
    result = run_here(*BROKEN, "+env.kwargs.how=exit_in_close", "steps=60", "logger=none")
    assert json.loads(Path(last_line(result)).read_text())["status"] == "finished"
    assert "warning: the env failed to close: SystemExit: 0" in result.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            (*BROKEN, "+env.kwargs.how=exit_at_once"),
            "failed: tests.toy_envs:Broken-v0 failed as it was made: SystemExit",
        ),
        ((*BROKEN, "+env.kwargs.how=exit_at_once", "lifetimes=2"), "tests.toy_envs:Broken-v0 failed as it was made"),
        (
            ("agent=random", "env.wrappers=[{_target_: tests.toy_envs.Quitter, _partial_: true}]"),
            "wrapper 0 of CartPole",
        ),
        ((*QUITTING, "+agent.at_once=true"), "failed: SystemExit: 0"),
        (QUITTING, "failed: SystemExit: 0"),
    ],
)
def test_run_fails_when_its_code_calls_exit(
    run_here: Run, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    result = run_here(*settings, "steps=200", "logger=none", "hydra.run.dir=here")
    assert result.returncode == 1
    assert "error: failed: " in result.stderr and message in result.stderr and "Traceback" not in result.stderr
    assert "SystemExit: 0" in (tmp_path / "here" / "error.txt").read_text()
    if settings is QUITTING:
        summary = json.loads((tmp_path / "here" / "summary.json").read_text())
        assert (summary["status"], summary["error"]) == ("failed", "SystemExit: 0")


@pytest.mark.parametrize("how", ["exit", "exit_at_once"])
def test_env_that_calls_exit_ends_only_its_own_job_of_a_sweep(run_here: Run, tmp_path: Path, how: str) -> None:
    result = run_here("-m", *BROKEN, "steps=60", "logger=none", f"+env.kwargs.how={how},well", "hydra.sweep.dir=here")
    assert result.returncode == 1 and "SystemExit: 0" in result.stderr
    assert json.loads((tmp_path / "here" / "1" / "summary.json").read_text())["status"] == "finished"
    assert "SystemExit: 0" in (tmp_path / "here" / "0" / "error.txt").read_text()


class StopsAt:
    """A callback that ends the run at a step."""

    every, stopped = 10, False

    def __init__(self, step: int) -> None:
        self.step, self.steps = step, list[int]()

    def call(self, records: Sequence[Record], agent: object) -> None:
        self.steps.append(records[0].step)
        self.stopped = records[0].step >= self.step


@pytest.mark.parametrize("backend", ["gymnasium", "compiled"])
def test_a_callback_on_a_schedule_ends_a_run_that_can_be_continued(tmp_path: Path, backend: str) -> None:
    cfg = compose("steps=90", "network.hidden=[8]", "logger=none", f"env.backend={backend}")
    callback = StopsAt(50)
    summary = launch(cfg, RunOrigin(tmp_path, "folder", "reflect", []), [callback])
    assert (summary["status"], summary["steps"], summary["error"]) == ("finished", 50, None)
    assert callback.steps[:5] == [10, 20, 30, 40, 50]
    cfg.resume = True  # from the checkpoint at the end
    summary = launch(cfg, RunOrigin(tmp_path, "folder", "reflect", []))
    assert (summary["status"], summary["steps"]) == ("finished", 90)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["env.id=Acrobot-v1"],
            ["warning: env.id=Acrobot-v1 keeps the name, steps and milestones of CartPole, env=Acrobot-v1 does not"],
        ),
        (["env.id=Acrobot-v1", "env.name=Acrobot"], []),
        (["env=gymnasium", "env.id=Acrobot-v1"], []),
        (["env=Acrobot-v1"], []),
        (["env=CartPole", "env.id=CartPole-v1"], []),
    ],
)
def test_another_env_under_the_name_of_a_yaml_raises_a_warning(
    run_here: Run, settings: list[str], expected: list[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        result = run_here(*settings, "agent=random", "steps=50", "logger=none")
    assert result.returncode == 0
    assert [line for line in result.stderr.splitlines() if line.startswith("warning: env.id")] == expected
