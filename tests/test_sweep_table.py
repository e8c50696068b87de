"""The table of a sweep from folders made by hand: statuses, grouping, sorting, damaged files, exit codes."""

import csv
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from tests.checkpoints import Disk
from tests.helpers import exit_code
from tracerl.plot.table import as_csv
from tracerl.runs.folders import read_jobs
from tracerl.sweep.__main__ import main
from tracerl.sweep.jobs import jobs_asked_for
from tracerl.sweep.table import report, rows_of

ROW = struct.Struct("<iiqd")


def job(folder: Path, *overrides: str, **files: Any) -> Path:
    """Write a job's folder: its overrides and other files, by name without dots."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def summary(*returns: float | None, status: str = "finished", steps: int = 1000, **more: Any) -> dict[str, Any]:
    reached = {"w20>=9": [100 * i if value else None for i, value in enumerate(returns, 1)]}
    found = {"status": status, "steps": steps, "lifetimes": len(returns), "steps_per_second": 500.0}
    return {**found, "return_last100": {"per_life": list(returns)}, "milestones": reached, **more}


def lock_of(pid: int, host: str | None = None, updated: float | None = None) -> dict[str, Any]:
    return {
        "host": host or socket.gethostname(),
        "pid": pid,
        "updated": updated or time.time(),
        "step": 40,
        "steps": 90,
    }


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_status_of_a_job_is_read_from_its_files(tmp_path: Path) -> None:
    job(tmp_path / "0", summary__json=summary(1.0))
    job(tmp_path / "1", summary__json=summary(1.0, status="diverged"))
    job(tmp_path / "2", error__txt="Traceback ...\nConfigError: no")
    job(tmp_path / "3", config__yaml="", running__json=lock_of(os.getpid()))
    job(tmp_path / "4", config__yaml="", running__json=lock_of(ended_process()))
    job(tmp_path / "5", config__yaml="", running__json=lock_of(1, "elsewhere", time.time() - 60))
    job(tmp_path / "6", config__yaml="", running__json=lock_of(1, "elsewhere", time.time() - 600))
    job(tmp_path / "7", config__yaml="")
    job(tmp_path / "8")
    job(tmp_path / "9", summary__json='{"status": "fin', config__yaml="")
    job(tmp_path / "10", running__json=lock_of(os.getpid()), summary__json=summary(2.0, status="interrupted"))
    jobs = read_jobs(tmp_path)
    expected = [
        "finished",
        "diverged",
        "refused",
        "running",
        "killed",
        "running",
        "killed",
        "killed",
        "waiting",
        "killed",
    ]
    assert [found.status for found in jobs] == [*expected, "running"]  # the last one is resumed
    assert jobs[2].error == "ConfigError: no" and jobs[3].steps == 40
    with pytest.deprecated_call():
        assert jobs[3].sign == jobs[3].heartbeat != {}  # the previous name


def test_files_of_other_programs_are_no_run(tmp_path: Path) -> None:
    contents = {"summary.json": '{"status": "done", "env": "CartPole"}', "returns.npz": "1,2", "config.yaml": "a: 1"}
    for name, text in contents.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
    assert read_jobs(tmp_path) == []
    job(tmp_path / "copied", summary__json=summary(1.0))
    (tmp_path / "copied" / "overrides.yaml").unlink(missing_ok=True)
    assert [found.folder.name for found in read_jobs(tmp_path)] == ["copied"]


def test_a_resumed_run_counts_as_what_it_is_now(tmp_path: Path) -> None:
    sign = {**lock_of(ended_process()), "step": 1500}
    job(tmp_path / "0", summary__json=summary(7.0), running__json=sign, config__yaml="")
    job(tmp_path / "1", summary__json=summary(7.0), running__json={**sign, "step": 1000}, config__yaml="")
    resumed, ended = read_jobs(tmp_path)
    assert (resumed.status, resumed.steps, resumed.summary) == ("killed", 1500, {})
    assert (ended.status, ended.steps) == ("finished", 1000)  # killed after it wrote its summary
    (tmp_path / "0" / "returns.part").write_bytes(ROW.pack(0, 600, 1600, 2.0) + ROW.pack(1, 100, 1500, 2.0))
    assert read_jobs(tmp_path)[0].steps == 1600  # an episode ended after the last heartbeat


def test_seeds_are_grouped_and_the_best_row_is_first(tmp_path: Path) -> None:
    for i, (decay, seed, *returns) in enumerate(
        [("0.5", 0, 1.0, 3.0), ("0.5", 2, 2.0), ("0.9", 0, 8.0), ("0.9", 1, None)]
    ):
        job(tmp_path / str(i), f"agent.x={decay}", f"seed={seed}", "hydra.run.dir=x", summary__json=summary(*returns))
    job(tmp_path / "4", "agent.x=0.7", "seed=0", error__txt="no")
    rows = rows_of(read_jobs(tmp_path))
    assert [(row["agent.x"], row["jobs"], row["lives"]) for row in rows] == [
        ("0.9", 2, 2),
        ("0.5", 2, 3),
        ("0.7", 1, 0),
    ]
    assert rows[0]["iqm"] == 8.0 and rows[0]["ci_low"] is None and rows[0]["w20>=9"] == "1/2, 100"
    assert rows[1]["iqm"] == pytest.approx(2.0) and rows[1]["lowest"] == 1.0
    assert 1.0 <= rows[1]["ci_low"] <= 2.0 <= rows[1]["ci_high"] <= 3.0
    assert rows[2]["iqm"] is None and rows[2]["status"] == "refused"


def test_rows_are_sortable_by_any_column_with_numeric_order(tmp_path: Path) -> None:
    for i, width in enumerate(("100", "9", "20")):
        job(tmp_path / str(i), f"n={width}", summary__json=summary(float(i)))
    assert [row["n"] for row in rows_of(read_jobs(tmp_path), sort="n")] == ["9", "20", "100"]
    with pytest.raises(ValueError, match="--sort must be one of n, status, jobs, lifetimes, .*; got 'm'"):
        rows_of(read_jobs(tmp_path), sort="m")
    assert rows_of(read_jobs(tmp_path), sort="steps/s") == rows_of(read_jobs(tmp_path), sort="steps_per_second")


def test_columns_beside_settings_of_the_same_name_have_other_heads(tmp_path: Path) -> None:
    for i, steps in enumerate((100, 20)):
        job(tmp_path / str(i), f"steps={steps}", "lifetimes=1", summary__json=summary(float(i), steps=steps))
    out = io.StringIO()
    report(tmp_path, Console(file=out))
    heads = next(line for line in out.getvalue().splitlines() if "status" in line).split("  ")
    assert [head.strip() for head in heads if head][:5] == ["steps", "status", "jobs", "lifetimes", "steps so far"]
    assert [row["steps"] for row in rows_of(read_jobs(tmp_path), sort="steps")] == ["20", "100"]
    assert [row["lived"] for row in rows_of(read_jobs(tmp_path), sort="steps so far")] == [20, 100]


def test_table_prints_common_settings_once_and_truncates_nothing(tmp_path: Path) -> None:
    long = "agent." + "x" * 60
    for i in range(2):
        job(tmp_path / str(i), "env=CartPole", f"{long}={i}", "seed=0", summary__json=summary(float(i), 2.0))
    out = io.StringIO()
    jobs = report(tmp_path, Console(file=out, width=40))
    output = out.getvalue()
    assert len(jobs) == 2 and "all with env=CartPole" in output and long in output and "…" not in output
    assert f"{tmp_path}: 2 jobs begun: 2 finished" in output.replace("\n", "")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_table_on_a_terminal_prints_every_value_whole(tmp_path: Path, width: int) -> None:
    for i in range(2):
        overrides = ("env=CartPole", f"agent.step_size=0.00{i + 1}", f"network.hidden=[{i},16]", "seed=0")
        job(tmp_path / str(i), *overrides, summary__json=summary(float(i + 1), 2.0))
    out = io.StringIO()
    report(tmp_path, Console(file=out, width=width, force_terminal=True, no_color=True))
    output = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert "…" not in output and "0.001" in output and "[1,16]" in output and "2/2, 100" in output
    assert ("agent.step_size: 0.002\nnetwork.hidden: [1,16]\nstatus: finished\n" in output) == (width < 200)


def test_one_job_is_in_the_singular(tmp_path: Path) -> None:
    job(tmp_path / "0", "a=1", summary__json=summary(1.0))
    out = io.StringIO()
    report(tmp_path, Console(file=out))
    assert ": 1 job begun: finished" in out.getvalue()


def test_invalid_files_and_brackets_affect_only_their_job(tmp_path: Path) -> None:
    job(tmp_path / "0", "env.milestones=[w20>=5]", "network.reset=[reset]", error__txt="Error: no [/tmp/x] here")
    job(tmp_path / "1", summary__json={"status": "finished", "return_last100": None, "milestones": {}})
    job(tmp_path / "2", running__json={"host": "elsewhere", "updated": "x"}, config__yaml="")
    job(tmp_path / "3", running__json={"host": socket.gethostname(), "pid": 0}, config__yaml="")
    for i, content in enumerate((b"5", b"\xff\xfe", b"[torn")):
        (job(tmp_path / str(4 + i)) / ".hydra" / "overrides.yaml").write_bytes(content)
    out = io.StringIO()
    jobs = report(tmp_path, Console(file=out), each=True)
    assert [found.status for found in jobs] == ["refused", "finished", "killed", "killed", *["waiting"] * 3]
    assert "[w20>=5]" in out.getvalue() and "no [/tmp/x] here" in out.getvalue()


def test_csv_has_every_column_untruncated(tmp_path: Path) -> None:
    job(tmp_path / "0", "a=1", summary__json=summary(1 / 3, 2 / 3))
    job(tmp_path / "1", "a=2", "b=x,y", summary__json=summary(0.5))
    rows = list(csv.DictReader(io.StringIO(as_csv(rows_of(read_jobs(tmp_path))))))
    assert rows[0]["a"] == "1" and float(rows[0]["iqm"]) == pytest.approx(0.5, abs=1e-15) and rows[0]["b"] == ""
    assert rows[1]["b"] == "x,y"


def test_number_of_requested_jobs_is_that_of_the_grid(tmp_path: Path) -> None:
    task = ["env=CartPole,Acrobot", "seed=range(5)", "steps=10"]
    hydra = {"sweeper": {"params": {"agent.x": "0.1,0.2"}}, "overrides": {"task": task}}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    assert jobs_asked_for(tmp_path) == 20
    hydra["overrides"] = {"task": ["env=CartPole,Acrobot", "agent.x=0.3"]}  # in place of the two of the params
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    assert jobs_asked_for(tmp_path) == 2
    hydra["sweeper"]["_target_"] = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    assert jobs_asked_for(tmp_path) is None
    (tmp_path / "multirun.yaml").write_text("torn: [")
    assert jobs_asked_for(tmp_path) is None


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    code = exit_code(main, monkeypatch, *arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_command_line_prints_the_table_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "s" / "0", "a=1", summary__json=summary(1.0))
    (tmp_path / "empty").mkdir()
    code, out, _ = run_command(monkeypatch, capsys, str(tmp_path / "s"), "--jobs", "--csv", str(tmp_path / "t.csv"))
    assert code == 0 and "finished" in out and (tmp_path / "t.csv").read_text().startswith("job,a,")
    assert run_command(monkeypatch, capsys, str(tmp_path / "s"), "--csv", "-")[1].startswith("a,status")
    for arguments, message in (
        ([str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path / "empty")], "no run has begun in"),
        ([str(tmp_path / "s"), "--sort", "z"], "--sort must be one of"),
        ([str(tmp_path / "s"), "--csv", "/dev/null/x"], "--csv must be a file that can be written, got '/dev/null/x'"),
        ([str(tmp_path / "s"), "--plot", str(tmp_path / "x" / "y.png")], "--plot must be a file that can be written"),
        ([str(tmp_path / "s"), "--effects", "x.gif"], "--effects must end with .png, .pdf, .svg; got 'x.gif'"),
        ([""], "argument folder: must be a path, got ''"),
        ([str(tmp_path / "s"), "--csv", ""], "argument --csv: must be a path, got ''"),
    ):
        code, out, error = run_command(monkeypatch, capsys, *arguments)
        assert code == 2 and message in error and len(error.splitlines()) == 1 and not out


def test_csv_on_a_full_disk_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "s" / "0", "a=1", summary__json=summary(1.0))
    table = tmp_path / "t.csv"
    table.write_text("old")
    Disk(monkeypatch, "full from then on", 2)
    code, _, error = run_command(monkeypatch, capsys, str(tmp_path / "s"), "--csv", str(table))
    assert code == 2 and "t.csv" in error and table.read_text() == "old" and not list(tmp_path.glob("*.part"))


def test_names_that_are_not_unicode_are_written_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "s" / "0\udcff", "a=1", summary__json=summary(1.0))
    assert run_command(monkeypatch, capsys, str(tmp_path / "s"), "--jobs", "--csv", str(tmp_path / "t.csv"))[0] == 0
    assert "0\\udcff,1,finished" in (tmp_path / "t.csv").read_text()
