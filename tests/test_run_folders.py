"""Received, damaged and partial run folders, resumed from the command line."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core import utils
from tracerl.agents.random import RandomAgent

from tests.checkpoints import forge
from tests.helpers import command
from tests.kills import curves, differences
from tests.test_files import KINDS
from tracerl.runs.folders import read_jobs

QUICK = ["network.hidden=[8]", "logger.every=200", "logger.histograms_every=200", "logger.pictures_every=null"]
QUICK = [*QUICK, "steps=400"]  # schedules in env steps: shares of the run would change with its length
UNKEPT = ["env=gymnasium", "env.id=tests.toy_envs:Null-v0", "agent=random"]  # the state of this env cannot be saved


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        assert command([*QUICK, "hydra.run.dir=run"], patch, folder) == 0
        assert command([*QUICK, "steps=600", "hydra.run.dir=longer"], patch, folder) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a finished run of 400 steps."""
    return Path(shutil.copytree(finished / "run", tmp_path / "run"))


@pytest.fixture
def resume(run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Resume the run up to 600 steps; return the exit code and stderr."""

    def go_on(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = command([*(arguments or ("resume=run", "steps=600"))], monkeypatch, run.parent)
        output = capfd.readouterr().err
        assert "Traceback" not in output
        return code, output

    yield go_on


def checkpoint_of(run: Path) -> Path:
    return next((run / "checkpoints").glob("step-*"))


def forge_info(run: Path, **changes: Any) -> None:
    info = json.loads((checkpoint_of(run) / "manifest.json").read_text())["info"]
    forge(checkpoint_of(run), info={key: value for key, value in {**info, **changes}.items() if value is not ...})


@pytest.mark.parametrize("old", [True, False], ids=["old", "new"])
@pytest.mark.parametrize("absolute", [True, False])
def test_checkpoint_that_names_a_file_outside_its_folder_raises_an_error(
    run: Path, resume: Any, absolute: bool, old: bool
) -> None:
    outside = run.parent / "thesis.tex"
    outside.write_text("my work")
    named = str(outside) if absolute else "../thesis.tex"
    forge_info(run, log=[named, 0, 0, []] if old else {"steps": 0, "offsets": {"tensorboard": [named, 0, []]}})
    code, output = resume()
    place = "info.log.0" if old else "info.log.offsets.tensorboard.0"
    assert code == 2 and f"{place} must be the bare name of an event file, got" in output
    assert outside.read_text() == "my work"


WRITTEN = ["config.yaml", "overrides.yaml", "summary.json", "returns.part", "returns.npz", "returns.npz.part"]
WRITTEN += ["running.json", "error.txt", "config.yaml.part", "events.out.tfevents.1.host.2.0"]
WRITTEN += [".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml", "checkpoints", ".hydra", "diverged"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, ("resume=run",)) for name in WRITTEN),
        *((name, (*QUICK, "hydra.run.dir=run", "resume=auto")) for name in ("config.yaml", ".hydra/config.yaml")),
    ],
)
def test_links_do_not_redirect_writes_out_of_the_folder(
    run: Path, resume: Any, name: str, arguments: tuple[str, ...]
) -> None:
    outside = run.parent / "outside"
    if name in ("checkpoints", ".hydra", "diverged"):
        outside.mkdir()
        shutil.rmtree(run / name, ignore_errors=True)
    else:
        outside.write_text("my work")
        (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    code, output = resume(*arguments, "steps=600")
    assert code == 2 and f"{name} must be a" in output and "it is a symbolic link" in output
    assert not any(outside.iterdir()) if outside.is_dir() else outside.read_text() == "my work"


def test_linked_job_folder_of_a_sweep_raises_an_error(run: Path, resume: Any) -> None:
    (run.parent / "sweep").mkdir()
    (run.parent / "sweep" / "0").symlink_to(run)
    code, output = resume(*QUICK, "-m", "hydra.sweep.dir=sweep", "resume=auto", "seed=0,1")
    assert code == 2 and "hydra.sweep.dir must be a folder whose files are its own" in output


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "link" not in kind])
@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml", "summary.json", "running.json", "returns.npz"])
def test_file_that_is_not_regular_raises_an_error_naming_it(
    run: Path, resume: Any, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    (run / name).unlink(missing_ok=True)
    KINDS[kind](run / name)
    code, output = resume()
    assert code == 2 and f"{name} must be a regular file, it is {kind}" in output


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_run_killed_before_its_summary_finishes_without_env_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifetimes: int
) -> None:
    arguments = [*UNKEPT, "steps=250", f"lifetimes={lifetimes}", "hydra.run.dir=run"]
    assert command(arguments, monkeypatch, tmp_path) == 0
    path = tmp_path / "run" / "summary.json"
    before = json.loads(path.read_text())
    path.unlink()
    assert command(["resume=run", "--trust"], monkeypatch, tmp_path) == 0
    after = json.loads(path.read_text())
    assert after["resumed"] == [{"step": 250, "new_episode": False}]  # no steps remained
    for key in ("status", "steps", "episodes", "return_last100", "reward_rate_last10000", "milestones"):
        assert after[key] == before[key], key
    assert command(["resume=run", "--trust", "steps=400"], monkeypatch, tmp_path) == 0
    longer = json.loads(path.read_text())
    assert longer["resumed"][-1] == {"step": 250, "new_episode": True} and longer["episodes"] == 3 * lifetimes


@pytest.mark.parametrize(
    ("lost", "how"),
    [
        (("config.yaml",), lambda path: path.write_text("a: [")),
        (("overrides.yaml",), Path.unlink),
        (("config.yaml", "overrides.yaml"), lambda path: path.write_text("")),
    ],
)
def test_settings_are_read_from_the_newest_checkpoint(
    run: Path, resume: Any, finished: Path, lost: tuple[str, ...], how: Callable[[Path], object]
) -> None:
    shutil.rmtree(run / ".hydra")
    for name in lost:
        how(run / name)
    code, output = resume()
    assert code == 0, output
    assert differences(finished / "longer", run) == []
    code, output = resume("resume=run", "seed=1", "steps=700")
    assert code == 2 and "seed must be 0, as in the run to resume" in output


def test_other_settings_raise_an_error_without_config_yaml(run: Path, resume: Any) -> None:
    (run / "config.yaml").write_text("")
    code, output = resume(*QUICK, "seed=1", "hydra.run.dir=run", "resume=auto")
    assert code == 2 and "seed must be 0, as in the run to resume" in output
    (run / "config.yaml").unlink()
    code, output = resume(*QUICK, "hydra.run.dir=run")
    assert code == 2 and "hydra.run.dir already holds a run" in output


@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml"])
def test_full_disk_does_not_change_the_settings(
    run: Path, resume: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracerl.runs import disk

    before = (run / name).read_text()
    with monkeypatch.context() as patch:

        def full(file: int, data: memoryview) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr(disk, "write", full)
        assert resume()[0] == 1
    assert (run / name).read_text() == before and not list(run.glob("*.part"))


def test_run_killed_before_its_config_was_written_starts(run: Path, resume: Any, finished: Path) -> None:
    for path in list(run.iterdir()):
        if path.name != ".hydra":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, output = resume()
    assert code == 0, output
    assert differences(finished / "longer", run) == []
    for path in list(run.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text("")
    code, output = resume()
    assert code == 2 and "names a run without overrides.yaml" in output
    assert f"hydra.run.dir='{run}' resume=auto" in output


@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(b"garbage" * 99), "cut", "flipped"])
def test_missing_log_raises_a_warning_and_a_new_file_is_written(
    run: Path, resume: Any, how: Any, finished: Path
) -> None:
    (events,) = run.glob("events*")
    data = events.read_bytes()
    if how == "cut":
        events.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        events.write_bytes(data[:1] + b"\xff" + data[2:])
    else:
        how(events)
    code, output = resume()
    assert code == 0 and output.count("warning: ") == 1 and "warning: the log so far is lost" in output
    events.unlink(missing_ok=True)
    whole = curves(finished / "longer")["learn/td_error"]
    assert curves(run)["learn/td_error"] == [point for point in whole if point[0] > 400]
    code, output = resume("resume=run", "steps=700")
    assert code == 0 and "warning" not in output


@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(b"garbage" * 99)])
def test_missing_episodes_raise_a_warning(run: Path, resume: Any, how: Any, finished: Path) -> None:
    with np.load(run / "returns.npz") as found:
        lost = len(found["step"])
    how(run / "returns.npz")
    code, output = resume()
    assert code == 0 and f"warning: {lost} of {lost} episodes are lost" in output
    with np.load(run / "returns.npz") as ours, np.load(finished / "longer" / "returns.npz") as theirs:
        np.testing.assert_array_equal(ours["step"], theirs["step"][lost:])
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (run, finished / "longer")]
    assert summaries[0]["episodes"] == summaries[1]["episodes"]


@pytest.mark.parametrize("name", ["settings", "seconds", "episodes", "resumed", "log", "world", "score"])
@pytest.mark.parametrize("value", [..., "text"])
def test_invalid_manifest_raises_an_error_naming_the_entry(run: Path, resume: Any, name: str, value: Any) -> None:
    forge_info(run, **{name: value})
    code, output = resume()
    assert code == 2 and f"checkpoint at step 400 cannot be used: info.{name}" in output


@pytest.mark.parametrize("runner", [{}, {"env": 1}, {"env": {"format": 1}}, {"env": {"$array": "nowhere"}}])
def test_invalid_env_runner_state_raises_an_error_naming_it(run: Path, resume: Any, runner: dict[str, Any]) -> None:
    forge_info(run, world=runner)
    code, output = resume()
    assert code == 2 and "resume cannot use the checkpoint at step 400" in output


@pytest.mark.parametrize("text", ['{"status": "finished"}', '{"status": "finished", "steps": "many"}'])
def test_summary_without_steps_raises_an_error_naming_them(run: Path, resume: Any, text: str) -> None:
    (run / "summary.json").write_text(text)
    code, output = resume()
    assert code == 2 and "summary.json must have the steps of a finished run as a whole number" in output


@pytest.mark.parametrize("text", ["", '{"status": 3, "steps": [1]}'])
def test_unreadable_summary_is_rewritten(run: Path, resume: Any, text: str, finished: Path) -> None:
    (run / "summary.json").write_text(text)
    assert resume("resume=run")[0] == 0
    found, before = (json.loads((folder / "summary.json").read_text()) for folder in (run, finished / "run"))
    assert (found["steps"], found["return_last100"]) == (400, before["return_last100"])
    (run / "summary.json").write_text('{"status": "finished", "steps": 400}')
    assert resume("resume=run")[0] == 0  # without a sweeper there is no objective


def test_other_commands_do_not_block_on_pipes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracerl.plot.series import reward_rate
    from tracerl.runs.compare import Group
    from tracerl.runs.folders import read_jobs
    from tracerl.runs.saved_run import load

    for name in ("summary.json", "config.yaml", "overrides.yaml", "running.json", "returns.npz", "error.txt"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    (run / ".hydra" / "overrides.yaml").unlink()
    for name in (".hydra/overrides.yaml", "returns.part", "events.out.tfevents.9"):
        os.mkfifo(run / name)
    (job,) = read_jobs(run)
    assert (job.summary, job.config, job.overrides, job.error, job.seed) == ({}, {}, {}, "", None)
    assert Group({}, [job]).all_lifetimes == [] and reward_rate(job) is not None
    assert load(run).step == 400 and load(run).config.network.hidden == [8]


class Reading(RandomAgent):
    """An agent that reads a file of its own."""

    def start(self, observation: np.ndarray) -> Any:
        raise FileNotFoundError(errno.ENOENT, "no such file", "/data/mine.txt")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("hydra.run.dir=file",), "hydra.run.dir"),
        (("hydra.run.dir=file/run",), "hydra.run.dir"),
        (("-m", "hydra.sweep.dir=file", "seed=0,1"), "hydra.sweep.dir"),
        (("-m", "hydra.sweep.dir=sweep", "seed=0,1"), "hydra.sweep.dir"),
    ],
)
def test_folder_that_cannot_be_written_is_named_by_its_setting(
    arguments: tuple[str, ...],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "sweep").mkdir()
    for name in ("file", "sweep/0"):
        (tmp_path / name).touch()
    assert command([*arguments, "agent=random", "steps=20", "logger=none"], monkeypatch, tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"error: {key} must be a folder that can be written: [")
    assert not [line for line in lines if "Warning" in line or "Callback" in line]


@pytest.mark.parametrize("arguments", [("hydra.run.dir=",), ("-m", "hydra.sweep.dir=''", "seed=0,1")], ids=len)
def test_empty_folder_raises_an_error_naming_its_setting(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*arguments, "agent=random", "steps=20"], monkeypatch, tmp_path) == 2
    key = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
    assert capsys.readouterr().err == f"error: {key} must be the path of a folder, got ''\n"
    assert not list(tmp_path.iterdir())


def test_refused_command_is_refused_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["steps=-1", "hydra.run.dir=refused"], monkeypatch, tmp_path) == 2
    assert command(["steps=-1", "hydra.run.dir=run"], monkeypatch, tmp_path) == 2
    found = {job.folder.name: (job.status, job.error) for job in read_jobs(tmp_path)}
    problem = "tracerl.config.checks.ConfigError: steps must be a whole number of 1 or above, got -1"
    assert found == {"refused": ("refused", problem), "run": ("finished", "")}
    assert command([*QUICK, "hydra.run.dir=refused"], monkeypatch, tmp_path) == 0
    assert [job.status for job in read_jobs(tmp_path)] == ["finished", "finished"]


def test_file_elsewhere_that_cannot_be_read_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["agent=random", f"agent._target_={__name__}.Reading", "steps=20", "logger=none", "hydra.run.dir=run"]
    assert command(line, monkeypatch, tmp_path) == 1
    assert "error: failed: FileNotFoundError: [Errno 2] no such file: '/data/mine.txt' in " in capsys.readouterr().err
    assert "/data/mine.txt" in (tmp_path / "run" / "error.txt").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("arguments", [("hydra.run.dir=run",), ("-m", "hydra.sweep.dir=sweep", "seed=0,1")], ids=len)
def test_disk_that_is_full_at_the_start_is_one_line(
    arguments: tuple[str, ...],
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))  # as the write of a file does, without a name

    monkeypatch.setattr(utils, "_save_config", fail)
    assert command([*arguments, "agent=random", "steps=20", "logger=none"], monkeypatch, tmp_path) == 1
    problem = f"the files of the run cannot be written: [Errno {number}] {os.strerror(number)}"
    assert capsys.readouterr().err == f"error: {problem}\n"
