"""Curves, bands, tables and comparisons from run folders made by hand."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_runs import run, two_settings
from tracerl.config.checks import ConfigError
from tracerl.lifetime.statistics import count_reached, median_reached
from tracerl.plot.choice import best_bands, choose
from tracerl.plot.curves import draw_curves, spread
from tracerl.plot.lines import draw_running
from tracerl.plot.series import RATE, RETURN, Curve, band, bands_as_csv, bands_of, read_bands, running_mean
from tracerl.plot.style import save, style
from tracerl.plot.table import as_csv, as_markdown, as_text, table_rows
from tracerl.runs.compare import SavedLifetime, group, of_a_lifetime, reached, without_seed
from tracerl.runs.folders import read_jobs
from tracerl.runs.logging.event_file import EventWriter
from tracerl.sweep.effects import draw_effects


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Return a folder with two settings of two lifetimes each."""
    return two_settings(tmp_path)


def curves(*ends: int) -> list[Curve]:
    return [Curve(np.array([10.0 * (i + 1)]), np.array([float(i)]), end) for i, end in enumerate(ends)]


def test_band_continues_after_the_shortest_lifetime_with_the_remaining_count() -> None:
    found = band(curves(100, 200, 300, 400), "mean")
    assert (found.steps[0], found.steps[-1]) == (20, 300)  # with two lifetimes
    there = dict(zip(found.lifetimes.tolist(), found.middle.tolist(), strict=True))
    assert there == {2: 2.5, 3: 2.0, 4: 1.5}
    assert found.lifetimes[0] == 2 and found.lifetimes.max() == 4 and found.lifetimes[-1] == 2
    assert band(curves(50)).steps[-1] == 50


def test_curve_holds_its_last_value_until_the_end_of_its_lifetime() -> None:
    found = Curve(np.array([10.0, 20.0]), np.array([1.0, 2.0]), 25).at(np.array([5.0, 10.0, 19.0, 25.0, 26.0]))
    np.testing.assert_array_equal(found, [np.nan, 1.0, 1.0, 2.0, np.nan])


@pytest.mark.parametrize(("statistic", "middle"), [("mean", 26.5), ("median", 2.5), ("iqm", 2.5)])
def test_middle_is_the_requested_statistic_and_lies_in_its_band(statistic: str, middle: float) -> None:
    values = (1.0, 2.0, 3.0, 100.0)
    found = band([Curve(np.array([0.0]), np.array([value]), 10) for value in values], statistic)
    assert found.middle[0] == found.middle[-1] == middle
    assert 1.0 <= found.low[0] <= middle <= found.high[0] <= 100.0


def test_curves_are_rolling_means_of_the_episodes_of_each_lifetime(two: Path) -> None:
    chosen = choose([two])
    assert chosen.labels == ["agent.x=1", "agent.x=2"]
    one, other = bands_of(chosen.groups, chosen.labels, "mean")
    assert (one.steps[0], one.steps[-1], other.steps[-1]) == (10, 30, 20)
    assert (one.middle[0], one.middle[-1], other.middle[-1]) == (2.0, 4.0, 0.5)
    assert one.measure == RETURN and one.env == "CartPole"


def test_lifetime_in_two_runs_counts_once_from_the_longer_run(tmp_path: Path) -> None:
    run(tmp_path / "0", lifetimes=[[1.0], [2.0], [3.0]], seed=0)
    run(tmp_path / "1", lifetimes=[[2.0, 4.0], [3.0, 5.0], [4.0, 6.0]], seed=1)
    (found,) = choose([tmp_path]).groups
    assert choose([tmp_path]).repeated == 2
    assert sorted(lifetime.returns.tolist() for lifetime in found.lifetimes) == [
        [1.0],
        [2.0, 4.0],
        [3.0, 5.0],
        [4.0, 6.0],
    ]
    (row,) = table_rows([found], ["x"])
    assert row["lives"] == 4 and row["mean"] == pytest.approx((1 + 3 + 4 + 5) / 4)


def test_runs_that_differ_only_in_seed_lifetimes_and_backend_are_grouped(tmp_path: Path) -> None:
    run(tmp_path / "0", "agent=reflect", lifetimes=[[1.0]])
    run(tmp_path / "1", "env.backend=compiled", "logger=none", lifetimes=[[1.0], [2.0]], seed=1)
    run(tmp_path / "2", "agent.x=3", lifetimes=[[1.0]], seed=5)
    jobs = read_jobs(tmp_path)
    assert [len(found.lifetimes) for found in group(jobs, of_a_lifetime)] == [3, 1]
    assert len(group(jobs, without_seed)) == 3  # a sweep's table has a row for each setting


def test_run_without_episodes_does_not_change_the_labels_of_others(two: Path) -> None:
    run(two / "c", "agent.x=3", "agent.y=4", lifetimes=[[]], status="failed", steps=0)
    assert choose([two]).labels == ["agent.x=1", "agent.x=2", "agent.x=3, agent.y=4"]


def test_comparison_is_between_runs_or_arguments(two: Path) -> None:
    assert choose([two], "run").labels == ["a", "b"]
    both = choose([two], "argument")
    assert both.labels == [two.name] and len(both.groups[0].lifetimes) == 4  # the same seeds, other settings
    assert choose([two / "a" / "summary.json"]).labels == ["reflect"]
    assert choose([two], labels=["one", "other"]).labels == ["one", "other"]
    with pytest.raises(ConfigError, match="--labels must be 2, one for each of: agent.x=1; agent.x=2; got 1"):
        choose([two], labels=["one"])
    run(two / "c", "agent.x=3", lifetimes=[[1.0]], env="Acrobot")
    labels = ["x", "tuned", "tuned"]  # the best of each env
    assert choose([two / "a", two / "b", two / "c"], labels=labels).labels == labels


def test_running_and_killed_runs_are_read_up_to_their_last_episode(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lifetimes=[[1.0, 5.0, 7.0], [2.0]], ended=False)
    with (folder / "returns.part").open("ab") as file:
        file.write(b"torn")
    (folder / "running.json").write_text('{"step": 500, "torn')
    (found,) = choose([tmp_path]).groups
    assert [lifetime.final_return for lifetime in found.lifetimes] == [pytest.approx(13 / 3), 2.0]
    assert [lifetime.reached for lifetime in found.lifetimes] == [{"w2>=3": 20}, {"w2>=3": None}]
    assert [lifetime.steps for lifetime in found.lifetimes] == [30, 30]


def test_diverged_lifetime_ends_with_its_last_episode(tmp_path: Path) -> None:
    run(tmp_path / "a", lifetimes=[[1.0] * 9, [2.0]], diverged_lives={"1": "weights"})
    (job,) = read_jobs(tmp_path)
    assert [SavedLifetime(job, i).steps for i in range(2)] == [90, 10]


def test_damaged_files_lose_only_their_own_contents(tmp_path: Path) -> None:
    for name, content in (("config.yaml", b"\xff: ["), ("summary.json", b"{"), ("returns.npz", b"PK torn")):
        folder = run(tmp_path / f"of {name}", f"agent.x={name}", lifetimes=[[1.0], [2.0]], ended=name == "returns.npz")
        (folder / name).write_bytes(content)
    chosen = choose([tmp_path])
    assert [len(found.lifetimes) for found in chosen.groups] == [2, 2, 2]
    assert [len(found.returns) for found in chosen.groups] == [
        2,
        2,
        2,
    ]  # instead of the damaged npz, the returns of the summary
    assert len(bands_of(chosen.groups, chosen.labels)) == 2


def test_milestones_are_reached_at_the_end_of_the_window() -> None:
    ends, returns = np.array([10, 20, 30, 40]), np.array([0.0, 4.0, 2.0, 4.0])
    assert reached("w2>=3", ends, returns) == 30
    assert (reached("w4>=2.5", ends, returns), reached("w2>=5", ends, returns)) == (40, None)
    assert reached("w9>=0", ends, returns) is reached("nonsense", ends, returns) is None
    assert (median_reached([5, None, 3]), median_reached([None, 7]), median_reached([None, None])) == (5, 7, None)
    assert (count_reached([5, None, 0]), count_reached([None])) == (2, 0)


def test_each_env_has_a_panel_and_each_label_one_colour(tmp_path: Path) -> None:
    for i, env in enumerate(("CartPole", "Acrobot")):
        for x in (1, 2):
            run(tmp_path / f"{env}{x}", f"agent.x={x}", lifetimes=[[1.0 * i, 2.0], [2.0, 2.0]], env=env)
    figure = draw_curves(best_bands(read_jobs(tmp_path)))
    left, right = figure.axes
    assert {axes.get_title(loc="left") for axes in (left, right)} == {"CartPole", "Acrobot"}
    for axes in (left, right):
        assert len(axes.get_lines()) == 2
    colours = [{line.get_label(): line.get_color() for line in axes.get_lines()} for axes in (left, right)]
    assert colours[0] == colours[1] and len(set(colours[0].values())) == 2
    effects = draw_effects(read_jobs(tmp_path))
    assert [axes.get_title(loc="left") for axes in effects.axes] == ["Acrobot", "CartPole"]


def test_effects_are_those_of_the_jobs_that_have_begun(tmp_path: Path) -> None:
    (tmp_path / "1" / ".hydra").mkdir(parents=True)
    (tmp_path / "1" / ".hydra" / "overrides.yaml").write_text("[env=Acrobot, agent.x=2]")
    with pytest.raises(ConfigError, match="^--effects needs a lifetime to draw, and none has begun"):
        draw_effects(read_jobs(tmp_path))
    run(tmp_path / "0", "agent.x=1", lifetimes=[[1.0, 2.0]])
    assert [axes.get_title(loc="left") for axes in draw_effects(read_jobs(tmp_path)).axes] == ["CartPole"]


def test_numbers_are_compared_by_value(tmp_path: Path) -> None:
    for seed, text in enumerate(("agent.x=600", "agent.x=6e2", "agent.x=nan", "agent.x=nan", "agent.x=600.5")):
        run(tmp_path / str(seed), text, "eval.every=10", lifetimes=[[1.0]], seed=seed)
    assert [len(found.jobs) for found in choose([tmp_path]).groups] == [2, 2, 1]


def test_long_titles_and_labels_of_any_kind_are_drawn(tmp_path: Path) -> None:
    run(tmp_path / "0", "agent.x=1", lifetimes=[[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])
    bands = [replace(found, label="_a") for found in best_bands(read_jobs(tmp_path))]
    for width in (3.5, 4.5, 7.2):
        for ends in (False, True):
            figure = draw_curves(bands, title="a title of many words " * 7, width=width, ends=ends)
            figure.canvas.draw()
            (axes,) = figure.axes
            for place in ("left", "right"):
                found = {"left": axes._left_title, "right": axes._right_title}[place].get_window_extent()
                assert found.x0 >= 0 and found.x1 <= figure.bbox.x1
            assert axes.get_window_extent().width > 0.5 * figure.bbox.width
            assert ends or [text.get_text() for text in axes.get_legend().get_texts()] == ["_a (3 lifetimes)"]


@pytest.mark.parametrize("label", ["x", "agent.entropy=0.02"])
@pytest.mark.parametrize("width", [3.5, 4.5, 5.5, 7.2])
def test_explanation_above_labelled_ends_fits_the_figure(label: str, width: float) -> None:
    bands = [band(curves(100, 100, 100), label=label + end, env="CartPole") for end in ("", "1")]
    figure = draw_curves(bands, width=width, ends=True)
    with style():
        figure.canvas.draw()
    (axes,) = figure.axes
    left, right = axes._left_title.get_window_extent(), axes._right_title.get_window_extent()
    assert right.width == 0 or left.x1 < right.x0
    assert max(left.x1, right.x1) <= figure.bbox.x1
    labels = [text.get_window_extent() for text in axes.texts]
    assert not labels[0].overlaps(labels[1])
    shown = axes.get_title(loc="left") + axes.get_title(loc="right")
    assert "interquartile mean over lifetimes, 95% interval" in " ".join(shown.split())


def test_effects_of_one_setting_are_drawn_by_seed_below_a_whole_title(tmp_path: Path) -> None:
    run(tmp_path / "0", lifetimes=[[1.0, 2.0], [2.0, 2.0]], seed=3)
    effects = draw_effects(read_jobs(tmp_path))
    effects.canvas.draw()
    (axes,) = effects.axes
    assert axes.get_xlabel() == "seed" and [line.get_xdata()[0] for line in axes.get_lines()] == [3, 4]
    assert all(tick.is_integer() for tick in axes.get_xticks().tolist())
    title = effects._suptitle.get_window_extent()
    assert title.x0 >= 0 and title.x1 <= effects.bbox.x1


def test_lifetimes_without_an_ended_episode_are_drawn_by_their_reward_rate(tmp_path: Path) -> None:
    for seed in range(2):
        folder = run(tmp_path / str(seed), lifetimes=[[], []], env="Forever", seed=2 * seed)
        events = EventWriter(folder)
        for step in (1000, 2000):
            events.scalars({"rollout/reward_rate": step / 1000 + seed, "learn/entropy": 9.0}, step)
        events.close()
    (found,) = bands_of(*_groups(tmp_path), "mean")
    assert (found.measure, found.lifetimes[0], found.middle[0], found.middle[-1]) == (RATE, 2, 1.5, 2.5)
    for path in tmp_path.glob("*/events*"):
        path.unlink()
    assert bands_of(*_groups(tmp_path)) == []


def _groups(folder: Path) -> tuple[Any, Any]:
    chosen = choose([folder])
    return chosen.groups, chosen.labels


def test_bands_round_trip_through_csv(two: Path, tmp_path: Path) -> None:
    bands = bands_of(*_groups(two))
    path = tmp_path / "bands.csv"
    path.write_text(bands_as_csv(bands))
    for before, after in zip(bands, read_bands(path), strict=True):
        assert (before.label, before.env, before.statistic) == (after.label, after.env, after.statistic)
        for name in ("middle", "low", "high", "lifetimes"):
            np.testing.assert_allclose(getattr(before, name), getattr(after, name), rtol=1e-5)
    path.write_text(path.read_text() + "CartPole,x,y,iqm,1,2\n")
    with pytest.raises(ConfigError, match="must have 9 columns in each line: .*line 402"):
        read_bands(path)


ROW = "CartPole,x,mean return,iqm,13,5.5,nan,nan,1\n"
HEAD = "env,label,measure,statistic,step,middle,low,high,lives\n"


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (b"", "must be a csv with the columns env, label, measure, statistic, step, middle, low, high, lives, got"),
        (b"env,label\nCartPole,x\n", "must be a csv with the columns env, label"),
        (HEAD.encode(), "has no row below its head: "),
        (b"\xff\xfe\x00", "must be a csv of text, got .*c.csv: 'utf-8' codec can't decode"),
        ((HEAD + "a" * 200_000).encode(), "must be a csv of text, got .*c.csv: field larger than"),
        ((HEAD + ROW + "CartPole,x\n").encode(), "must have 9 columns in each line: .*c.csv, line 3$"),
        ((HEAD + ROW.replace("1\n", "1,2\n")).encode(), "must have 9 columns in each line: .*c.csv, line 2$"),
        (
            (HEAD + ROW.replace("iqm", "mode")).encode(),
            "must have one of iqm, mean, median in the column statistic, got",
        ),
        ((HEAD + ROW.replace("13", "x")).encode(), "must have a number in the column step, got 'x': .*c.csv, line 2$"),
        ((HEAD + ROW.replace("5.5", "inf")).encode(), "must have a number in the column middle, got 'inf': "),
        ((HEAD + ROW.replace(",1\n", ",nan\n")).encode(), "must have a number in the column lives, got 'nan': "),
        ((HEAD + ROW.replace("5.5", "nan")).encode(), "has no number in the column middle for x of CartPole: .*c.csv$"),
    ],
)
def test_csv_that_is_not_of_curves_is_named(contents: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(contents)
    with pytest.raises(ConfigError, match=f"^RUN {problem}"):
        read_bands(tmp_path / "c.csv")


def test_csv_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("\ufeff" + (HEAD + ROW).replace("\n", "\r\n") + "\r\n", "utf-8", newline="")
    (found,) = read_bands(tmp_path / "c.csv")
    assert (found.label, found.steps.tolist(), found.middle.tolist()) == ("x", [13], [5.5])


def test_only_the_ten_best_settings_of_a_sweep_are_drawn_best_first(tmp_path: Path) -> None:
    for x in range(12):
        run(tmp_path / str(x), f"agent.x={x}", lifetimes=[[float(x)]])
    assert [found.label for found in best_bands(read_jobs(tmp_path))] == [f"agent.x={x}" for x in range(11, 1, -1)]


def test_lines_are_dashed_where_lifetimes_are_missing() -> None:
    full, dashed = draw_curves([band(curves(100, 200, 300), "mean", label="x")], ends=True).axes[0].get_lines()
    assert np.isnan(full.get_ydata()[-1]) and np.isfinite(dashed.get_ydata()[-1])
    assert dashed.get_linestyle() == "--" and full.get_linestyle() == "-"
    assert np.isfinite(np.where(np.isnan(full.get_ydata()), dashed.get_ydata(), full.get_ydata())).all()


def test_lifetimes_are_drawn_individually_instead_of_the_band() -> None:
    bands = [band(curves(100, 200, 300), label="x")]
    ends = {line.get_xdata()[-1] for line in draw_curves(bands, lifetimes=True).axes[0].get_lines() if line.get_alpha()}
    assert ends == {100, 200, 300}
    assert {line.get_drawstyle() for line in draw_curves(bands, lifetimes=True).axes[0].get_lines()} == {
        "steps-post",
        "default",  # of the statistic
    }
    assert (
        len(draw_curves(bands).axes[0].collections) == 1 and not draw_curves(bands, lifetimes=True).axes[0].collections
    )


def test_evaluations_are_points_that_lines_join() -> None:
    points = [Curve(np.array([10.0, 20.0]), np.array([1.0, x]), 20.0, holds=False) for x in (2.0, 4.0, 6.0)]
    found = band(points, "median")
    assert (found.steps.tolist(), found.middle.tolist()) == ([10, 20], [1, 4])
    lines = draw_curves([found], lifetimes=True).axes[0].get_lines()
    assert {(line.get_drawstyle(), line.get_marker()) for line in lines} == {("default", "o")}
    assert [line.get_ydata()[-1] for line in lines] == [2, 4, 6, 4]


def test_curve_of_one_env_step_has_a_marker() -> None:
    for lifetimes, n in ((False, 1), (True, 2)):
        lines = draw_curves([band(curves(10))], lifetimes=lifetimes).axes[0].get_lines()
        assert [line.get_marker() for line in lines] == ["o"] * n
    assert draw_curves([band(curves(11))]).axes[0].get_lines()[0].get_marker() == "None"


def test_legend_counts_all_lifetimes_also_those_of_different_times() -> None:
    found = band([Curve(np.array([10.0 * i]), np.array([1.0]), 10.0 * i + 15) for i in range(1, 4)], label="x")
    assert found.lifetimes.max() == 2
    (axes,) = draw_curves([found]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x (3 lifetimes)"]


def test_labels_at_the_ends_of_curves_are_spaced_and_ordered() -> None:
    found = spread(np.array([5.0, 1.0, 5.1, 9.0]), 1.0)
    np.testing.assert_allclose(found, [4.55, 1.0, 5.55, 9.0])
    np.testing.assert_allclose(spread(np.array([5.0, 5.1, 0.0]), 1.0, 5.2), [4.2, 5.2, 0.0])


def test_running_mean_weights_recent_values_and_is_bias_corrected() -> None:
    np.testing.assert_allclose(running_mean(np.array([1.0, 3.0, 0.0]), 0.5), [1.0, 7 / 3, 1.0])
    np.testing.assert_array_equal(running_mean(np.array([1.0, 3.0]), 0.0), [1.0, 3.0])
    figure = draw_running({"x": (np.arange(3), np.arange(3.0))}, [0.5, 0.9])
    assert [line.get_label() for line in figure.axes[0].get_lines()][1:] == [
        "decay 0.5, about 2",
        "decay 0.9, about 10",
    ]


def test_tables_have_the_number_and_step_of_reached_milestones(two: Path) -> None:
    chosen = choose([two])
    rows = table_rows(chosen.groups, chosen.labels)
    assert (rows[0]["w2>=3 share"], rows[0]["w2>=3 median"], rows[0]["lowest"]) == (0.5, 7, 3.0)
    text = as_text(rows).splitlines()
    assert text[0].split("  ")[0] == "run" and "50% at 7" in text[1] and " 4.000 " in text[1]
    assert as_markdown(rows).splitlines()[1] == "|---|---|---|---|---|---|---|---|"
    parsed = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert float(parsed[1]["iqm"]) == 0.5 and parsed[0]["run"] == "agent.x=1"


def test_areas_are_means_over_env_steps(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lifetimes=[[1.0, 3.0, 5.0], [3.0, 5.0, 7.0]])
    run(tmp_path / "b", lifetimes=[[]], env="Forever")
    episodes = dict(np.load(folder / "returns.npz"))
    longer = {**episodes, "length": np.where(episodes["return"] == 7.0, 60, 10).astype(np.int32)}
    np.savez(folder / "returns.npz", **longer)
    (first, none), labels = choose([tmp_path]).groups, ["x", "y"]
    assert first.areas == [3.0, pytest.approx((3 + 5 + 6 * 7) / 8)]
    rows = table_rows([first, none], labels)
    assert (rows[0]["area"], rows[1]["area"]) == (pytest.approx(4.625), None)


def test_intervals_need_three_lifetimes(two: Path) -> None:
    pair, trio = (band(curves(*ends), label="x") for ends in ((100, 200), (100, 200, 300)))
    assert np.isnan(pair.low).all() and np.isnan(pair.high).all() and (pair.middle == 0.5).all()
    assert np.isfinite(trio.low[trio.lifetimes == 3]).all() and np.isnan(trio.low[trio.lifetimes < 3]).all()
    assert [row["iqm_low"] for row in table_rows(*_groups(two))] == [None, None]
    legends = {}
    for name, bands in {"pair": [pair], "both": [pair, trio], "trio": [trio]}.items():
        axes = draw_curves(bands).axes[0]
        legends[name] = axes.get_title(loc="right").removeprefix("interquartile mean over lifetimes, ")
        assert len(axes.collections) == (name != "pair")
    assert legends["pair"] == "no interval with fewer than 3 lifetimes"
    assert legends["both"] == legends["trio"] + " (three or more)" == "95% interval (three or more)"


def test_window_of_one_episode_draws_each_return(two: Path) -> None:
    one, _ = bands_of(*_groups(two), "median", 1)
    assert (one.measure, one.middle[0], one.middle[-1]) == ("return of the newest episode", 2.0, 6.0)
    two_episodes, _ = bands_of(*_groups(two), "median", 2)
    assert (two_episodes.measure, two_episodes.middle[-1]) == ("mean return, last 2 episodes", 5.0)


def test_failed_write_of_a_figure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(old: Path, new: Path) -> None:
        raise OSError(28, "No space left on device", str(new))

    figure = draw_running({"x": (np.arange(2), np.arange(2.0))})
    monkeypatch.setattr("tracerl.runs.disk.rename", full_disk)
    with pytest.raises(OSError, match="No space left on device: .*f.png"):
        save(figure, tmp_path / "f.png")
    assert list(tmp_path.iterdir()) == []


def test_axis_labels_abbreviate_env_steps() -> None:
    for axes in draw_running(dict.fromkeys("xy", (np.arange(2), np.arange(2.0)))).axes:
        label = axes.xaxis.get_major_formatter()
        assert [label(n) for n in (0, 500, 2500, 120_000, 3_000_000)] == ["0", "500", "2.5k", "120k", "3M"]
        assert axes.get_xlabel() == "env steps"
