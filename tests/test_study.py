"""``scripts/study.py``: included studies, invalid yamls, runs, the table and the report."""

import csv
import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from tests.helpers import compose, exit_code, script
from tracerl.config.checks import ConfigError
from tracerl.kernels.envs.dispatch import COMPILED_ENVS
from tracerl.sweep.compare import area, improvement, improvement_interval, lowest_late

plan, study = script("study_plan"), script("study")

TINY = """
question: Does it learn?
prediction: It does.
seeds: 0-2
baseline: slow
tasks:
  CartPole: { steps: 400 }
  bandit: { env: ContextualBandit, steps: 60, seeds: 4, overrides: env.kwargs.contexts=3 }
settings:
  slow: agent=random
  small, eight: ["network.hidden=[8]", engine=fused]
"""


def written(folder: Path, text: str = TINY) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


# Studies and their yamls.


@cache
def composed_once(*line: str) -> Any:
    """Return the settings of a command line, which several studies may have."""
    return OmegaConf.to_container(compose(*line), resolve=True)


def without_seeds(line: tuple[str, ...]) -> list[str]:
    return [override for override in line if not override.startswith(("seed=", "lifetimes="))]


@pytest.mark.parametrize("path", sorted(plan.folder_of_studies().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_included_study_composes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "composed", lambda line, _: composed_once(*without_seeds(line)))
    # How many seeds share a run is asked of each agent, which takes most of the time, and tested below.
    monkeypatch.setattr(plan, "is_compiled", lambda settings: settings["env"].get("id") in COMPILED_ENVS)
    monkeypatch.setattr(plan, "bytes_in_kernels", lambda settings: 1)
    found = plan.read_study(plan.find(path.stem))
    names = list(found.settings)
    cells = []
    for i in range(max(len(found.tasks), len(names))):  # every task and every setting, not their product
        task, name = found.tasks[i % len(found.tasks)], names[i % len(names)]
        cells += plan.cells_of(replace(found, tasks=[task], settings={name: found.settings[name]}), tmp_path)
    assert {cell.task.name for cell in cells} == {task.name for task in found.tasks}
    assert {cell.setting for cell in cells} == set(names) and len(cells) == max(len(found.tasks), len(names))
    for cell in cells:
        assert sum(len(run.seeds) for run in cell.runs) == len(cell.task.seeds)
        assert cell.runs[0].settings["env"]["milestones"], "a task has milestones"
    assert names[0] == found.baseline, "the baseline comes first"
    assert len({run.folder for cell in cells for run in cell.runs}) == sum(len(cell.runs) for cell in cells)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("question: Does it learn?", "", "question must be a text, got None"),
        ("baseline: slow", "baseline: fast", "baseline must be one of the settings slow, small, eight, got 'fast'"),
        ("seeds: 0-2", "seeds: 2-0", "seeds must be one or more"),
        ("seeds: 0-2", "", "seeds must look like 0-9"),
        ("seeds: 0-2", "seeds: 200-239", "seeds must be below 100 .final: false., so that nothing is chosen"),
        ("seeds: 0-2", "seeds: 0-2\nfinal: true", r"seeds must be 200 to 239 \(final: true\)"),
        ("seeds: 0-2", "seed: 0-2", "study has no seed; keys are question"),
        ("{ steps: 400 }", "{ steps: 0 }", "tasks.CartPole.steps must be"),
        ("{ steps: 400 }", "{ step: 4 }", "tasks.CartPole has no step; keys are env"),
        ("{ steps: 400 }", "[400]", "tasks.CartPole must be a mapping"),
        ("seeds: 4,", "seeds: x,", "tasks.bandit.seeds must look like"),
        ("slow: agent=random", "slow: agent", "settings.slow must be settings such as agent.entropy=0.05, got 'agent'"),
        ("slow: agent=random", "slow: seed=3", "settings.slow must leave seed to the study's own keys"),
        ("slow: agent=random", "slow: steps=3", "settings.slow must leave steps to the study's own keys"),
        ("{ steps: 400 }", "{ range: [1] }", "tasks.CartPole.range must be two returns, that count as 0 and as 1"),
        ("{ steps: 400 }", "{ range: [1, 1] }", "tasks.CartPole.range must be two different returns"),
        ("question: Does", "question: [Does", "cannot be read"),
        ("  small, eight:", "  s(l): a=b\n  s[l]: a=b\n  small, eight:", r"settings must have names .* got s.l., s.l."),
    ],
)
def test_invalid_yaml_raises_an_error_naming_the_key(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in TINY
    with pytest.raises(ConfigError, match=problem) as caught:
        plan.read_study(written(tmp_path, TINY.replace(old, new, 1)))
    assert str(caught.value).startswith(str(tmp_path / "tiny.yaml"))


def test_unknown_settings_raise_an_error_naming_their_task(tmp_path: Path) -> None:
    found = plan.read_study(written(tmp_path, TINY.replace("agent=random", "agent=randm")))
    with pytest.raises(ConfigError, match="tasks.CartPole with settings.slow cannot be used: .*randm"):
        plan.cells_of(found, tmp_path)


def test_unknown_study_raises_an_error_naming_the_available_ones() -> None:
    with pytest.raises(ConfigError, match="study must be one of .*baseline.*, or the path of a yaml, got 'baselin'"):
        plan.find("baselin")


def test_ten_lifetimes_share_a_process_if_only_the_agent_has_kernels(tmp_path: Path) -> None:
    cells = plan.cells_of(plan.read_study(written(tmp_path, TINY.replace("seeds: 4,", "seeds: 3-14,"))), tmp_path)
    shared = next(cell for cell in cells if (cell.task.name, cell.setting) == ("bandit", "small, eight")).runs
    assert [run.seeds for run in shared] == [tuple(range(3, 13)), (13, 14)]
    assert {"seed=13", "lifetimes=2"} <= set(shared[1].overrides) and "env.backend=compiled" not in shared[1].overrides
    assert shared[1].folder.name == "seeds13-14"


def test_each_large_lifetime_has_its_own_process(tmp_path: Path) -> None:
    wide = TINY.replace("[8]", "[64000]").replace("seeds: 4,", "seeds: 3-5,")
    cells = plan.cells_of(plan.read_study(written(tmp_path, wide)), tmp_path)
    apart = next(cell for cell in cells if (cell.task.name, cell.setting) == ("bandit", "small, eight")).runs
    assert [run.seeds for run in apart] == [(3,), (4,), (5,)]


def test_lifetimes_share_a_process_in_a_compiled_env(tmp_path: Path) -> None:
    cells = plan.cells_of(plan.read_study(written(tmp_path)), tmp_path)
    found = {(cell.task.name, cell.setting): [run.seeds for run in cell.runs] for cell in cells}
    assert found == {
        ("CartPole", "slow"): [(0,), (1,), (2,)],
        ("CartPole", "small, eight"): [(0, 1, 2)],
        ("bandit", "slow"): [(4,)],
        ("bandit", "small, eight"): [(4,)],
    }
    together = next(cell for cell in cells if len(cell.runs[0].seeds) > 1).runs[0]
    assert {"steps=400", "lifetimes=3", "env.backend=compiled", "logger=none"} <= set(together.overrides)
    assert together.folder == tmp_path / "tiny" / "small-eight" / "CartPole" / "seeds0-2"


# Runs.


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    return exit_code(study.main, monkeypatch, *arguments)


def exit_message(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Return the message with which an invalid command line exits."""
    monkeypatch.setattr("sys.argv", ["study.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        study.main()
    return str(ended.value)


def test_study_is_run_reported_and_resumed(tmp_path: Path, runs_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (str(written(tmp_path)), "--jobs", "1", "--out", str(tmp_path / "out"))
    assert start(monkeypatch, *arguments) == 0
    assert len(runs_here) == 6
    folder = tmp_path / "out" / "tiny"
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert {(row["task"], row["setting"], row["seed"]) for row in rows if row["setting"] == "small, eight"} == {
        ("CartPole", "small, eight", "0"),
        ("CartPole", "small, eight", "1"),
        ("CartPole", "small, eight", "2"),
        ("bandit", "small, eight", "4"),
    }
    text = (folder / "report.md").read_text()
    for part in (
        "Does it learn?",
        "## bandit",
        "| slow (baseline) | 3 |",
        "| small, eight | 3 |",
        "w20>=195",
        "(CartPole.png)",
    ):
        assert part in text, part
    assert (folder / "CartPole.png").stat().st_size > 1000

    page = tmp_path / "page.md"
    page.write_text("<!-- study tiny -->\n<!-- end tiny -->\n")
    assert start(monkeypatch, *arguments, "--write", str(page)) == 0 and len(runs_here) == 6  # nothing is rerun
    _, _, first, baseline, *_ = [line for line in page.read_text().splitlines() if line.startswith("|")]
    assert re.match(r"\| CartPole, 400 \| 3 \| small, eight \| .*w20>=195: 0%, -.* \| \d\.\d\d \[", first)
    assert re.match(r"\|  \| 3 \| slow \| .* \| - \|$", baseline)
    written(tmp_path, TINY.replace("hidden=[8]", "hidden=[9]"))
    one = folder / "slow" / "CartPole" / "seed1"
    (one / "summary.json").unlink()  # as after a kill
    assert start(monkeypatch, *arguments) == 0
    place = f"hydra.run.dir={folder}/"
    again = {part.removeprefix(place): line[-1] for line in runs_here[6:] for part in line if part.startswith(place)}
    assert sorted(again) == ["slow/CartPole/seed1", "small-eight/CartPole/seeds0-2", "small-eight/bandit/seed4"]
    assert again["slow/CartPole/seed1"] == "resume=auto" and again["small-eight/bandit/seed4"].startswith("threads=")


def test_part_of_a_study_runs_and_an_unknown_part_raises_an_error(
    tmp_path: Path, runs_here: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = (str(written(tmp_path)), "--out", str(tmp_path / "out"))
    assert start(monkeypatch, *arguments, "--report") == 0 and not runs_here
    assert "0 of 3 (missing)" in (tmp_path / "out" / "tiny" / "report.md").read_text()
    for option, value, problem in (
        ("--tasks", "Cart", "--tasks must be among CartPole, bandit, got 'Cart'"),
        ("--settings", "small", "--settings must be among slow, small, eight, got 'small'"),
        ("--seeds", "7", "--seeds must be among those of every task"),
        ("--seeds", "a", "--seeds must look like"),
    ):
        assert start(monkeypatch, *arguments, option, value) == 2
        assert capsys.readouterr().err.startswith(f"error: {problem}")
    page = tmp_path / "page.md"
    page.write_text("a page\n")
    assert "no markers of the table tiny: <!-- study tiny --> and" in exit_message(
        monkeypatch, *arguments, "--write", page
    )
    assert not runs_here and page.read_text() == "a page\n"
    assert start(monkeypatch, *arguments, "--tasks", "bandit", "--settings", "slow", "--jobs", "1") == 0
    assert len(runs_here) == 1


def test_failed_lifetime_is_reported_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda line, **_: SimpleNamespace(returncode=1, stderr="error: no luck"))
    arguments = (str(written(tmp_path)), "--tasks", "bandit", "--jobs", "1", "--out", str(tmp_path / "out"))
    assert start(monkeypatch, *arguments) == 1
    printed = capsys.readouterr()
    assert "bandit, slow, seed 4: FAILED: no luck" in printed.out and printed.err == "error: 2 runs failed, see above\n"
    assert "| small, eight | 0 of 1 (missing) |" in (tmp_path / "out" / "tiny" / "report.md").read_text()


def test_tasks_are_counted_and_returns_normalised_over_tasks() -> None:
    report_of = script("study_report")

    def lifetime(seed: int, final: float) -> Any:
        scores = {"final_100": final, "area": final / 2, "lowest_late": final}
        return SimpleNamespace(seed=seed, counts=True, scores=scores)

    ranges = {"better": (0.0, 10.0), "level": (0.0, 10.0), "worse": (-10.0, 0.0), "no range": None}
    tasks = [plan.Task(name, "CartPole", 10, (0, 1, 2), (), ends) for name, ends in ranges.items()]
    named = plan.Study("s", "q", "p", "base", tasks, {"base": (), "own": ()})
    finals = {"better": (2, 8), "level": (5, 5), "worse": (-1, -5), "no range": (1, 9)}
    lifetimes = {
        (task, setting): [lifetime(seed, final + 0.1 * (seed - 1)) for seed in range(3)]
        for task, both in finals.items()
        for setting, final in zip(("base", "own"), both, strict=True)
    }
    text = report_of.over_tasks(named, lifetimes)
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in text.splitlines()[4:]}
    assert rows["own"][:2] == ["4", "2, 1, 1"] and rows["base (baseline)"][1] == "-"
    assert rows["own"][-3:] == ["0.60", "0.47", "0.50 (level)"]  # (.8 + .5 + .5) / 3; areas .4, .25, .75


# Measures.


def test_area_is_the_step_weighted_mean_return() -> None:
    assert area(np.array([10, 30]), np.array([1.0, 5.0])) == 4.0
    assert area(np.array([], int), np.array([])) is None


def test_lowest_late_mean_is_of_the_second_half_of_a_lifetime() -> None:
    steps = np.arange(1, 301)
    means = np.where(steps == 260, 3.0, np.where(steps == 140, -9.0, 7.0))
    assert lowest_late(steps, means, 300) == 3.0
    assert lowest_late(steps[:120], means[:120], 120) == 7.0  # the first 99 episodes have no window of one hundred
    assert lowest_late(steps[:90], means[:90], 90) is None


def test_probability_of_improvement_counts_ties_half() -> None:
    assert improvement([1, 2, 3], [2]) == pytest.approx(0.5)
    assert improvement([1, 2], [0, 3]) == pytest.approx(0.5)
    assert improvement([4, 5], [1, 2]) == 1.0
    assert improvement_interval([([4, 5], [1, 2])]) == (1.0, 1.0)


def test_interval_of_improvement_resamples_lifetimes_within_each_task() -> None:
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(0.5, 1, 12), rng.normal(0, 1, 15)), (rng.normal(0, 1, 8), rng.normal(0, 1, 8))]
    drawn = [
        np.mean([improvement(rng.choice(x, len(x)), rng.choice(y, len(y))) for x, y in pairs]) for _ in range(2000)
    ]
    expected = np.quantile(drawn, [0.025, 0.975])
    assert improvement_interval(pairs) == pytest.approx(tuple(expected), abs=0.03)
