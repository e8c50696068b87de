"""Sweeps with jobs in one process; ``test_launchers.py`` has those in many."""

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from tests.forks import run, start
from tests.test_run import Run, run_here
from tracerl.lifetime.callbacks import Callback, RunState
from tracerl.runs.folders import read_jobs

__all__ = ["run_here"]  # the fixture

LIFETIMES = ("steps=300", "network.hidden=[8]", "logger.every=100", "seed=4")


def statuses(folder: Path) -> dict[str, str]:
    """Return the status of the jobs that ended, by folder."""
    summaries = sorted(folder.glob("*/summary.json"))
    return {path.parent.name: json.loads(path.read_text())["status"] for path in summaries}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run eight jobs in one process: every other one fails, the rest differ in engine and number of lifetimes."""
    folder = tmp_path_factory.mktemp("swept")
    axes = ("engine=torch,fused", "lifetimes=3,1", "dtype=int8,float64")
    result = run(folder, "-m", *LIFETIMES, *axes, "hydra.sweep.dir=here")
    assert result.returncode == 1
    assert statuses(folder / "here") == dict.fromkeys("1357", "finished")
    assert sorted(path.parent.name for path in folder.glob("here/*/error.txt")) == ["0", "2", "4", "6"]
    return folder


def curves(folder: Path) -> dict[str, list[float]]:
    """Return every number that a run logged, except its speed."""
    events = EventAccumulator(str(folder)).Reload()
    tags = set(events.Tags()["scalars"]) - {"time/fps"}
    return {tag: [point.value for point in events.Scalars(tag)] for tag in tags}


@pytest.mark.parametrize(("job", "own"), [("5", ("lifetimes=3",)), ("7", ("lifetimes=1",))])
def test_jobs_in_one_process_are_bit_identical_to_single_runs(swept: Path, job: str, own: tuple[str, ...]) -> None:
    alone = swept / f"alone{job}"
    assert run(swept, *LIFETIMES, *own, "engine=fused", "dtype=float64", f"hydra.run.dir={alone}").returncode == 0
    with np.load(swept / "here" / job / "returns.npz") as found, np.load(alone / "returns.npz") as expected:
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert curves(swept / "here" / job) == curves(alone)  # also of weights, traces and spikes
    results = [json.loads((folder / "summary.json").read_text()) for folder in (swept / "here" / job, alone)]
    for key in ("engine", "lifetimes", "steps", "episodes", "return_last100", "reward_rate_last10000", "milestones"):
        assert results[0][key] == results[1][key], key


def test_hparams_have_all_jobs_in_one_table(swept: Path) -> None:
    sweep = swept / "here"
    assert [len(list((sweep / job).glob("events*"))) for job in "1357"] == [1, 1, 1, 1]
    runs = EventMultiplexer().AddRunsFromDirectory(str(sweep)).Reload()
    assert sorted(runs.Runs()) == ["1", "3", "5", "7"]  # only the runs of the jobs
    provider = MultiplexerDataProvider(runs, str(sweep))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(sweep)))
    tag = api_pb2.MetricName(tag="rollout/ep_rew_mean")
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=[api_pb2.STATUS_SUCCESS],
        col_params=[api_pb2.ColParams(hparam="engine"), api_pb2.ColParams(metric=tag)],
    )
    table = list_session_groups.Handler(RequestContext(), context, "", request).run()
    assert table.total_size == 4
    for group in table.session_groups:
        (session,) = group.sessions
        assert group.hparams["dtype"].string_value == "float64"
        assert "steps" in group.hparams and "env.steps" not in group.hparams  # the default of the env
        assert group.hparams["lifetimes"].number_value == (3 if session.name in "15" else 1)
        assert group.hparams["engine"].string_value == ("torch" if session.name in "13" else "fused")
        (metric,) = [value for value in session.metric_values if value.name == tag]
        assert metric.value == curves(sweep / session.name)["rollout/ep_rew_mean"][-1]


def test_resume_skips_finished_jobs_and_continues_the_rest(swept: Path) -> None:
    sweep = shutil.copytree(swept / "here", swept / "copy")
    kept, lost = sweep / "1" / "summary.json", sweep / "7" / "summary.json"
    before, returns = kept.stat().st_mtime_ns, json.loads(lost.read_text())["return_last100"]
    lost.unlink()  # as of a killed job
    axes = ("engine=torch,fused", "lifetimes=3,1", "dtype=int8,float64")
    result = run(swept, "-m", *LIFETIMES, *axes, "hydra.sweep.dir=copy", "resume=true")
    assert result.returncode == 1  # failed jobs fail again
    assert [int(job) for job in re.findall(r"finished before: .*/(\d)/summary", result.stdout)] == [1, 3, 5]
    assert kept.stat().st_mtime_ns == before
    assert json.loads(lost.read_text())["return_last100"] == returns


def test_a_refused_command_changes_no_table_and_fails(swept: Path) -> None:
    sweep = shutil.copytree(swept / "here", swept / "refused")
    before = [job.overrides for job in read_jobs(sweep) if job.status == "finished"]
    axes = ("engine=torch", "lifetimes=3,1", "dtype=int8,float64", "hydra.sweep.dir=refused")
    for others, message in (
        (("resume=true", "agent.entropy=0.3"), "agent.entropy must be 0.1"),
        ((), "already holds a run"),
    ):
        result = run(swept, "-m", *LIFETIMES, *axes, *others)
        assert result.returncode == 1 and message in result.stderr
        assert f"2 finished before, with an error of this command: {sweep / '1'}, {sweep / '3'}" in result.stdout
        jobs = [job for job in read_jobs(sweep) if job.status == "finished"]
        assert [job.overrides for job in jobs] == before and message in jobs[0].error
    run(swept, "-m", *LIFETIMES, *axes, "resume=true")
    assert not any(job.error for job in read_jobs(sweep) if job.status == "finished")


def test_sweeps_of_the_same_second_have_different_folders(tmp_path: Path) -> None:
    arguments = ("-m", "env=CartPole", "agent=random", "steps=50", "logger=none", "seed=0,1")
    both = [start(tmp_path, *arguments) for _ in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    sweeps = list(tmp_path.glob("runs/sweeps/*"))
    assert len(sweeps) == 2
    assert [statuses(sweep) for sweep in sweeps] == [{"0": "finished", "1": "finished"}] * 2


def test_sweep_from_a_yaml_needs_the_multirun_flag(run_here: Run, tmp_path: Path) -> None:
    result = run_here("experiment=traces_and_entropy")
    assert result.returncode == 2
    assert "error: hydra.sweeper.params is given, so this is a sweep: python -m tracerl.run -m ..." in result.stderr
    fewer = ("env=CartPole", "agent.entropy=0.1", "agent.trace_decay=0.8,0.9", "lifetimes=2", "steps=300")
    result = run(tmp_path, "-m", "experiment=traces_and_entropy", *fewer, "logger=none", "hydra.sweep.dir=here")
    assert result.returncode == 0, result.stderr
    assert statuses(tmp_path / "here") == {"0": "finished", "1": "finished"}


def test_job_requeued_by_slurm_resumes_itself(run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("agent=random", "steps=50", "logger=none", "hydra.run.dir=here")
    assert run_here(*arguments).returncode == 0
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert "already holds a run" in run_here(*arguments).stderr
    (tmp_path / "here" / "summary.json").unlink()  # as at the time limit
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert run_here(*arguments).returncode == 0
    assert (tmp_path / "here" / "summary.json").exists()


def test_job_requeued_by_slurm_does_not_go_back_to_its_checkpoint_again(
    run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("agent=random", "logger=none", "checkpoint.every=20", "checkpoint.keep_last=9")
    assert run_here(*settings, "steps=50", "hydra.run.dir=here").returncode == 0
    again = ("resume=here/checkpoints/step-000000000020", "steps=90")
    assert "resumed at step 20" in run_here(*again).stdout
    (tmp_path / "here" / "summary.json").unlink()  # as at the time limit
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert "resumed at step 90" in run_here(*again).stdout


class EndSignal(Callback):
    """A callback that receives a signal at the end of the run in the folder ``1``, and can fail then."""

    def __init__(self, number: int, fails: bool = False) -> None:
        self.number, self.fails = number, fails

    def on_end(self, run: RunState, status: str) -> None:
        if run.folder is not None and run.folder.name == "1":
            signal.raise_signal(self.number)
            if self.fails:
                raise ValueError("at the end")


@pytest.mark.parametrize(("number", "fails"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_signal_at_the_end_of_a_job_ends_the_sweep_after_it(
    run_here: Run, tmp_path: Path, number: signal.Signals, fails: bool
) -> None:
    callback = f"callbacks.x={{_target_: tests.test_sweeps.EndSignal, number: {int(number)}, fails: {fails}}}"
    result = run_here(
        "-m", "agent=random", "steps=60", "logger=none", "seed=range(3)", callback, "hydra.sweep.dir=here"
    )
    assert result.returncode == 128 + number and "Traceback" not in result.stderr
    assert statuses(tmp_path / "here") == {"0": "finished", "1": "failed" if fails else "finished"}
    assert ("error: failed: " in result.stderr) == fails
