"""The command line that draws runs: its files, its output and its errors."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import exit_code
from tests.made_runs import run, two_settings
from tracerl.plot import __main__ as command_line


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Return a folder with two settings of two lifetimes each."""
    return two_settings(tmp_path)


@pytest.fixture
def plot_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Return the exit code, stdout and stderr of the command line."""

    def call(*arguments: object) -> tuple[int, str, str]:
        return exit_code(command_line.main, monkeypatch, *arguments), *capsys.readouterr()

    yield call


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_curves_are_written_in_each_format_reproducibly(
    two: Path, plot_command: Any, ending: str, start: bytes
) -> None:
    path = two / f"c.{ending}"
    first, second = (plot_command(two, "-o", path) and path.read_bytes() for _ in range(2))
    assert first.startswith(start) and first == second
    assert ending != "pdf" or (b"/Type3" not in first and b"/FontFile2" in first)  # text is kept as text
    assert sorted(p.name for p in two.iterdir()) == ["a", "b", path.name]


def test_widths_are_columns_or_inches(two: Path, plot_command: Any) -> None:
    from PIL import Image

    for width, pixels in (("one", 700), ("two", 1440), ("5", 1000)):
        assert plot_command(two, "-o", two / "c.png", "--width", width)[0] == 0
        with Image.open(two / "c.png") as picture:
            assert picture.width == pixels


def test_tables_and_numbers_are_written_to_files_or_printed(two: Path, plot_command: Any) -> None:
    assert plot_command(two, "--what", "table")[1].startswith("run ")
    assert plot_command(two, "--what", "table", "--format", "csv")[1].startswith("env,run,lives")
    note = "note: no interval with fewer than 3 lifetimes\n"
    assert plot_command(two, "--what", "table", "-o", two / "t.md") == (0, f"{two / 't.md'}\n", note)
    assert (two / "t.md").read_text().startswith("| run |")
    assert plot_command(two, "-o", two / "c.csv")[0] == 0
    assert plot_command(two / "c.csv", "-o", two / "c.png", "--labels", "x", "y")[0] == 0
    for option in (["--lives"], ["--statistic", "mean"], ["--window", "1"], ["--by", "run"]):
        name = option[0].replace("lives", "lifetimes")
        assert f"error: {name} needs runs: {two / 'c.csv'} has" in plot_command(two / "c.csv", *option)[2]
    assert "--labels must differ for agent.x=1 and agent.x=2" in plot_command(two / "c.csv", "--labels", "x", "x")[2]
    assert plot_command(two, "--what", "running", "-o", two / "r.svg", "--decays", "0.5")[0] == 0


def test_csv_has_every_setting_in_whatever_way_it_is_asked_for(tmp_path: Path, plot_command: Any) -> None:
    for x in range(12):
        run(tmp_path / "runs" / str(x), f"agent.x={x}", lifetimes=[[float(x)]])
    ways = (("-o", tmp_path / "a.csv"), ("-o", tmp_path / "a.CSV"), ("-o", tmp_path / "a", "--format", "csv"))
    for way in ways:
        assert plot_command(tmp_path / "runs", *way)[2] == ""
        labels = {line.split(",")[1] for line in way[1].read_text().splitlines()[1:]}
        assert labels == {f"agent.x={x}" for x in range(12)}
    assert "the best 10 of 12 are drawn" in plot_command(tmp_path / "runs", "-o", ways[0][1], "--format", "png")[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere every name is UTF-8")
def test_names_that_are_not_utf8_are_escaped(tmp_path: Path, plot_command: Any) -> None:
    for name in ("x\udcff", "y\udcff"):
        run(tmp_path / "runs" / name, f"agent.x={name[0]}", lifetimes=[[1.0]])
    shown = tmp_path / "t.csv"
    assert plot_command(tmp_path / "runs", "--by", "run", "--what", "table", "-o", shown)[0] == 0
    assert [line.split(",")[1] for line in shown.read_text("utf-8").splitlines()[1:]] == ["x\\udcff", "y\\udcff"]
    assert plot_command(tmp_path / "runs", "--by", "run", "-o", tmp_path / "c.csv")[0] == 0
    options = ("--labels", "a\udcff", "b", "--title", "t\udcff")
    assert plot_command(tmp_path / "runs", "-o", tmp_path / "c.svg", *options)[0] == 0
    drawn = (tmp_path / "c.svg").read_text("utf-8")
    assert "<!-- a\\udcff (1 lifetime) -->" in drawn and "<!-- t\\udcff -->" in drawn


def test_duplicate_lifetimes_are_reported(tmp_path: Path, plot_command: Any) -> None:
    for i in range(2):
        run(tmp_path / str(i), lifetimes=[[1.0]])
    note = "note: 1 lifetime with the same settings and seed is in more than one run, and counts once\n"
    assert plot_command(tmp_path, "--what", "table")[2] == note
    run(tmp_path / "2", lifetimes=[[1.0]])
    note = "note: 2 lifetimes with the same settings and seed are in more than one run, and count once\n"
    assert plot_command(tmp_path, "--what", "table")[2] == note


def test_invalid_arguments_print_one_line(two: Path, plot_command: Any) -> None:
    (two / "empty").mkdir()
    run(two / "young", lifetimes=[[]], ended=False)
    (two / "c.csv").touch()
    for arguments, message in (
        ((two / "none",), "RUN must be the folder of a run or a sweep, or contain some, got"),
        ((two / "empty",), "RUN has no run in it"),
        ((two / "young",), "no episode has ended, no reward rate was logged"),
        ((two / "young", "--what", "running"), "no episode has ended"),
        ((two, "-o", "x.bmp"), "--format must be one of png, pdf, svg, csv for --what curves; got the file 'x.bmp'"),
        ((two, "-o", "x"), "--format must be one of png, pdf, svg, csv for --what curves; got the file 'x'"),
        ((two, "--format", "bmp"), "--format must be one of png, pdf, svg, csv for --what curves; got 'bmp'"),
        ((two, "--what", "raster", "-o", "x.csv"), "--format must be one of png, pdf, svg for --what raster; got the"),
        ((two, "--what", "table", "-o", "x.PNG"), "--format must be one of text, markdown, csv for --what table; got"),
        ((two, "-o", "/dev/null/x.png"), "/dev/null/x.png"),
        ((two, "--statistic", "mode"), "--statistic must be one of iqm, mean, median; got 'mode'"),
        ((two, "--what", "curve"), "argument --what: invalid choice: 'curve'"),
        ((two, "--width", "wide"), "--width must be one, two"),
        ((two, "--width", "0"), "--width must be a number of inches"),
        ((two, "--window", "0"), "--window must be a whole number of 1 or above"),
        ((two, "--by", "seed"), "--by must be one of"),
        ((two, "--decays", "1"), "--decays must be a number in [0, 1)"),
        ((two / "a", "--what", "running", "--decays", *[0.5] * 11), "--decays must be at most 10 numbers, got 11"),
        ((two, "--what", "table", "--window", "20"), "--window needs --what curves, got --what table"),
        ((two, "--what", "table", "--statistic", "mean"), "--statistic needs --what curves, got --what table"),
        (("pretrained:CartPole",), "RUN must be the folder of a run: a pretrained agent has no curves"),
        ((two, "-o", ""), "argument -o/--output: must be a path, got ''"),
        (("",), "argument RUN: must be a path, got ''"),
        ((two, "-o", two / "gone" / "x.png"), "--output must be a file that can be written, got"),
        ((two / "c.csv", "--what", "table"), "RUN must be folders for --what table, got the csv file"),
        ((two / "c.csv", two), "RUN must be folders or csv files, got both"),
        ((two, "--labels", "a", "b", "c", "d"), "--labels must be"),
        (
            (two / "a", two / "b", "--labels", "x", "x"),
            "--labels must differ for agent.x=1 and agent.x=2 of CartPole, got 'x' twice",
        ),
        (
            (two / "a", two / "b", "--labels", "x", "x", "--what", "running"),
            "--labels must differ for agent.x=1 and agent.x=2",
        ),
        ((two / "a", "--what", "running", "--lifetime", "2"), "--lifetime must be below 2"),
        ((two / "a", "--what", "raster"), "RUN must have a checkpoint"),
        ((two, "--what", "raster"), "RUN must be the folder of a run"),
        ((two, two, "--what", "frame"), "RUN must be one run for --what frame, got 2"),
        ((two, "--what", "table", "--format", "png"), "--format must be one of text, markdown, csv"),
        ((two / "a", "--what", "distributions", "--steps", "0"), "--steps must be a whole number from 1 to 100000"),
        ((two / "a", "--what", "raster", "--steps", 10**30), "--steps must be a whole number from 1 to 100000"),
        ((two / "a", "--what", "frame", "--frames", 101), "--frames must be a whole number from 1 to 100"),
    ):
        code, out, error = plot_command(*arguments)
        assert code == 2 and message in error and error.startswith("error: ") and len(error.splitlines()) == 1, error
        assert out == ""


def test_options_without_effect_are_named(two: Path, plot_command: Any) -> None:
    arguments = (two, "--what", "table", "--title", "x", "--ends", "--labels", "a", "b")
    assert plot_command(*arguments)[2].splitlines()[0] == "note: without effect on --what table: --ends, --title"
    assert plot_command(two, "-o", two / "c.png", "--title", "x", "--ends") == (0, f"{two / 'c.png'}\n", "")
    run(two / "c", "agent.x=1", lifetimes=[[1.0]], env="Acrobot")
    note = "note: without effect on curves in several panels: --ends\n"
    assert plot_command(two, "-o", two / "c.png", "--ends") == (0, f"{two / 'c.png'}\n", note)


def test_missing_extra_raises_an_error_naming_it(two: Path, plot_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["matplotlib", *(name for name in sys.modules if name.startswith("matplotlib."))]:
        monkeypatch.setitem(sys.modules, name, None)
    code, _, error = plot_command(two, "-o", two / "c.png")
    assert code == 2 and 'pip install "tracerl[plots]"' in error
    assert plot_command(two, "--what", "table")[0] == 0  # needs no figure


def test_help_works_without_matplotlib() -> None:
    found = subprocess.run([sys.executable, "-m", "tracerl.plot", "--help"], capture_output=True, text=True)
    assert found.returncode == 0 and "learning curves" in found.stdout
