"""Several loggers at once, and ``metrics.csv``."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.helpers import command, compose
from tests.test_logger_tensorboard import Numbers
from tracerl.config.checks import ConfigError
from tracerl.config.instantiate import build
from tracerl.lifetime.record import Record
from tracerl.runs.logging.csv_file import Csv
from tracerl.runs.logging.log import LoggedRun, LogWriter, RunLog
from tracerl.runs.logging.loggers import Loggers
from tracerl.runs.logging.tensorboard import EventStream

RUN = ["engine=torch", "network.hidden=[4]", "logger.every=20", "logger.pictures_every=null", "hydra.run.dir=run"]


def rows(folder: Path) -> list[tuple[int, str, float]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [(int(row["step"]), row["tag"], float(row["value"])) for row in csv.DictReader(file)]


def go_on(log: RunLog, record: Record, points: int) -> None:
    for _ in range(points):
        for _ in range(10):
            record.add(1.0)
        log.call([record], Numbers(float(record.step)))


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ([], ["tensorboard"]),
        (["logger=none"], []),
        (["logger=[]"], []),
        (["logger=none", "logger.every=500"], []),
        (["logger=csv"], ["csv"]),
        (["logger=[tensorboard,csv]"], ["tensorboard", "csv"]),
        (["logger=[csv,none]", "logger.every=500"], ["csv"]),
    ],
    ids=lambda part: " ".join(part) or "default",
)
def test_command_line_chooses_loggers_with_one_schedule(overrides: list[str], names: list[str], tmp_path: Path) -> None:
    config = compose(*overrides)
    log = build(config, "logger").open(LoggedRun(tmp_path)) if "logger" in config else None
    assert ([] if log is None else list(log._writers.by_name)) == names
    if log is not None:
        assert log.every == (500 if "logger.every=500" in overrides else 2000)
        log.close(success=True)


def test_loggers_have_the_same_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([*RUN, "steps=50", "logger=[tensorboard,csv]"], monkeypatch, tmp_path) == 0
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    curves = {(e.step, tag): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}
    found = {(step, tag): value for step, tag, value in rows(tmp_path / "run")}
    assert curves.keys() == found.keys() and {step for step, _ in found} == {20, 40, 50}
    np.testing.assert_allclose([curves[key] for key in found], list(found.values()), rtol=1e-6)


def test_run_from_python_takes_a_list_of_loggers_and_prints_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tracerl

    settings = {"logger": ["tensorboard", "csv"], "network.hidden": [4], "engine": "torch", "steps": 20}
    tracerl.launch(settings, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        f"tensorboard --logdir {tmp_path}",
        str(tmp_path / "metrics.csv"),
        str(tmp_path / "summary.json"),
    ]


def test_resumed_csv_drops_rows_after_its_checkpoint(tmp_path: Path) -> None:
    loggers, record = Loggers(every=10, csv=Csv()), Record()
    log = loggers.open(LoggedRun(tmp_path))
    assert log is not None
    go_on(log, record, 2)
    before, place = rows(tmp_path), log.resume_offset()
    go_on(log, record, 2)
    log.close(success=False)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("50,learn/td_e")  # a killed run
    again = Record()
    for _ in range(20):
        again.add(1.0)
    second = loggers.open(LoggedRun(tmp_path, resume_offset=place))
    assert second is not None
    go_on(second, again, 1)
    second.close(success=True)
    assert rows(tmp_path)[: len(before)] == before
    assert [step for step, tag, _ in rows(tmp_path) if tag == "learn/td_error"] == [10, 20, 30]


@pytest.mark.parametrize("offset", ["text", -1, [3], {"a": 1}, None], ids=str)
def test_csv_with_an_unknown_offset_is_continued_after_its_last_row(tmp_path: Path, offset: Any) -> None:
    (tmp_path / "metrics.csv").write_text("step,tag,value\n10,a,1.0\n20,a")
    writer = Csv().open(LoggedRun(tmp_path), offset)
    writer.scalars({"a,b": np.nan}, 30)
    writer.close(True, {})
    assert (tmp_path / "metrics.csv").read_text() == 'step,tag,value\n10,a,1.0\n30,"a,b",nan\n'


@pytest.mark.parametrize("there", [None, "", "step,tag\n1,2\n", "step,tag,value\n10,a,1.0\n"], ids=repr)
def test_lost_rows_raise_a_warning(tmp_path: Path, there: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if there is not None:
        (tmp_path / "metrics.csv").write_text(there)
    Csv().open(LoggedRun(tmp_path), 1000).close(True, {})
    kept = there if there is not None and there.startswith("step,tag,value") else "step,tag,value\n"
    assert (tmp_path / "metrics.csv").read_text() == kept
    assert capsys.readouterr().err.count("rows are lost") == 1


def test_loggers_of_an_earlier_part_keep_their_offset(tmp_path: Path) -> None:
    both = Loggers(every=10, csv=Csv(), tensorboard=EventStream()).open(LoggedRun(tmp_path))
    assert both is not None
    record = Record()
    go_on(both, record, 1)
    place = both.resume_offset()
    both.close(success=True)
    alone = Loggers(every=10, tensorboard=EventStream()).open(LoggedRun(tmp_path, resume_offset=place))
    assert alone is not None and alone.resume_offset() == place
    alone.close(success=True)


class Failing(LogWriter):
    """A logger whose every write fails."""

    target = "a full disk"

    def open(self, run: LoggedRun, offset: Any) -> "Failing":
        return self

    def scalars(self, values: Any, step: int) -> None:
        raise OSError("no space")

    histograms = images = scalars


def test_logger_that_fails_is_one_warning_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Loggers(every=10, mine=Failing(), csv=Csv()).open(LoggedRun(tmp_path))
    assert log is not None
    go_on(log, Record(), 3)
    log.close(success=True)
    assert capsys.readouterr().err == "warning: cannot write a full disk: no space; the run continues\n"
    assert [step for step, tag, _ in rows(tmp_path) if tag == "learn/td_error"] == [10, 20, 30]


def test_object_without_open_is_no_logger() -> None:
    with pytest.raises(ConfigError, match=r"^mine must be a logger, with a method open\(run, offset\), got 3"):
        Loggers(every=10, mine=3)
    with pytest.raises(ConfigError, match=r"logger\.evry does not exist\. Keys of logger: every, "):
        build(compose("+logger.evry=3"), "logger")


def with_own(folder: Path, target: str) -> list[str]:
    """Return a command line with ``csv`` before and ``tensorboard`` after a logger ``mine`` of this class."""
    (folder / "configs" / "logger").mkdir(parents=True)
    text = f"defaults: [none, _self_]\nmine:\n  _target_: {target}\n"
    (folder / "configs" / "logger" / "mine.yaml").write_text(text)
    return ["--config-dir", "configs", *RUN, "steps=30", "logger=[csv,mine,tensorboard]"]


def test_user_logger_stands_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(with_own(tmp_path, "tests.test_loggers.Failing"), monkeypatch, tmp_path) == 0
    assert {step for step, *_ in rows(tmp_path / "run")} == {20, 30}


class Faulty(LogWriter):
    """A logger. ``faulty`` replaces one of its methods."""

    def open(self, run: LoggedRun, offset: Any) -> Any:
        return self


def faulty(method: str, result: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a method of ``Faulty`` raise an error, or return anything else."""

    def call(self: Faulty, *arguments: object) -> object:
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(Faulty, method, call)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        *((name, RuntimeError("boom")) for name in ("scalars", "histograms", "images", "offset", "close", "place")),
        *((name, SystemExit("boom")) for name in ("scalars", "close", "place")),
        *((name, OSError("boom")) for name in ("offset", "close")),
    ],
)
def test_error_in_a_logger_is_one_warning_and_the_run_finishes(
    method: str,
    error: BaseException,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faulty(method, error, monkeypatch)
    pictures = ["logger.histograms_every=10", "logger.pictures_every=15", "logger.picture_steps=10"]
    line = [*with_own(tmp_path, "tests.test_loggers.Faulty"), *pictures, "checkpoint.every=20"]
    assert command(line, monkeypatch, tmp_path) == 0
    problem = f"logger.mine failed in {method}: {type(error).__name__}: boom"
    problem = "cannot write the log of mine: boom" if isinstance(error, OSError) else problem
    printed = capsys.readouterr()
    warned = [line for line in printed.err.splitlines() if line.startswith("warning")]
    assert warned == [f"warning: {problem}; the run continues"]
    assert printed.out.splitlines()[-2].startswith("tensorboard --logdir ")  # the place of the logger after it
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "finished"
    for step in (20, 30):
        info = json.loads((tmp_path / "run" / "checkpoints" / f"step-{step:012}" / "manifest.json").read_text())["info"]
        assert info["log"]["offsets"]["mine"] is None and info["log"]["offsets"]["csv"] > 0
    (events,) = (tmp_path / "run").glob("events.out.tfevents.*")
    assert b"_hparams_/session_end_info" in events.read_bytes()  # the logger after it is closed


def test_logger_that_changes_what_it_gets_takes_nothing_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Faulty, "scalars", lambda self, values, step: values.clear())
    line = [text.replace("[csv,mine", "[mine,csv") for text in with_own(tmp_path, "tests.test_loggers.Faulty")]
    assert command(line, monkeypatch, tmp_path) == 0
    assert "rollout/reward_rate" in (tmp_path / "run" / "metrics.csv").read_text()


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("method", "found", "problem"),
    [
        ("offset", {1}, "the offset must be null, true, false, a finite number"),
        ("offset", float("nan"), "the offset must be null, true, false, a finite number"),
        ("offset", nested(99), "must be nested at most 100 deep"),
        ("offset", "\ud800", "UnicodeEncodeError"),
        ("place", 3, "TypeError: the place must be a text or None, got 3"),
    ],
)
def test_offset_or_place_of_the_wrong_kind_is_one_warning(
    method: str,
    found: object,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faulty(method, found, monkeypatch)
    log = Loggers(every=10, mine=Faulty(), csv=Csv()).open(LoggedRun(tmp_path))
    assert log is not None
    for _ in range(2):
        assert log.resume_offset()["offsets"] == {"mine": None, "csv": len("step,tag,value\n")}
        assert log.places() == [str(tmp_path / "metrics.csv")]
    log.close(success=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: logger.mine failed in {method}: ") and problem in line


def test_logger_that_opens_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty("open", None, monkeypatch)
    with pytest.raises(ConfigError, match=r"^logger\.mine must return a LogWriter in open, got None"):
        Loggers(every=10, csv=Csv(), mine=Faulty()).open(LoggedRun(tmp_path))


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit("boom"), OSError(2, "boom", "/data")], ids=repr)
def test_logger_that_fails_to_open_is_a_failed_run(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty("open", error, monkeypatch)
    assert command(with_own(tmp_path, "tests.test_loggers.Faulty"), monkeypatch, tmp_path) == 1
    problem = f"failed: logger.mine failed in open: {type(error).__name__}: {error}"
    printed = capsys.readouterr().err
    assert f"error: {problem} (traceback in " in printed and "Traceback" not in printed
    assert "raise result" in (tmp_path / "run" / "error.txt").read_text()


def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        assert command([*RUN, f"logger={name}"], monkeypatch, tmp_path) == 2
        wanted = f'error: logger.{name} needs packages that are not installed: pip install "tracerl[{name}]"'
        assert wanted in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.yaml").exists()
