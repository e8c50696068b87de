"""Evaluations during a run: the learner is the same with and without them."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import command
from tracerl.lifetime import evaluation
from tracerl.lifetime.loop import EnvFailed, reset_env
from tracerl.lifetime.record import Record
from tracerl.runs import evaluations

SMALL = ["network.hidden=[8]", "steps=200", "logger=none"]
EVERY = ["eval.every=50", "eval.episodes=2"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "evaluations.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "settings",
    [
        ("engine=torch",),
        ("engine=fused",),
        ("engine=fused", "lifetimes=3"),
        ("engine=fused", "lifetimes=2", "env.backend=compiled"),
        ("agent=random", "lifetimes=2"),
    ],
    ids=["torch", "fused", "three lifetimes", "compiled", "random"],
)
def test_learner_is_the_same_with_evaluations(
    settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [setting for setting in SMALL if "agent=random" not in settings or "network" not in setting]
    for name, more in (("with", EVERY), ("without", [])):
        assert command([*settings, *small, *more, f"hydra.run.dir={name}"], monkeypatch, tmp_path) == 0
    both = [dict(np.load(tmp_path / name / "returns.npz")) for name in ("with", "without")]
    for key, values in both[0].items():
        np.testing.assert_array_equal(values, both[1][key])
    lifetimes = int(next((s.split("=")[1] for s in settings if s.startswith("lifetimes")), 1))
    found = rows(tmp_path / "with")
    assert [(int(row["step"]), int(row["lifetime"])) for row in found] == [
        (step, life) for step in (50, 100, 150, 200) for life in range(lifetimes)
    ]
    assert all(row["episodes"] == "2" and row["mean"] == row["mean_length"] for row in found)
    assert not (tmp_path / "without" / "evaluations.csv").exists()


def test_resumed_run_continues_its_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["engine=torch", *SMALL, *EVERY]
    assert command([*run, "hydra.run.dir=whole"], monkeypatch, tmp_path) == 0
    parts = [*run, "hydra.run.dir=parts", "checkpoint.every=60"]
    assert command([*parts, "steps=120"], monkeypatch, tmp_path) == 0
    assert [row["step"] for row in rows(tmp_path / "parts")] == ["50", "100"]
    assert command([*parts, "resume=true"], monkeypatch, tmp_path) == 0
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert command([*parts, "resume=true", "steps=250", "eval.every=null"], monkeypatch, tmp_path) == 0


def test_results_are_in_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = ["engine=torch", *SMALL[:2], *EVERY, "logger.every=40", "hydra.run.dir=run"]
    assert command(run, monkeypatch, tmp_path) == 0
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars("eval/mean_reward")]
    assert logged == [(int(row["step"]), pytest.approx(float(row["mean"]))) for row in rows(tmp_path / "run")]
    assert len(events.Scalars("eval/mean_ep_length")) == 4


def scores(folder: Path) -> dict[int, Any]:
    """Return the score of each checkpoint by step."""
    found = [json.loads(path.read_text()) for path in (folder / "checkpoints").glob("*/manifest.json")]
    return {each["step"]: each["info"]["score"] for each in sorted(found, key=lambda each: each["step"])}


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_best_checkpoint_is_that_of_the_best_evaluation(
    lifetimes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = ["checkpoint.best_by=evaluation", "checkpoint.every=80", "checkpoint.keep_last=1", f"lifetimes={lifetimes}"]
    run = ["engine=torch", *SMALL, *EVERY, *best, "hydra.run.dir=run", "steps=220"]
    assert command(run, monkeypatch, tmp_path) == 0
    means: dict[int, list[float]] = {}
    for row in rows(tmp_path / "run"):
        means.setdefault(int(row["step"]), []).append(float(row["mean"]))
    by_step = {step: sum(each) / len(each) for step, each in means.items()}
    highest = max(by_step, key=lambda step: (by_step[step], -step))
    assert sorted(by_step) == [50, 100, 150, 200] and len(set(by_step.values())) > 1
    assert scores(tmp_path / "run") == {highest: by_step[highest], 220: None}


def test_best_by_evaluation_needs_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*SMALL, "checkpoint.best_by=evaluation", "hydra.run.dir=run"], monkeypatch, tmp_path) == 2
    assert "checkpoint.best_by may be evaluation only where eval.every is given" in capsys.readouterr().err
    assert command([*SMALL, "checkpoint.best_by=mean", "hydra.run.dir=run"], monkeypatch, tmp_path) == 2
    assert "checkpoint.best_by must be one of return, evaluation; got 'mean'" in capsys.readouterr().err


def test_failing_evaluation_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*arguments: Any, **options: Any) -> None:
        raise EnvFailed("the env failed")

    monkeypatch.setattr(evaluations, "evaluate", failing)
    assert evaluation.evaluate is not failing
    assert command(["engine=torch", *SMALL, *EVERY, "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    assert "warning: no evaluation after 50 steps: the env failed; the run continues" in capsys.readouterr().err


def test_evaluation_whose_env_does_not_return_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hanging(agent: Any, env: Any, *arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(env.unwrapped, "reset", lambda **options: time.sleep(60))
        reset_env(env, 0, Record(), None)

    monkeypatch.setattr(evaluations, "evaluate", hanging)
    env = ["env=tests.toy_envs:Broken-v0", "env.kwargs.how=well", "env.timeout=0.2"]
    assert command(["engine=torch", *SMALL, *env, *EVERY, "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    error = capsys.readouterr().err
    assert (
        "warning: no evaluation after 50 steps: the env failed in reset after 0 steps: TimeoutError: reset did" in error
    )


def test_endless_episode_does_not_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["engine=torch", "env=CartPoleForever", *SMALL, *EVERY, "eval.steps=20", "hydra.run.dir=run"]
    assert command(run, monkeypatch, tmp_path) == 0
    assert [(row["step"], row["episodes"], row["mean"]) for row in rows(tmp_path / "run")][0] == ("50", "0", "")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("eval.every=0", "eval.every must be a whole number of 1 or above, got 0"),
        ("eval.episodes=0", "eval.episodes must be a whole number of 1 or above, got 0"),
        ("eval.steps=0", "eval.steps must be a whole number of 1 or above, got 0"),
        ("eval.greedy=3", "eval.greedy must be"),
        ("eval.evry=3", "eval.evry"),
    ],
)
def test_wrong_settings_are_named(
    setting: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*SMALL, setting, "hydra.run.dir=run"], monkeypatch, tmp_path) == 2
    assert problem in capsys.readouterr().err


def test_part_of_a_row_and_rows_of_later_steps_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["engine=torch", *SMALL, *EVERY, "hydra.run.dir=run", "checkpoint.every=60"]
    assert command([*run, "steps=120"], monkeypatch, tmp_path) == 0
    path = tmp_path / "run" / "evaluations.csv"
    before = path.read_text()
    path.write_text(before + "150,0,2,9.0,9.0,9.0,9.0\n150,1,2,9")
    assert command([*run, "steps=140", "resume=true"], monkeypatch, tmp_path) == 0
    assert path.read_text() == before


def test_a_file_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("write_atomic", "open_regular"):
        monkeypatch.setattr(evaluations, name, full)
    assert command(["engine=torch", *SMALL, *EVERY, "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    assert capsys.readouterr().err.count("evaluations.csv: [Errno 28] No space left on device; the run continues") == 1
