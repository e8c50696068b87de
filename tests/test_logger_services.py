"""Weights & Biases and MLflow: the same points, continued by a resumed run."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracerl
from tests.checkpoints import Disk
from tests.helpers import command
from tests.services import fake_mlflow, fake_wandb
from tracerl.config.checks import ConfigError
from tracerl.runs.logging.log import LoggedRun
from tracerl.runs.logging.loggers import Loggers
from tracerl.runs.logging.mlflow import MLflow
from tracerl.runs.logging.service import ServiceRun
from tracerl.runs.logging.wandb import WandB

RUN = ["engine=torch", "network.hidden=[4]", "logger.every=20", "hydra.run.dir=run", "checkpoint.every=50"]
RUN += ["logger.pictures_every=60", "logger.picture_steps=5", "logger.histograms_every=50"]
WANDB: dict[str, Any] = {"mode": None, "project": "p", "entity": None, "name": None, "group": None, "tags": []}
MLFLOW: dict[str, Any] = {"tracking_uri": None, "experiment": "e", "name": None, "tags": {}}
STEPS = [20, 40, 60, 80, 100, 120, 140]


def test_resumed_run_continues_its_run_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = fake_wandb(monkeypatch)
    named = ["logger.wandb.group=g", "logger.wandb.tags=[a,b]", "logger.wandb.mode=online"]
    assert command([*RUN, *named, "logger=wandb", "steps=100"], monkeypatch, tmp_path) == 0
    assert command(["resume=run", "steps=140"], monkeypatch, tmp_path) == 0
    first, second = runs
    assert first.made["id"] == second.made["id"] == json.loads((tmp_path / "run" / "wandb.json").read_text())["id"]
    assert (first.made["resume"], second.made["resume"]) == (None, "allow")
    assert (first.made["project"], first.made["group"], first.made["tags"]) == ("tracerl", "g", ["a", "b"])
    assert first.made["name"] == "CartPole reflect run" and first.made["config"]["network.hidden"] == [4]
    for tag in ("learn/td_error", "rollout/reward_rate", "time/fps"):
        assert [step for step, _ in first.curve(tag) + second.curve(tag)] == STEPS
    (counts, edges) = first.curve("weights/policy_0")[0][1]
    assert [step for step, _ in first.curve("weights/policy_0")] == [1, 50, 100] and len(edges) == len(counts) + 1
    assert [(step, image.ndim) for step, image in first.curve("pictures/raster")] == [(5, 3), (60, 3)]
    assert (second.summary["steps"], second.summary["status"], second.exit_code) == (140, "finished", 0)


def test_resumed_run_continues_its_run_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fake_mlflow(monkeypatch)
    assert command([*RUN, "logger=mlflow", "steps=100", "+logger.mlflow.tags.a=3"], monkeypatch, tmp_path) == 0
    assert command(["resume=run", "steps=140"], monkeypatch, tmp_path) == 0
    ((run_id, run),) = store.runs.items()
    assert list(store.experiments) == ["tracerl"]
    assert run.tags == {"a": "3", "mlflow.runName": "CartPole reflect run"}
    assert run.params["network.hidden"] == "[4]" and "hidden:" in run.texts["config.yaml"]
    assert [step for step, _ in store.curve(run_id, "learn/td_error")] == STEPS
    assert [(key, step) for key, step, _ in run.images if key == "pictures/raster"] == [
        ("pictures/raster", step) for step in (5, 60, 120)
    ]
    assert (run.texts["summary.json"]["steps"], run.status) == (140, "FINISHED")


@pytest.mark.parametrize("service", ["wandb", "mlflow"])
def test_points_that_the_service_has_are_not_logged_again(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, store = fake_wandb(monkeypatch), fake_mlflow(monkeypatch)
    assert command([*RUN, f"logger={service}", "steps=100"], monkeypatch, tmp_path) == 0
    earlier = next((tmp_path / "run" / "checkpoints").glob("*50"))
    assert command([f"resume={earlier}", "steps=140"], monkeypatch, tmp_path) == 0
    points = [p for run in runs for p in run.curve("learn/value")]
    points += [p for run_id in store.runs for p in store.curve(run_id, "learn/value")]
    assert [step for step, _ in points] == STEPS


def test_failing_services_are_one_warning_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, store = fake_wandb(monkeypatch), fake_mlflow(monkeypatch)
    log = Loggers(every=1, a=WandB(**WANDB), b=MLflow(**MLFLOW)).open(LoggedRun(tmp_path))
    assert log is not None

    def fail(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("the network is gone")

    monkeypatch.setattr(runs[0], "log", fail)
    monkeypatch.setattr(store, "log_batch", fail)
    for step in (1, 2):
        log.scalars({"a": 1.0}, step)
    log.close(success=False, summary={"status": "interrupted"})
    warned = [
        f"warning: cannot write the log of {n}: the network is gone; the run continues" for n in ("wandb", "mlflow")
    ]
    assert capsys.readouterr().err.splitlines() == warned
    assert runs[0].exit_code == 1 and next(iter(store.runs.values())).status == "KILLED"


def test_server_that_is_gone_is_asked_ever_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock, asked = fake_mlflow(monkeypatch), [0.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = Loggers(every=1, b=MLflow(**MLFLOW)).open(LoggedRun(tmp_path))
    assert log is not None

    def fail(*arguments: Any, **options: Any) -> None:
        asked.append(clock[0])
        raise ConnectionError("the server is gone")

    with monkeypatch.context() as gone:
        gone.setattr(store, "log_batch", fail)
        gone.setattr(store, "log_image", fail)
        image = {"p": np.zeros((1, 1, 3), np.uint8)}
        for second in range(100):
            clock[0] = float(second)
            log.scalars({"a": 1.0}, second)
            log._writers.write("images", lambda writer, step=second: writer.images(image, step))
    assert asked == [0, 10, 30, 70]
    for second in (149, 150, 151):
        clock[0] = float(second)
        log.scalars({"a": 1.0}, second)
    ((run_id, run),) = store.runs.items()
    assert [step for step, _ in store.curve(run_id, "a")] == [150, 151]
    monkeypatch.setattr(store, "log_batch", fail)
    for second in (152, 161, 162):  # the shortest pause again
        clock[0] = float(second)
        log.scalars({"a": 1.0}, second)
    log.close(success=True)
    assert asked[4:] == [152, 162] and run.status == "FINISHED"


def test_requests_of_mlflow_end_early_if_the_user_does_not_say_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mlflow(monkeypatch)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10


def test_jobs_that_begin_together_share_a_new_store_and_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, left = fake_mlflow(monkeypatch), [2]
    from mlflow import tracking

    def client(tracking_uri: str) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("table experiments already exists")
        return store

    def create(name: str) -> str:
        store.experiments[name] = "7"  # by another job
        raise RuntimeError(f"Experiment(name={name}) already exists")

    monkeypatch.setattr(tracking, "MlflowClient", client)
    monkeypatch.setattr(store, "create_experiment", create)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)
    ((_, run),) = store.runs.items()
    assert run.experiment == "7"


def test_store_that_cannot_be_opened_and_experiment_that_cannot_be_created_raise_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = fake_mlflow(monkeypatch), [0.0]
    from mlflow import tracking

    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("read-only")

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))
    monkeypatch.setattr(store, "create_experiment", fail)
    with pytest.raises(ConfigError, match=r"must be a store that works: read-only$"):
        MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)
    monkeypatch.setattr(tracking, "MlflowClient", fail)
    with pytest.raises(ConfigError, match=r"must be a store that works: read-only$"):
        MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)
    assert 5 <= clock[0] <= 20


def test_service_that_cannot_begin_raises_an_error_naming_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wandb(monkeypatch)
    store = fake_mlflow(monkeypatch)

    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no login\nand more")

    import wandb

    monkeypatch.setattr(wandb, "init", fail)
    monkeypatch.setattr(store, "get_experiment_by_name", fail)
    with pytest.raises(ConfigError, match=r"^logger\.wandb cannot begin: no login \(logger\.wandb\.mode=offline"):
        WandB(**WANDB).open(LoggedRun(tmp_path), None)
    with pytest.raises(ConfigError, match=r"^logger\.mlflow\.tracking_uri must be a store that works: no login$"):
        MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)


def test_run_that_the_store_lacks_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fake_mlflow(monkeypatch)
    MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)

    def fail(run_id: str, status: str) -> None:
        raise RuntimeError(f"Run with id={run_id} not found")

    monkeypatch.setattr(store, "update_run", fail)
    with pytest.raises(ConfigError, match=r"Run with id=0+ not found \(the default store is in the folder in which"):
        MLflow(**MLFLOW).open(LoggedRun(tmp_path), None)


@pytest.mark.parametrize(
    ("key", "value"),
    [("mode", "onlin"), ("mode", 3), ("project", ""), ("project", None), ("entity", 3), ("tags", "a"), ("tags", [1])],
    ids=str,
)
def test_wrong_settings_of_wandb_raise_an_error_naming_the_key(
    key: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wandb(monkeypatch)
    with pytest.raises(ConfigError, match=rf"^{key} must be "):
        WandB(**{**WANDB, key: value})


@pytest.mark.parametrize(
    ("key", "value"), [("tracking_uri", 3), ("experiment", None), ("name", 1.5), ("tags", [1])], ids=str
)
def test_wrong_settings_of_mlflow_raise_an_error_naming_the_key(
    key: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mlflow(monkeypatch)
    with pytest.raises(ConfigError, match=rf"^{key} must be "):
        MLflow(**{**MLFLOW, key: value})


@pytest.mark.parametrize("service", ["wandb", "mlflow"])
def test_images_and_histograms_that_the_service_has_are_not_logged_again(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, store = fake_wandb(monkeypatch), fake_mlflow(monkeypatch)
    picture = {"p": np.zeros((1, 1, 3), np.uint8)}
    for _ in range(2):  # the first part is killed after step 50, with its last point at step 40
        settings = WandB(**WANDB) if service == "wandb" else MLflow(**MLFLOW)
        writer = settings.open(LoggedRun(tmp_path), None)
        writer.scalars({"a": 1.0}, 40)
        writer.histograms({"h": np.ones(3)}, 45)
        writer.images(picture, 50)
    found = [(tag, step) for run in runs for step, values in run.rows for tag in values]
    found += [(key, step) for run in store.runs.values() for key, step, _ in run.metrics + run.images]
    assert found == [("a", 40), *([("h", 45)] if service == "wandb" else []), ("p", 50)]


def test_file_of_a_service_without_steps_of_images_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wandb.json"
    path.write_text('{"id": "a", "step": 40}')
    found = ServiceRun(path)
    assert [found.is_new(step, "pictures") for step in (40, 41)] == [False, True]
    found.reached(50, "pictures")
    later = ServiceRun(path)
    assert [later.is_new(step) for step in (40, 41)] == [False, True]
    assert [later.is_new(step, "pictures") for step in (50, 51)] == [False, True]
    assert [later.is_new(step, "histograms") for step in (40, 41)] == [False, True]


def test_file_of_a_service_on_a_full_disk_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wandb.json"
    path.write_text('{"id": "a", "step": 40}')
    found = ServiceRun(path)
    with monkeypatch.context() as patch:
        Disk(patch, "full from then on", 2)
        with pytest.raises(OSError, match="wandb.json'"):
            found.reached(50)
    assert json.loads(path.read_text())["step"] == 40 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", '{"id": "../x", "step": 3}', '{"id": 3}', '{"id": "a", "step": "x"}'])
def test_file_of_a_service_is_data(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wandb.json"
    path.write_text(text)
    found = ServiceRun(path)
    assert found.id == ("a" if '"a"' in text else None) and found.is_new(0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["logger=mlflow", "logger.mlflow.tracking_uri=https://elsewhere"], "logger.mlflow.tracking_uri"),
        (["logger=wandb", "logger.wandb.entity=somebody"], "logger.wandb.entity"),
    ],
    ids=["mlflow", "wandb"],
)
def test_saved_run_does_not_choose_where_a_log_goes(
    settings: list[str], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_wandb(monkeypatch)
    fake_mlflow(monkeypatch)
    assert command([*RUN, *settings, "steps=50"], monkeypatch, tmp_path) == 0
    assert command(["resume=run", "steps=60"], monkeypatch, tmp_path) == 2
    assert f"error: {key} is " in capsys.readouterr().err
    assert command(["resume=run", "steps=60", settings[1]], monkeypatch, tmp_path) == 0  # said again
    assert command(["resume=run", "steps=70", "--trust"], monkeypatch, tmp_path) == 0
    assert "trusted: " in capsys.readouterr().err


def test_offline_wandb_has_both_parts_under_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    settings = {"logger": "wandb", "network.hidden": [4], "engine": "torch", "logger.every": 10, "steps": 20}
    tracerl.launch(settings, tmp_path / "run")
    tracerl.launch({**settings, "steps": 40, "resume": True}, tmp_path / "run")
    run_id = json.loads((tmp_path / "run" / "wandb.json").read_text())["id"]
    parts = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert [len(list(part.glob(f"run-{run_id}.wandb"))) for part in parts] == [1, 1]
    assert f"wandb sync {tmp_path / 'run'}/wandb/offline-run-*" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:::(mlflow|sqlalchemy)")  # MLflow uses what SQLAlchemy 2.1 deprecates
@pytest.mark.slow
def test_mlflow_database_has_one_run_with_all_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    settings = {"logger": "mlflow", "network.hidden": [4], "engine": "torch", "logger.every": 20, "steps": 100}
    tracerl.launch(settings, "run")
    tracerl.launch({**settings, "steps": 140, "resume": True}, "run")
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("tracerl").experiment_id])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "learn/td_error")] == STEPS
    assert run.info.status == "FINISHED" and run.data.params["agent.discount"] == "[0.99, 0.995]"
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names >= {"config.yaml", "summary.json", "images"}
