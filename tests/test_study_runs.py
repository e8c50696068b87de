"""``scripts/study_runs.py`` and ``seeds.py``: reruns, shared processes, and reports of failures."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import tracerl
from tests.helpers import compose, script

seeds, runs = script("seeds"), script("study_runs")
SETTINGS = {"steps": 1000, "seed": 3, "threads": None, "env": {"milestones": ["w20>=5", "w20>=9"]}, "agent": {"a": 0.1}}


@pytest.mark.parametrize(("text", "read"), [("0-3", (0, 1, 2, 3)), ("4", (4,)), ("5-5", (5,)), ("0,3,7", (0, 3, 7))])
def test_seeds_are_read_and_formatted(text: str, read: tuple[int, ...]) -> None:
    assert seeds.parse_seeds(text) == read
    assert seeds.parse_seeds(seeds.format_seeds(read)) == read


@pytest.mark.parametrize("text", ["", "a", "3-", "3-1", "1,1", "0-2,5", "-1"])
def test_invalid_seeds_raise_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="seeds must"):
        seeds.parse_seeds(text)


def made(folder: Path, settings: dict[str, Any] = SETTINGS, **summary: Any) -> Any:
    """Return a run of SETTINGS whose folder has the results of ``settings``."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
    (folder / "summary.json").write_text(
        json.dumps({"status": "finished", "version": tracerl.__version__, "error": None, **summary})
    )
    return runs.Run(("env=Env", "seed=3"), (3,), SETTINGS, folder)


def test_finished_run_with_the_same_settings_is_not_rerun(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    run = made(tmp_path, {**SETTINGS, "threads": 8})  # threads do not change the result
    assert runs.reason_to_run(run) is None
    assert runs.execute(run, threads=1, machine="here") is None


@pytest.mark.parametrize(
    ("settings", "summary", "reason"),
    [
        ({"steps": 500}, {}, "settings changed: steps 500 -> 1000"),
        ({"agent": {"a": 0.2}}, {}, "settings changed: agent.a 0.2 -> 0.1"),
        ({"agent": {}}, {}, "settings changed: agent.a None -> 0.1"),
        ({"gone": 1}, {}, "settings changed: gone 1 -> None"),
        ({}, {"status": "diverged"}, "it was diverged"),
        ({}, {"version": "0.0.1"}, "it is of tracerl 0.0.1"),
    ],
)
def test_outdated_run_is_replaced_and_the_reason_is_printed(
    tmp_path: Path, monkeypatch: Any, capsys: Any, settings: dict[str, Any], summary: dict[str, Any], reason: str
) -> None:
    run = made(tmp_path / "run", {**SETTINGS, **settings}, **summary)
    failed = subprocess.CompletedProcess([], 1, "", "some progress\nerror: broken\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: failed)
    assert runs.execute(run, threads=1, machine="here") == "broken"
    assert reason in capsys.readouterr().out
    assert run.summary is None  # the previous run does not count as the failed one
    assert runs.reason_to_run(run) == "not run yet"


@pytest.mark.parametrize("status", ["interrupted", "killed"])
def test_interrupted_run_is_resumed(tmp_path: Path, monkeypatch: Any, status: str) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda line, **_: lines.append(line) or subprocess.CompletedProcess(line, 0, "", "")
    )
    run = made(tmp_path, status=status)
    assert runs.reason_to_run(run) == f"it was {status}" and runs.execute(run, threads=1, machine="here") is None
    assert lines[0][-1] == "resume=auto" and (tmp_path / "machine.txt").read_text() == "here\n"


@pytest.mark.parametrize(
    ("overrides", "compiled"),
    [
        (("env=CartPole",), True),
        (("env=CartPole", "engine=torch"), False),
        (("env=CartPole", "agent=random"), False),
        (("env=CartPole", "+env.kwargs.sutton_barto_reward=true"), False),
        (("env=DelayedBandit",), False),
    ],
)
def test_compiled_env_needs_default_settings_and_an_agent_with_kernels(
    overrides: tuple[str, ...], compiled: bool
) -> None:
    assert runs.is_compiled(OmegaConf.to_container(compose(*overrides), resolve=True)) == compiled


def test_failure_is_the_last_error_or_the_exit_code() -> None:
    assert runs.reason_of_failure(-9, "half done") == "exit code -9: half done"
    assert runs.reason_of_failure(1, "error: bad\nmore") == "bad"
    assert runs.reason_of_failure(130, "stopped") == "interrupted"
