"""The parts of ``scripts/bench_learning.py``: rows, what is run again, failed seeds, the table."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tracerl.configs
from omegaconf import OmegaConf

import tracerl
from tests.helpers import SCRIPTS, compose, script

script("doc_tables")  # which the scripts import as their neighbours
rows, runs, tables, bench = (script(f"bench_{name}") for name in ("rows", "runs", "table", "learning"))

SETTINGS = {"steps": 1000, "seed": 3, "threads": None, "env": {"milestones": ["w20>=5", "w20>=9"]}, "agent": {"a": 0.1}}


def row(label: str = "Env", seeds: tuple[int, ...] = (0, 1, 2, 3), **more: Any) -> Any:
    return rows.Row("Env", label, seeds, **more)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "seeds"), [("0-3", (0, 1, 2, 3)), ("4", (4,)), ("5-5", (5,)), ("0,3,7", (0, 3, 7))])
def test_seeds_are_read_and_told(text: str, seeds: tuple[int, ...]) -> None:
    assert rows.parse_seeds(text) == seeds
    assert rows.parse_seeds(rows.seeds_in_words(seeds)) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-", "3-1", "1,1", "0-2,5", "-1"])
def test_seeds_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seeds must"):
        rows.parse_seeds(text)


def test_rows_of_a_file_have_their_own_labels_seeds_and_settings(tmp_path: Path) -> None:
    text = """
    - env: CartPole
    - {env: MemoryChain, label: chain of 32, seeds: 0-2, overrides: env.kwargs.length=32 steps=1e5}
    - env: Acrobot
      overrides: ["env.milestones=[w20>=-100, w100>=-100]"]
      agents: {reflect: optimizer.policy.eta=0.02, random: }
    """
    first, second, third = rows.read_rows(written(tmp_path / "rows.yaml", text), seeds=(7,))
    assert first == rows.Row("CartPole", "CartPole", (7,))
    assert second == rows.Row("MemoryChain", "chain of 32", (0, 1, 2), ("env.kwargs.length=32", "steps=1e5"))
    assert third.overrides == ("env.milestones=[w20>=-100, w100>=-100]",)
    assert third.agents == {"reflect": ("optimizer.policy.eta=0.02",), "random": ()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env: CartPole", "list of rows"),
        ("- CartPole", "row 1: must be a mapping with env"),
        ("- env: CartPole\n- {env: Acrobot, seed: 3}", "row 2: there is no seed; keys are"),
        ("- {env: CartPole, seeds: 5-3}", "row 1: seeds must"),
        ("- {env: CartPole, overrides: [steps]}", "row 1: overrides must be settings"),
        ("- {env: CartPole, agents: reflect}", "row 1: agents must map"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rows.read_rows(written(tmp_path / "rows.yaml", text), (0,))


def test_rows_that_ship_name_envs_and_agents_that_exist() -> None:
    configs = Path(tracerl.configs.__file__).parent
    found = rows.read_rows(SCRIPTS / "bench_learning.yaml", (0,))
    for one in found:
        assert (configs / "env" / f"{one.env}.yaml").exists(), one
        assert all((configs / "agent" / f"{name}.yaml").exists() for name in one.agents), one
    assert rows.lines_of(found, [], [])  # and their folders differ


def test_every_agent_lives_in_every_env_with_settings_of_its_own() -> None:
    envs = [row("a", overrides=("steps=5",), agents={"reflect": ("x=1",), "random": ()}), row("b")]
    lines = rows.lines_of(envs, [], ["y=2"])
    assert [(line.name, line.overrides) for line in lines] == [
        ("a, reflect", ("steps=5", "x=1", "y=2")),
        ("a, random", ("steps=5", "y=2")),
        ("b", ("y=2",)),
    ]
    assert lines[0].command == ("env=Env", "agent=reflect", "steps=5", "x=1", "y=2")
    chosen = rows.lines_of(envs, ["reflect"], [])  # in place of the rows' own, whose settings it keeps
    assert [(line.name, line.overrides) for line in chosen] == [("a, reflect", ("steps=5", "x=1")), ("b, reflect", ())]


def test_lines_keep_apart_and_leave_the_scripts_own_settings_alone() -> None:
    with pytest.raises(ValueError, match="two rows are called a b: give each a label"):
        rows.lines_of([row("a b"), row("a b")], [], [])
    for setting in ("seed=3", "lifetimes=4", "env=CartPole", "+hydra.run.dir=x"):
        with pytest.raises(ValueError, match="cannot be given"):
            rows.lines_of([row()], [], [setting])


def made(folder: Path, settings: dict[str, Any] = SETTINGS, **summary: Any) -> Any:
    """A run that SETTINGS asks for, and in its folder what ``settings`` left there."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
    (folder / "summary.json").write_text(
        json.dumps({"status": "finished", "version": tracerl.__version__, "error": None, **summary})
    )
    return runs.Run(("env=Env", "seed=3"), (3,), SETTINGS, folder)


def test_a_finished_run_with_the_same_settings_is_not_made_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    run = made(tmp_path, {**SETTINGS, "threads": 8})  # threads change no life
    assert runs.reason_to_run(run) is None
    assert runs.carry_out(run, threads=1, where="here") is None


@pytest.mark.parametrize(
    ("settings", "summary", "reason"),
    [
        ({"steps": 500}, {}, "settings changed: steps 500 -> 1000"),
        ({"agent": {"a": 0.2}}, {}, "settings changed: agent.a 0.2 -> 0.1"),
        ({"agent": {}}, {}, "settings changed: agent.a None -> 0.1"),
        ({"gone": 1}, {}, "settings changed: gone 1 -> None"),
        ({}, {"status": "interrupted"}, "it was interrupted"),
        ({}, {"version": "0.0.1"}, "it is of tracerl 0.0.1"),
    ],
)
def test_an_outdated_run_is_replaced_and_says_why(
    tmp_path: Path, monkeypatch: Any, capsys: Any, settings: dict[str, Any], summary: dict[str, Any], reason: str
) -> None:
    run = made(tmp_path / "run", {**SETTINGS, **settings}, **summary)
    failed = subprocess.CompletedProcess([], 1, "", "some progress\nerror: broken\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: failed)
    assert runs.carry_out(run, threads=1, where="here") == "broken"
    assert reason in capsys.readouterr().out
    assert runs.summary_of(run) is None  # what was there before is not taken for what failed now
    assert runs.reason_to_run(run) == "not run yet"


def test_the_settings_asked_for_are_those_that_a_run_writes(tmp_path: Path) -> None:
    one = rows.Row("DelayedBandit", "late", (5,), ("env.kwargs.delay=2", "steps=60", "logger=none"))
    (line,) = rows.lines_of([one], ["random"], [])
    (run,) = runs.runs_of(line, tmp_path, together=False)
    assert run.folder == tmp_path / "late" / "random" / "seed5"
    (life,) = bench.measure(run, line.name, jobs=1, threads=1)
    assert life.error is None and life.seed == 5 and list(life.milestones) == ["w100>=0.9"]
    assert runs.reason_to_run(run) is None
    assert "1 process at a time" in (run.folder / "machine.txt").read_text()


def test_settings_that_cannot_be_used_are_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="no_such=1: there is no no_such"):
        runs.settings_of(("env=CartPole", "no_such=1"))


@pytest.mark.parametrize("twins", [True, False])
def test_seeds_live_together_where_that_changes_nothing(monkeypatch: Any, twins: bool) -> None:
    monkeypatch.setattr(runs, "settings_of", lambda command: SETTINGS)
    monkeypatch.setattr(runs, "lives_in_twins", lambda settings: twins)
    line, gappy = rows.lines_of([row("a"), row("b", (0, 2))], [], [])
    found = runs.runs_of(line, Path(), together=True)
    if not twins:
        assert [run.seeds for run in found + runs.runs_of(gappy, Path(), together=True)] == [
            (i,) for i in (*range(4), 0, 2)
        ]
        return
    assert [(run.seeds, run.folder) for run in found] == [((0, 1, 2, 3), Path("a/seeds0-3"))]
    assert found[0].overrides == ("env=Env", "seed=0", "lifetimes=4", "env.backend=compiled")
    with pytest.raises(ValueError, match="must be consecutive, got 0,2"):
        runs.runs_of(gappy, Path(), together=True)


@pytest.mark.parametrize(
    ("overrides", "twins"),
    [
        (("env=CartPole",), True),
        (("env=CartPole", "engine=torch"), False),
        (("env=CartPole", "agent=random"), False),
        (("env=CartPole", "+env.kwargs.sutton_barto_reward=true"), False),
        (("env=DelayedBandit",), False),
    ],
)
def test_twins_need_an_env_at_its_defaults_and_an_agent_with_kernels(overrides: tuple[str, ...], twins: bool) -> None:
    settings = OmegaConf.to_container(compose(*overrides), resolve=True)
    assert runs.lives_in_twins(settings) == twins


def test_lives_of_a_run_are_told_apart_and_fail_together(tmp_path: Path) -> None:
    run = runs.Run((), (3, 4), SETTINGS, tmp_path)
    summary = {
        "status": "finished",
        "return_last100": {"per_life": [1.5, None]},
        "milestones": {"w20>=5": [70, None], "w20>=9": [None, None]},
    }
    assert runs.lives_of(run, summary, None) == [
        runs.Life(3, 1.5, {"w20>=5": 70, "w20>=9": None}),
        runs.Life(4, None, {"w20>=5": None, "w20>=9": None}, "no episode ended"),
    ]
    none = {"w20>=5": None, "w20>=9": None}
    diverged = {**summary, "status": "diverged", "error": "not finite"}
    assert runs.lives_of(run, diverged, None) == [runs.Life(seed, None, none, "not finite") for seed in (3, 4)]
    assert [life.error for life in runs.lives_of(run, None, "no package")] == ["no package"] * 2
    assert runs.reason_of_failure(-9, "half done") == "exit code -9: half done"
    assert runs.reason_of_failure(1, "error: bad\nmore") == "bad"


def measured(*finals: float | None) -> Any:
    lives = [
        runs.Life(i, final, {"w20>=5": None if final is None else 100 * (i + 1)}, "broken" if final is None else None)
        for i, final in enumerate(finals)
    ]
    line = rows.Line(row(seeds=tuple(range(len(finals)))), None, ("steps=1000", "agent=reflect", "agent.a=1"))
    return tables.Measured(line, "reflect", 1000, lives, [1000.0, 3000.0, 2000.0])


def test_a_line_tells_the_middle_of_its_seeds_the_lowest_and_the_milestones() -> None:
    assert (
        tables.table_line(measured(0.0, 100.0, 20.0, 10.0))
        == "| Env, 1,000 | reflect, `agent.a=1` | 0-3 | 15.0 [0.00, 100.0], 0.00 | w20>=5: 4/4, 200 | 2,000 |"
    )
    assert tables.score(measured(20.0)) == "20.0, 20.0"


def test_a_failed_seed_is_the_lowest_and_misses_every_milestone() -> None:
    found = measured(None, 100.0, 20.0, 10.0)
    assert tables.seeds_cell(found) == "0-3 (1 failed)"
    assert tables.score(found).endswith(", failed")
    assert tables.reached("w20>=5", found.lives) == "w20>=5: 3/4, 300"
    assert tables.life_line(found.lives[0], None) == "FAILED: broken"
    assert tables.score(measured(None, None)) == "-, failed"
    assert tables.reached("w20>=5", measured(None, None, 3.0).lives) == "w20>=5: 1/3, -"
    assert "Env: seeds 0-3 (1 failed), 1,000 steps each" in tables.report(found)


def test_nothing_runs_for_a_page_without_the_markers(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bench, "runs_of", None)
    page = written(tmp_path / "page.md", "a page\n")
    monkeypatch.setattr("sys.argv", ["bench_learning.py", "--write", str(page), "--name", "envs"])
    with pytest.raises(SystemExit, match="page.md: no markers of the table envs: <!-- bench_learning envs --> and"):
        bench.main()
    assert page.read_text() == "a page\n"


def test_the_line_under_a_table_tells_where_its_runs_were_made(tmp_path: Path) -> None:
    made_there = [made(tmp_path / name) for name in ("a", "b")]
    for run, machine in zip(made_there, ("one core", "two cores"), strict=True):
        (run.folder / "machine.txt").write_text(machine + "\n")
    assert ", one core; two cores; seeds 3; " in bench.about_runs(made_there)
    table = tables.table([measured(1.0, 2.0)], "about")
    assert table.splitlines()[0].startswith("| env, steps | agent, settings |") and table.endswith("|\n\nabout")
