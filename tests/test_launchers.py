"""Sweeps on every launcher: jobs in separate processes, on this machine and on clusters."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.test_run import QUICK, ROOT, Run, command, run, run_here
from tests.test_sweeps import statuses
from tracerl.runs.lock import is_active, read

__all__ = ["run_here"]  # the fixture

SWEEP = (*QUICK, "logger=none", "hydra.sweep.dir=here")
KILLING = ("env=gymnasium", "env.id=tests.toy_envs:Killing-v0", "agent=random", "steps=300", "logger=none")
PLUGINS = importlib.util.find_spec("hydra_plugins") is not None
LAUNCHERS = ("joblib", "ray", "submitit_local", "submitit_slurm", "ray_local", "ray_cluster", "slurm")


@pytest.mark.skipif(PLUGINS, reason="the extra sweep is installed")
@pytest.mark.parametrize(
    "choice", [*(f"hydra/launcher={name}" for name in LAUNCHERS), "hydra/sweeper=optuna", "experiment=step_sizes"]
)
def test_missing_plugin_raises_an_error_with_the_install_command(run_here: Run, choice: str) -> None:
    result = run_here("-m", choice)
    assert result.returncode == 2
    first = result.stderr.splitlines()[0]
    assert first.startswith("error: ") and first.endswith('pip install "tracerl[sweep]"')


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a temporary folder with a path short enough for Ray's sockets, and set the token it needs."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", uuid.uuid4().hex)
    yield folder
    deadline = time.monotonic() + 30
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    shutil.rmtree(folder, ignore_errors=True)
    assert not left


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue
        found += [line] if str(folder) in line else []
    return found


def quiet(result: subprocess.CompletedProcess[str]) -> bool:
    """Assert that there is no warning."""
    return re.search("warning|whitelist|deprecat", result.stderr, re.IGNORECASE) is None


@pytest.mark.sweeps
@pytest.mark.parametrize(
    "launcher",
    [
        ("joblib", "hydra.launcher.n_jobs=2"),
        ("submitit_local",),
        ("ray_local", "hydra.launcher.ray.init.num_cpus=2"),
    ],
    ids=lambda launcher: launcher[0],
)
def test_launcher_runs_every_valid_job(tmp_path: Path, private: Path, launcher: tuple[str, ...]) -> None:
    name, *own = launcher
    pytest.importorskip("hydra_plugins")
    result = run(tmp_path, "-m", *SWEEP, "network.threshold=-1,0.25,0.5", f"hydra/launcher={name}", *own)
    assert result.returncode == 1, result.stderr
    assert statuses(tmp_path / "here") == {"1": "finished", "2": "finished"}
    assert "network.threshold must be" in (tmp_path / "here" / "0" / "error.txt").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"here"}
    assert (tmp_path / "here" / ".submitit").exists() == name.startswith("submitit")
    assert "Traceback" not in result.stderr and quiet(result)


@pytest.mark.sweeps
@pytest.mark.parametrize("launcher", ["submitit_local", "joblib"])
def test_sweep_is_resumed_after_a_killed_job(tmp_path: Path, launcher: str) -> None:
    pytest.importorskip("hydra_plugins")
    once = tmp_path / "killed"
    arguments = (f"+env.kwargs.once={once},null", "seed=0", f"hydra/launcher={launcher}", "hydra.sweep.dir=here")
    result = run(tmp_path, "-m", *KILLING, *arguments)
    assert result.returncode == 1
    assert once.exists() and "0" not in statuses(tmp_path / "here")
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: {launcher.split('_')[0]} gave the sweep up, which resume=true goes on with: ")
    assert "Traceback" not in result.stderr
    if launcher == "submitit_local":  # a killed joblib worker ends the others
        assert statuses(tmp_path / "here") == {"1": "finished"}
    result = run(tmp_path, "-m", *KILLING, *arguments, "resume=true")
    assert result.returncode == 0, result.stderr
    assert statuses(tmp_path / "here") == {"0": "finished", "1": "finished"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path, private: Path) -> Iterator[str]:
    """Start a Ray cluster of a head without jobs and a worker in another folder."""
    pytest.importorskip("ray")
    port = free_port()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    head = [f"--port={port}", "--head", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={private}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    nodes = []
    try:
        for own in (head, [f"--address=127.0.0.1:{port}", "--num-cpus=2"]):
            log = (tmp_path / f"node{len(nodes)}.log").open("w")
            nodes.append(subprocess.Popen([*ray, *own], cwd=elsewhere, env=environment, stdout=log, stderr=log))
            log.close()
            deadline = time.monotonic() + 60
            while "--block" not in Path(log.name).read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.wait(timeout=60)


@pytest.mark.sweeps
def test_running_ray_cluster_is_used_by_its_address(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    result = run(tmp_path, "-m", *SWEEP, "network.threshold=-1,0.25,0.5", "hydra/launcher=ray_cluster")
    assert result.returncode == 1, result.stderr
    assert statuses(tmp_path / "here") == {"1": "finished", "2": "finished"}
    assert (tmp_path / "here" / "0" / "error.txt").exists()
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "Traceback" not in result.stderr and quiet(result)


@pytest.mark.sweeps
@pytest.mark.parametrize(
    ("launcher", "reason"),
    [("ray_cluster", "ConnectionError: Could not find any running Ray"), ("slurm", "RuntimeError: Could not detect")],
)
def test_missing_cluster_prints_one_line(tmp_path: Path, launcher: str, reason: str) -> None:
    pytest.importorskip("hydra_plugins")
    if os.environ.get("RAY_ADDRESS") or shutil.which("srun"):
        pytest.skip("there is one")
    result = run(tmp_path, "-m", *SWEEP, f"hydra/launcher={launcher}")
    assert result.returncode == 1
    assert re.match(rf"error: \w+ gave the sweep up, .*{reason}", result.stderr.splitlines()[-1])
    assert "Traceback" not in result.stderr


@pytest.mark.sweeps
def test_study_is_shared_by_commands_and_resumed(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    search = ("experiment=step_sizes", "steps=500", "lifetimes=2", "hydra.sweeper.n_trials=2")
    arguments = command("-m", *search, "logger=none", "hydra.sweep.dir=here")
    both = [subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    result = run(tmp_path, *arguments[5:], "hydra/launcher=joblib", "hydra.sweeper.n_jobs=2")
    assert result.returncode == 0 and quiet(result), result.stderr
    study = optuna.load_study(study_name="step_sizes", storage=f"sqlite:///{tmp_path / 'here' / 'study.db'}")
    values = [trial.value for trial in study.trials]
    assert len(values) == 6 and study.best_value == max(values)
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob("here/*/summary.json")]
    assert sorted(values) == sorted(summary["return_last100"]["iqm"] for summary in summaries)


@pytest.mark.sweeps
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_jobs_of_joblib_write_their_checkpoints_after_a_signal(tmp_path: Path, number: int, code: int) -> None:
    pytest.importorskip("hydra_plugins")
    jobs = ("seed=0,1,2", "steps=100000000", "network.hidden=[8]", "logger=none")
    line = command("-m", *jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=here")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sweep = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(_steps(tmp_path / "here" / name) > 0 for name in "01"):
            time.sleep(0.2)
        if number == signal.SIGINT:
            os.killpg(sweep.pid, number)  # as a terminal does
        else:
            sweep.send_signal(number)
        assert sweep.wait(60) == code
    finally:
        with suppress(ProcessLookupError):
            os.killpg(sweep.pid, signal.SIGKILL)
    for name in "01":
        summary = json.loads((tmp_path / "here" / name / "summary.json").read_text())
        assert summary["status"] == "interrupted"
        assert [path.name for path in (tmp_path / "here" / name / "checkpoints").glob(f"*{summary['steps']}")]
        assert not is_active(tmp_path / "here" / name)


def _steps(job: Path) -> int:
    """Return the steps of a running job; 0 before the first are counted."""
    found = (read(job) or {}).get("step", 0)
    return int(found)


@pytest.mark.sweeps
def test_axis_that_optuna_cannot_use_raises_an_error(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    result = run(tmp_path, "-m", *SWEEP, "hydra/sweeper=optuna", "agent.entropy=interval(0.3,0.1)")
    assert result.returncode == 2
    assert re.search("^error: hydra.sweeper must have settings and axes that Optuna can use: ", result.stderr, re.M)


@pytest.mark.sweeps
def test_workers_that_compile_concurrently_share_one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ("seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.launcher.batch_size=1")
    result = run(tmp_path, "-m", *SWEEP, *arguments)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert set(statuses(tmp_path / "here").values()) == {"finished"}
    assert list((tmp_path / "cache").rglob("*.nbi"))
