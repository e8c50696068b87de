"""Searches with Optuna: trials, their runs, pruning, resumption, workers and wrong inputs."""

import csv
import json
import math
import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forks import __name__ as forks
from tests.helpers import command, exit_code
from tests.kills import modules_of_a_run
from tracerl.lifetime.record import Record
from tracerl.runs.folders import read_jobs

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.exceptions import StorageInternalError  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from tracerl.config.checks import ConfigError  # noqa: E402
from tracerl.search import __main__ as command_line  # noqa: E402
from tracerl.search import objective, results, study  # noqa: E402
from tracerl.search.space import read  # noqa: E402

RUN = ("env=CartPole", "env.backend=compiled", "steps=300", "network.hidden=[8]", "logger=none")
SPACE = ("agent.entropy=tag(log,interval(0.01,0.2))", "optimizer.value.eta=interval(0.1,0.9)")

Search = Callable[..., tuple[int, str, str]]


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Search:
    """Return the exit code, stdout and stderr of the command line, called in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        threads = torch.get_num_threads()
        code = exit_code(command_line.main, monkeypatch, *arguments)
        torch.set_num_threads(threads)
        return code, *capsys.readouterr()

    return call


def trials_in(path: str, name: str = "CartPole") -> list[Any]:
    """Return the trials of a study as another program reads them."""
    found: list[Any] = optuna.load_study(study_name=name, storage=f"sqlite:///{path}").trials
    return found


def plan_in(folder: Path) -> study.Plan:
    """Return the plan of a search in a folder."""
    return study.Plan(
        space=read((*RUN, *SPACE), None),
        study=folder / "s.db",
        name="CartPole",
        objective="return",
        steps=300,
        reports=10,
        sampler="tpe",
        pruner="none",
        seed=0,
        deadline=0.0,
    )


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_search_runs_trials_and_prints_the_best(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = search(*RUN, *SPACE, "--trials", "3", "--study", "s.db", "--seed", "0")
    assert (code, err) == (0, "")
    trials = trials_in("s.db")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert trials[0].params == {"agent.entropy": 0.1, "optimizer.value.eta": 0.5}  # the settings as given
    assert all(trial.intermediate_values.keys() == set(range(30, 301, 30)) for trial in trials)
    jobs = read_jobs(tmp_path / "s")
    assert [(job.folder.name, job.status) for job in jobs] == [(name, "finished") for name in "012"]
    for job, trial in zip(jobs, trials, strict=True):
        assert trial.values == [job.summary["return_last100"]["mean"]]
        assert {key: float(job.overrides[key]) for key in trial.params} == trial.params
    with (tmp_path / "s" / "CartPole" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [trial.values[0] for trial in trials]
    assert [float(row["agent.entropy"]) for row in rows] == [trial.params["agent.entropy"] for trial in trials]
    line = shlex.split(out.splitlines()[-1])
    assert line[:3] == ["python", "-m", "tracerl.run"]
    assert command([*line[3:], "hydra.run.dir=again"], monkeypatch, tmp_path) == 0
    assert summary(tmp_path / "again")["return_last100"]["mean"] == max(trial.values[0] for trial in trials)


def test_any_number_of_trials_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[int]()

    def work(plan: object, left: Any, *others: object) -> bool:
        found.append(left.value)
        return study._take(left)

    monkeypatch.setattr(study, "work", work)
    monkeypatch.setattr(study, "_fail", lambda *_: None)
    assert study.run(replace(plan_in(tmp_path), seed=None), 2**63 - 1, 1, None) == []
    assert found == [2**63 - 1]


def test_a_study_that_exists_is_continued(search: Search) -> None:
    options = ("--study", "s.db", "--seed", "0", "--sampler", "random")
    assert search(*RUN, *SPACE, "--trials", "2", *options)[0] == 0
    code, out, _ = search(*RUN, "threads=1", *SPACE, "--trials", "1", *options)  # without effect on the values
    assert code == 0 and "which has 2 trials (2 complete)" in out
    trials = trials_in("s.db")
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert len({trial.params["agent.entropy"] for trial in trials}) == 3  # the seed does not repeat its samples


def test_a_study_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    assert study.prepare(plan) == [] and study.prepare(plan) == []
    for changed, message in (
        ({"space": read((*RUN, "seed=1", *SPACE), None)}, "has run ["),
        ({"space": read((*RUN, SPACE[0]), None)}, "has space {"),
        ({"objective": "area"}, 'has objective "return", got "area"'),
        ({"reports": 5}, "has reports 10, got 5"),
    ):
        with pytest.raises(ConfigError, match="--name must be another for other settings") as error:
            study.prepare(replace(plan, **changed))
        assert message in str(error.value)


def test_a_new_study_does_not_write_into_runs_of_another(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    (plan.folder / "0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="--name must be another: .* has runs"):
        study.prepare(plan)


def test_a_name_that_no_folder_can_have_ends_before_the_first_trial(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^--name must be that of a folder that can be made: .* too long"):
        study.prepare(replace(plan_in(tmp_path), name="a" * 300))


def test_workers_share_the_trials(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("forkserver")  # as spawn, with the imports done
    context.set_forkserver_preload([*modules_of_a_run(), "tracerl.search.study", forks])
    monkeypatch.setattr(study, "get_context", lambda _: context)
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    handler = signal.getsignal(signal.SIGINT)  # of a process in the background, which ignores it, or Python's
    assert search(*RUN, *SPACE, "--trials", "4", "--workers", "2", "--study", "s.db")[0] == 0
    trials = trials_in("s.db")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert os.getpid() not in {trial.user_attrs["process"] for trial in trials}
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_pruned_trial_ends_early_and_can_be_resumed(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def threshold(steps: int, every: int) -> Any:
        asked.append((steps, every))
        return optuna.pruners.ThresholdPruner(lower=1e6)

    monkeypatch.setitem(study.PRUNERS, "median", threshold)
    code, out, err = search(*RUN, *SPACE, "--trials", "1", "--study", "s.db", "--reports", "4")
    assert code == 1 and "no trial was completed" in err and "trial 0: pruned at step 75, " in out
    assert asked == [(300, 75)]
    assert [trial.state for trial in trials_in("s.db")] == [TrialState.PRUNED]
    folder = tmp_path / "s" / "CartPole" / "0"
    assert (summary(folder)["status"], summary(folder)["steps"]) == ("finished", 75)
    assert command([f"resume={folder}"], monkeypatch, tmp_path) == 0
    assert (summary(folder)["status"], summary(folder)["steps"]) == ("finished", 300)


def test_a_trial_that_diverges_counts_as_failed_and_the_search_continues(search: Search, tmp_path: Path) -> None:
    env = ("env=gymnasium", "env.id=tests.toy_envs:Broken-v0", "agent=random", "steps=60", "logger=none")
    axis = "env.kwargs.how=choice(well,reward)"
    code, out, _ = search(*env, axis, "--trials", "4", "--study", "s.db", "--name", "b", "--seed", "1")
    assert code == 0
    trials = {how: [] for how in ("well", "reward")}  # type: dict[str, list[Any]]
    for trial in trials_in("s.db", "b"):
        trials[trial.params["env.kwargs.how"]].append(trial)
    assert {trial.state for trial in trials["well"]} == {TrialState.COMPLETE}
    assert {trial.state for trial in trials["reward"]} == {TrialState.FAIL}
    number = trials["reward"][0].number
    assert f"trial {number}: failed, diverged: the env returned the reward nan in step 50" in out
    assert summary(tmp_path / "s" / "b" / str(number))["status"] == "diverged"
    with (tmp_path / "s" / "b" / "trials.csv").open() as file:
        assert [row["state"] for row in csv.DictReader(file)].count("fail") == len(trials["reward"])


def test_ctrl_c_ends_the_search_and_prints_the_best(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    call = objective.Reports.call

    def interrupted(self: Any, records: Sequence[Record], agent: object) -> None:
        call(self, records, agent)
        if self._trial.number == 1 and records[0].step == 90:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(objective.Reports, "call", interrupted)
    code, out, err = search(*RUN, *SPACE, "--trials", "4", "--study", "s.db")
    assert (code, err) == (130, "")
    assert "best: no trial is better than the settings as given" in out
    first, second = trials_in("s.db")
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.FAIL)
    assert second.user_attrs["error"] == "interrupted"
    assert summary(Path("s/CartPole/1"))["status"] == "interrupted"


def test_trial_that_was_at_its_end_when_a_signal_came_keeps_its_value(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, sent = objective.Reports.call, list[int]()

    def interrupted(self: Any, records: Sequence[Record], agent: object) -> None:
        call(self, records, agent)
        if self._trial.number == 1 and records[0].step == 300 and not sent:
            sent.append(1)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(objective.Reports, "call", interrupted)
    code, out, err = search(*RUN, *SPACE, "--trials", "4", "--study", "s.db")
    assert (code, err) == (130, "") and "2 trials (2 complete): " in out
    assert [trial.state for trial in trials_in("s.db")] == [TrialState.COMPLETE] * 2
    assert summary(Path("s/CartPole/1"))["status"] == "finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["_tell_with_warning", "get_heartbeat_thread"])  # after a run, and before one
def test_signal_within_optuna_ends_the_search_with_its_results(
    search: Search, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> None:
    where, calls = optuna.study._optimize, list[int]()
    function = getattr(where, name)

    def interrupted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(number)
        return function(*args, **options)

    monkeypatch.setattr(where, name, interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # as of a command in a terminal
    try:
        code, out, err = search(*RUN, *SPACE, "--trials", "4", "--study", "s.db")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert (code, err) == (128 + number, "") and "trials.csv" in out and "best: " in out
    first, second = trials_in("s.db")
    ended = name == "_tell_with_warning"
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.COMPLETE if ended else TrialState.FAIL)
    assert second.user_attrs.get("error") == (None if ended else "interrupted")
    assert summary(Path("s/CartPole/1"))["status"] == ("finished" if ended else "interrupted")


def test_second_ctrl_c_within_optuna_ends_the_search_at_once(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**options: Any) -> Any:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(optuna.study._optimize, "_tell_with_warning", interrupted)
    code, out, err = search(*RUN, *SPACE, "--trials", "4", "--study", "s.db")
    assert (code, err) == (130, "no trial was completed; errors are in trials.csv and in the folders of the trials\n")
    assert "1 trial (1 failed): " in out


@pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed")
def test_trials_of_killed_processes_count_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_HEARTBEAT", 1)
    monkeypatch.setattr(study, "_GRACE", 1)
    plan = plan_in(tmp_path)
    study.prepare(plan)
    loaded = study._load(plan)
    killed, here = loaded.ask(), loaded.ask()
    storage: Any = loaded._storage
    storage.record_heartbeat(killed._trial_id)
    here.set_user_attr("process", 12345)
    study._fail(plan, {12345})
    assert [trial.state.name for trial in study.trials_of(plan)] == ["RUNNING", "FAIL"]
    lines = [results.line(trial) for trial in study.trials_of(plan)]
    assert lines == ["trial 0: running; ", "trial 1: failed, killed; "]
    time.sleep(2.1)
    assert [trial.state.name for trial in study.prepare(plan)] == ["FAIL", "FAIL"]


class FakeTrial:
    """Keeps reports, and is never pruned."""

    def __init__(self) -> None:
        self.reported: dict[int, float] = {}

    def report(self, value: float, step: int) -> None:
        self.reported[step] = value

    def should_prune(self) -> bool:
        return False


def record(step: int, *returns: float, frozen: bool = False) -> Record:
    found = Record(step=step, frozen=frozen)
    found.returns.extend(returns)
    return found


def test_reports_are_means_over_lifetimes_and_their_mean_is_the_area() -> None:
    trials = {name: FakeTrial() for name in ("return", "area")}
    for name, trial in trials.items():
        reports = objective.Reports(trial, name, 30, 10)  # type: ignore[arg-type]
        reports.call([record(10), record(10)], None)
        assert math.isnan(reports.value)  # no episode has ended
        for step, first in ((20, 1.0), (30, 5.0), (30, 9.0)):
            reports.call([record(step, first), record(step, 2.0, 4.0)], None)
        assert not reports.stopped
    assert trials["return"].reported == {20: 2.0, 30: 4.0}
    assert trials["area"].reported == {20: 2.0, 30: 3.0}


def test_a_lifetime_that_diverged_ends_the_trial() -> None:
    reports = objective.Reports(FakeTrial(), "return", 30, 10)  # type: ignore[arg-type]
    reports.call([record(10, 1.0), record(7, frozen=True)], None)
    assert reports.stopped and reports.diverged


def test_options_are_those_of_the_modules() -> None:
    assert list(objective.MEASURES) == list(command_line.OBJECTIVES)
    assert list(study.SAMPLERS) == list(command_line.SAMPLERS)
    assert list(study.PRUNERS) == list(command_line.PRUNERS)


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("interval(0.1,1)", FloatDistribution(0.1, 1.0)),
        ("tag(log,interval(0.1,1))", FloatDistribution(0.1, 1.0, log=True)),
        ("tag(int,log,interval(1,64))", IntDistribution(1, 64, log=True)),
        ("int(interval(1,64))", IntDistribution(1, 64)),
        ("range(1,9,2)", IntDistribution(1, 7, step=2)),  # without the end, as in a sweep of Hydra
        ("range(9,1,-2)", IntDistribution(3, 9, step=2)),
        ("range(0.25,1,0.25)", FloatDistribution(0.25, 0.75, step=0.25)),
        ("0.1,high,null", CategoricalDistribution(["0.1", "high", "null"])),
        ("choice([64],{a:1},'b c')", CategoricalDistribution(["[64]", "{a:1}", "b\\ c"])),
    ],
)
def test_sweeps_are_distributions(sweep: str, expected: Any) -> None:
    (axis,) = read([f"agent.entropy={sweep}"], None).axes
    assert axis.distribution == expected


def test_the_command_line_changes_a_space_by_name(tmp_path: Path) -> None:
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "mine.yaml").write_text("agent.entropy: interval(0,1)\nagent.discount: choice(0.9,0.99)\n")
    space = read(["space=mine", "agent.discount=0.9", "agent.trace_decay=0.5,0.9", "env.kwargs.x=1,2"], tmp_path)
    assert [axis.key for axis in space.axes] == ["agent.entropy", "agent.trace_decay", "env.kwargs.x"]
    assert space.fixed == ("agent.discount=0.9",)
    cfg, _ = space.compose(["agent.entropy=0.25", "env.kwargs.x=2"])
    assert (cfg.agent.entropy, cfg.agent.discount, cfg.env.kwargs.x) == (0.25, 0.9, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["space=defalt"], "Could not find 'space/defalt'\nThere are: default, images, step_sizes"),
        (["space=default", "agent.entrpy=0.1"], "there is no agent.entrpy. Did you mean agent.entropy?"),
        (["agent.entrpy=interval(0,1)"], "there is no agent.entrpy. Did you mean agent.entropy?"),
        (["optimizer=obgd,adm"], "Could not find 'optimizer/adm'"),
        (["space=default", "optimizer=obgd"], "there is no optimizer.policy.eta"),
        (["agent.entropy=interval(-1,1)"], "agent.entropy must be a number of 0 or above, got -1.0"),
        (["agent.entropy=choice(0.1,high)"], "agent.entropy must be a number of 0 or above, got 'high'"),
        (["agent.entropy=tag(log,interval(0,1))"], "agent.entropy cannot be searched: `low > 0` must hold"),
        (["agent.entropy=interval(1,0)"], "agent.entropy cannot be searched: `low <= high` must hold"),
        (["agent.entropy=tag(lin,interval(0,1))"], "tags must be int or log, and of an interval, got lin"),
        (["agent.entropy=range(1,1)"], "a range must have 1 to 1000 values"),
        (["agent.entropy=range(1,2,0)"], "agent.entropy cannot be searched"),
        (["agent.entropy=glob(*)"], "a sweep must be an interval, a range or a choice"),
        (["agent.entropy=interval(0.1"], "must be KEY=VALUE or KEY=SWEEP"),
        (["agent.entropy=0.1"], "space must be given: space=default"),
        (["seed=range(5)"], "seed must have one value in a search"),
        (["env=CartPole,Acrobot"], "env must have one value in a search"),
        (["space=default", "hydra.run.dir=x"], "hydra.run.dir must not be set"),
        (["space=default", "resume=true"], "resume must not be set"),
        (["space=default", "steps=0"], "steps must be a whole number of 1 or above, got 0"),
        (["space=default", "on_nonfinite=go"], "on_nonfinite must be one of freeze, stop, reset_life; got 'go'"),
        (["space=default", "--trials", "0"], "--trials must be a whole number from 1 to 9223372036854775807, got 0"),
        (["space=default", "--trials", str(2**63)], "--trials must be a whole number from 1 to 9223372036854775807"),
        (["space=default", "--sampler", "cma"], "argument --sampler: invalid choice: 'cma'"),
        (["space=default", "--timeout", "-1"], "--timeout must be a number above 0, got -1.0"),
        (["space=default", "--study", "s"], "--study must be a file that ends with .db"),
        (["space=default", "--study", "a?b.db"], "without any of ?#%{} in its path"),
        (
            ["space=default", "--study", "a" * 300 + ".db"],
            "--study must be a SQLite file of Optuna that can be written",
        ),
        (["space=default", "--name", "a/b"], "--name must be a name, not a path, got 'a/b'"),
        (["space=default", "--config-dir", "no"], "--config-dir must be a folder, got 'no'"),
        (["space=default", "--trails", "3"], "unrecognized arguments: --trails"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_inputs_end_before_the_first_trial(
    search: Search, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, err = search(*arguments)
    assert code == 2 and err.startswith("error: ") and message in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_study_of_a_search_stay_as_they_are(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    plan.study.write_text("no database, only words")
    with pytest.raises(ConfigError, match="--study must be a SQLite file .* written: file is not a database"):
        study.prepare(plan)
    assert plan.study.read_text() == "no database, only words"
    plan = replace(plan, study=tmp_path / "other.db")
    optuna.create_study(study_name=plan.name, storage=f"sqlite:///{plan.study}")
    with pytest.raises(ConfigError, match="--name must be of a search by tracerl, or new"):
        study.prepare(plan)


def test_two_searches_create_one_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create, plan, calls = study._create, plan_in(tmp_path), iter(range(9))

    def create_late(*arguments: Any) -> None:
        if next(calls) == 0:
            create(*arguments)  # the other command's
        create(*arguments)

    monkeypatch.setattr(study, "_create", create_late)
    monkeypatch.setattr(study, "_PAUSE", 0.0)
    assert study.prepare(plan) == []


def test_a_storage_that_fails_within_optuna_ends_in_one_line(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def optimize(self: optuna.Study, *arguments: Any, **options: Any) -> None:
        try:
            raise StorageInternalError("storage") from OSError("database or disk is full")
        except StorageInternalError:
            raise AssertionError("Should not reach.")  # noqa: B904 - as Optuna does

    monkeypatch.setattr(optuna.Study, "optimize", optimize)
    code, out, err = search(*RUN, *SPACE, "--trials", "2", "--study", "s.db")
    assert code == 1 and "s.db cannot be written: database or disk is full" in err and "0 trials" in out


def test_a_missing_optuna_names_the_extra(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = search("space=default")
    assert code == 2 and err.endswith('pip install "tracerl[search]"\n')


def test_a_space_of_a_yaml_has_sweeps_only(tmp_path: Path) -> None:
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "mine.yaml").write_text("agent.entropy: 0.1\n")
    with pytest.raises(ConfigError, match="space: agent.entropy must be a sweep"):
        read(["space=mine"], tmp_path)
