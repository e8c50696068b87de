"""Every script runs at a small size with the current defaults, and prints ``--help`` without running."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import tracerl
from tests.helpers import SCRIPTS, exit_code, script
from tests.made_runs import two_settings
from tracerl.plot.series import read_bands
from tracerl.runs.logging.episodes import EpisodeLog

Start = Callable[..., str]
DEFAULT = "env=CartPole"
ELSEWHERE = {  # run at a small size in their own test files
    "bench_evaluate": "test_bench_evaluate.py",
    "bench_latency": "test_bench_latency.py",
    "config_reference": "test_config_reference.py",
    "cortex_m": "test_cortex_m.py",
    "doc_outputs": "test_doc_outputs.py",
    "make_pretrained": "test_pretrained.py",
    "screenshots": "test_browser.py",  # needs a Chromium
    "study": "test_study.py",
}
NEEDED = {"doc_outputs": "norse", "measure_export": "norse", "screenshots": "playwright"}  # package, for import only


def mains() -> list[str]:
    """Return the names of the scripts that can be run."""
    return sorted(path.stem for path in SCRIPTS.glob("*.py") if 'if __name__ == "__main__":' in path.read_text())


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Start:
    """Run a script in this process, in an empty folder, and return its output."""

    def run(name: str, *arguments: object, code: int = 0) -> str:
        monkeypatch.chdir(tmp_path)
        assert exit_code(script(name).main, monkeypatch, *arguments) == code
        printed = capsys.readouterr()
        return printed.out if code == 0 else printed.err

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short run with the defaults."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    tracerl.launch({"env": "CartPole", "steps": 300, "logger": "none"}, folder)
    return folder


def page(path: Path, name: str, *tables: str) -> Path:
    """Write a page with the markers of a script's tables."""
    path.write_text("".join(f"<!-- {name} {table} -->\n<!-- end {table} -->\n" for table in tables))
    return path


def rows_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("| ")]


def test_every_script_is_run_in_a_test() -> None:
    tested = {name for name in mains() if f"test_{name}_" in Path(__file__).read_text()}
    assert tested | set(ELSEWHERE) == set(mains()) and not tested & set(ELSEWHERE)
    for name, file in ELSEWHERE.items():
        text = (Path(__file__).parent / file).read_text()
        runs_it = "main, monkeypatch" in text or "bench.main(" in text
        assert f'script("{name}")' in text and runs_it, f"{file} does not run {name}.py"


@pytest.mark.parametrize("name", mains())
def test_help_describes_a_script_without_running_it(name: str, start: Start, tmp_path: Path) -> None:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    before = {path: path.stat().st_mtime_ns for path in (SCRIPTS.parent / "docs").rglob("*")}
    assert start(name, "--help").startswith("usage: ")
    assert {path: path.stat().st_mtime_ns for path in (SCRIPTS.parent / "docs").rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_layer_steps_prints_a_row_per_layer(start: Start, run: Path) -> None:
    printed = start("layer_steps", run, "--steps", 40)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()[2:]]
    assert [row[0] for row in rows] == ["all", "layer_0", "layer_readout"]
    whole, *parts = (int(row[1].replace(",", "")) for row in rows)
    assert whole == sum(parts)
    assert all(float(row[2]) >= 0 for row in rows) and float(rows[0][3]) > 0
    with pytest.raises(SystemExit, match="^error: --steps must reach an update within an episode, got 1$"):
        script("layer_steps").table(tracerl.load(run), 1)


def test_only_one_module_calls_version_dependent_hydra_functions() -> None:
    differs = re.compile(r"\bhydra\.(main|initialize\w*|utils\.(instantiate|call))\(")
    folders = [SCRIPTS, *(SCRIPTS.parent / name for name in ("tracerl", "agents", "envs", "examples"))]
    for path in (path for folder in folders for path in folder.rglob("*.py") if path.name != "hydra_compat.py"):
        assert not differs.search(path.read_text()), path


def test_bench_baselines_writes_a_run_that_can_be_plotted(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    start("bench_baselines", "a2c", "--seeds", "0", "--steps", 60, "--out", "baselines")
    (job,) = tracerl.plot.choose([tmp_path / "baselines"]).groups
    assert job.jobs[0].agent == "a2c"


@pytest.mark.parametrize(("algorithm", "env"), [("dqn", "MinAtarBreakout"), ("sac", "Pendulum")])
def test_bench_baselines_trains_agents_with_a_replay_buffer(
    algorithm: str, env: str, start: Start, tmp_path: Path
) -> None:
    pytest.importorskip("stable_baselines3")
    start("bench_baselines", algorithm, "--env", env, "--seeds", "0", "--steps", 220, "--out", "baselines")
    summary = json.loads((tmp_path / "baselines" / algorithm / "0" / "summary.json").read_text())
    assert (summary["env"], summary["agent"], summary["steps"]) == (env, algorithm, 220)


def test_bench_baselines_sees_images_by_convolutions() -> None:
    pytest.importorskip("stable_baselines3")
    bench = script("bench_baselines")
    space = gym.spaces.Box(0, 1, (10, 10, 4))
    extractor = bench.policy_arguments(space)["features_extractor_class"](space)
    images = torch.rand(3, 10, 10, 4)
    found = extractor(images)
    convolution, dense = extractor.layers[0][0], extractor.layers[1]
    pixels = images[:, :3, :3].permute(0, 3, 1, 2)  # the receptive field of the first position
    first = (convolution.weight * pixels[:, None]).sum((2, 3, 4)) + convolution.bias
    assert found.shape == (3, 128) and dense.in_features == 16 * 8 * 8
    torch.testing.assert_close(convolution(images.movedim(-1, 1))[:, :, 0, 0], first)
    for other in (gym.spaces.Box(0, 1, (4,)), gym.spaces.Box(0, 255, (84, 84, 4), np.uint8), gym.spaces.Discrete(4)):
        assert bench.policy_arguments(other) == {}


def test_bench_baselines_names_actions_that_an_algorithm_lacks() -> None:
    check = script("bench_baselines").check_actions
    for algorithm, space in (("ppo", gym.spaces.Box(-1, 1, (2,))), ("dqn", gym.spaces.Discrete(2))):
        check(algorithm, space)
    with pytest.raises(SystemExit, match=r"^error: sac needs actions of a Box, got Discrete\(2\)"):
        check("sac", gym.spaces.Discrete(2))
    with pytest.raises(SystemExit, match="^error: dqn needs actions of a Discrete, got Box"):
        check("dqn", gym.spaces.Box(-1, 1, (2,)))


def test_bench_baselines_learns_in_an_env_of_a_yaml_with_its_wrappers(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    arguments = ("--normalize", "--env", "CartPoleDrift", "--seeds", "3", "--steps", 90, "--out", "baselines")
    start("bench_baselines", "a2c", *arguments, "env.wrappers.0.every=30")
    summary = json.loads((tmp_path / "baselines" / "a2c" / "3" / "summary.json").read_text())
    assert (summary["env"], summary["steps"], summary["seed"]) == ("CartPoleDrift", 90, 3)
    assert "env.wrappers.0.every=30" in (tmp_path / "baselines" / "a2c" / "3" / "overrides.yaml").read_text()
    assert list(summary["milestones"]) == ["w20>=195", "w20>=475", "w100>=475"]


@pytest.mark.parametrize("settings", ["lifetimes=1", "lifetimes=2", "env.backend=compiled"])
def test_bench_speed_times_a_row_of_the_default_agent(
    settings: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script("bench_speed")
    monkeypatch.setattr(bench, "in_process", bench.measure)  # one process less
    lines = start("bench_speed", "--rounds", 1, "--steps", 40, DEFAULT, settings).splitlines()
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[0] == f"{DEFAULT} {settings}" and len(cells) == 9
    assert (cells[1] == "-") is ("compiled" in settings) and (cells[7] == "-") is (settings != "lifetimes=1")


def test_bench_speed_times_stable_baselines3() -> None:
    pytest.importorskip("stable_baselines3")
    bench = script("bench_speed")
    row = bench.baselines("CartPole", DEFAULT, 20)[1]
    found = bench.measure(row, 1)
    assert found["loop"] > 0 and bench.line(row, found).startswith("| CartPole, A2C of Stable-Baselines3 |")


def test_every_row_of_bench_speed_can_be_built() -> None:
    bench = script("bench_speed")
    rows = {re.sub(r"lifetimes=\d+", "", row.overrides): row for rows in bench.TABLES.values() for row in rows}
    for row in rows.values():
        runner, agent = bench.Bench(bench.config_of(row, "lifetimes=2"), 20).new()
        runner.close()
        assert agent.engine == ("torch" if "torch" in row.label else "fused"), row


def test_task_means_weights_returns_by_the_steps_in_each_task(start: Start, tmp_path: Path) -> None:
    for name, returns in (("one", (1.0, 4.0, 10.0)), ("two", (3.0, 4.0, 20.0))):
        (tmp_path / name).mkdir()
        episodes = EpisodeLog(tmp_path / name)
        for step, episode_return, length in zip((30, 120, 200), returns, (30, 90, 80), strict=True):
            episodes.keep(0, step, episode_return, length)
        episodes.close()
    lines = start("task_means", "one", "two", "--every", 100).splitlines()
    assert lines[0] == "| run | task 1 | task 2 |"
    assert lines[2:] == ["| one | 3.1 (4.0) | 8.8 (10.0) |", "| two | 3.7 (4.0) | 16.8 (20.0) |"]
    together = start("task_means", "one", "two", "--every", 100, "--together").splitlines()
    assert together[2:] == ["| one | 3.4 (4.0) | 12.8 (15.0) |"]


def test_task_means_names_what_has_no_episode(start: Start) -> None:
    assert "error: no episode ended in none" in start("task_means", "none", "--every", 100, code=2)
    assert "--every must be 1 or above, got 0" in start("task_means", "none", "--every", 0, code=2)


def test_greedy_returns_prints_a_line_per_lifetime(start: Start, run: Path) -> None:
    assert start("greedy_returns", run, "--episodes", 1).startswith("lifetime 0: sampled ")


def test_held_out_digits_reports_the_accuracy(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(script("held_out_digits"), "accuracy", few_images(script("held_out_digits").accuracy))
    printed = start("held_out_digits", "--steps", 20, "--seeds", "0", "network.hidden=[8]")
    assert printed.startswith("seed 0: online ") and "mean of 1: " in printed


def few_images(accuracy: Callable[..., float]) -> Callable[..., float]:
    """Use only the first images of an env."""

    def of_few(agent: Any, env: Any, seed: int) -> float:
        env.unwrapped.labels = env.unwrapped.labels[:20]
        return accuracy(agent, env, seed)

    return of_few


def test_make_animation_creates_its_output_folder(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pygame")
    animation = script("make_animation")
    monkeypatch.setitem(animation.SETTINGS, "steps", 60)
    for name in ("steps", "span"):
        monkeypatch.setitem(animation.GIF, name, 10)
    monkeypatch.setattr(animation, "RASTER_STEPS", 20)
    start("make_animation", "--into", "new/folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["cartpole.gif", "raster.png"]


def test_measure_credit_covers_every_setting(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credit = script("measure_credit")
    monkeypatch.setattr(credit, "STEPS", 3)
    table = page(tmp_path / "page.md", "measure_credit", "otpe", "presynaptic", "convolutions")
    start("measure_credit", "--seeds", 1, "--width", 4, "--write", table)
    assert len(rows_of(table)) == 3 + 2 * len(credit.CASES) + len(credit.CONVOLUTIONS)


def test_measure_export_compares_the_readers(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("norse")
    pytest.importorskip("snntorch")
    settings = {"network": "dense", "encoder": "raw", "network.reset": "hard", "network.hidden": [8]}
    tracerl.launch({**settings, "steps": 60, "logger": "none"}, tmp_path / "hard")
    lines = start("measure_export", "hard", "--steps", 20).splitlines()[-3:]
    assert re.match(r"\d+ neuron steps, a spike in ", lines[0])
    assert lines[1:] == ["snnTorch: 0 differ (0.00%)", "Norse: 0 differ (0.00%)"]


def test_measure_export_reports_what_nir_lacks_for_a_default_run(start: Start, run: Path) -> None:
    pytest.importorskip("norse")
    assert start("measure_export", run, code=2).startswith("error: network.layer_norm ")


def test_plot_how_it_works_draws_its_figures(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    start("plot_how_it_works", "-o", "new")
    found = {path.name for path in (tmp_path / "new").iterdir()}
    assert found == {path.name for path in (SCRIPTS.parent / "docs").glob("how-*.png")}


def test_readme_pictures_reads_the_numbers_from_runs(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    two_settings(tmp_path / "runs")
    assert start("readme_pictures", tmp_path / "runs" / "a", "--data", "learning.csv", "-o", "learning.png")
    (band,) = read_bands(tmp_path / "learning.csv")
    assert band.label == "reflect" and (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["greedy_returns", "layer_steps"])
def test_scripts_of_a_run_name_a_folder_that_is_none(name: str, start: Start) -> None:
    error = start(name, "nowhere", code=2)
    assert error == "error: RUN must be the folder of a run or of one of its checkpoints, got 'nowhere'\n"


def test_transformed_tasks_prints_the_returns_of_each_task_and_change(start: Start) -> None:
    printed = start(
        "transformed_tasks", "--tasks", "CartPole", "Pendulum", "--agents", "random", "--seeds", 0, 1, "--steps", 450
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("| ")]
    heads = [row for row in rows if row[1] == "random"]
    assert [row[0] for row in heads] == ["CartPole", "Pendulum"]
    changes = script("transformed_tasks")
    assert {row[0] for row in rows} == {*changes.CHANGES, "CartPole", "Pendulum"}
    returns = [row[1].split(", ") for row in rows if row not in heads]
    assert all(len(each) == 2 for each in returns) and float(returns[0][0]) > 0


def test_transformed_tasks_change_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = script("transformed_tasks")
    changes = tasks.CHANGES
    monkeypatch.setattr(tasks.Outlier, "AT", 1)

    def first(task: str, change: str, action: Any = 0) -> tuple[Any, ...]:
        env = changes[change](gym.make(task))
        seen, _ = env.reset(seed=3)
        return env, seen, *env.step(action)

    _, seen, then, reward, *_ = first("CartPole-v1", "as it is")
    for name, wanted in (
        ("observations x 1000", seen * 1000),
        ("observations + 1000", seen + 1000),
        ("observations cubed", seen**3),
        ("observations 8 times", np.tile(seen, 8)),
        ("20 constant numbers more", np.append(seen, [3] * 20)),
    ):
        np.testing.assert_allclose(first("CartPole-v1", name)[1], wanted, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(first("CartPole-v1", "observations rotated")[1]), np.linalg.norm(seen))
    assert first("CartPole-v1", "rewards x 1e-3")[3] == reward * 1e-3
    assert first("CartPole-v1", "rewards of 10 steps at once")[3] == 0
    assert first("CartPole-v1", "actions of 4 steps")[3] == 4
    np.testing.assert_array_equal(first("CartPole-v1", "observations 2 steps late")[2], seen)
    np.testing.assert_array_equal(first("CartPole-v1", "actions 2 steps late", 1)[2], then)
    np.testing.assert_array_equal(first("CartPole-v1", "each action 5 times", 8)[2], then)
    wrong = first("CartPole-v1", "one observation of 1e6")[2]
    np.testing.assert_array_equal(wrong, [1e6, *first("CartPole-v1", "as it is")[2][1:]])
    assert first("CartPole-v1", "one reward of 1e6")[3] == 1e6
    strong = first("Pendulum-v1", "as it is", np.array([2.0], np.float32))[2]
    for name, action in (
        ("range of actions x 100", [200.0]),
        ("5 actions without effect more", [2.0, *[0.3] * 5]),
        ("actions from 0 to 1", [1.0]),
        ("range x 10, clipped to its tenth", [13.0]),
    ):
        env, _, pushed, *_ = first("Pendulum-v1", name, np.array(action, np.float32))
        np.testing.assert_array_equal(pushed, strong)
        assert env.action_space.contains(np.array(action, np.float32))
