"""The page of a run or a sweep: its parts, its escapes, and what it says of runs without results."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import command, exit_code
from tests.made_runs import run, two_settings
from tracerl.report import __main__ as command_line
from tracerl.report import page_of
from tracerl.runs.evaluations import FIELDS

HOSTILE = "<script>alert(1)</script>\"'&$x_$"


class Parsed(HTMLParser):
    """The elements of a page with their attributes, and its text; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Return the exit code, stdout and stderr of the command line."""

    def call(*arguments: object) -> tuple[int, str, str]:
        return exit_code(command_line.main, monkeypatch, *arguments), *capsys.readouterr()

    yield call


def test_page_of_a_run_has_its_curves_table_settings_and_command(tmp_path: Path, report: Any) -> None:
    folder = run(tmp_path / "a", "agent.x=1", lifetimes=[[1.0, 3.0, 5.0], [3.0, 5.0, 7.0], [2.0, 4.0, 6.0]])
    path = tmp_path / "page.html"
    assert report(folder, "-o", path) == (0, f"{path}\n", "")
    text = path.read_text()
    page = Parsed(text)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1
    images = page.all("img")
    assert len(images) == 2 and all(image["src"].startswith("data:image/png;base64,") for image in images)
    assert all(image["alt"] for image in images) and "ends at 4.000" in images[0]["alt"]
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert "seeds 0-2" in page.text and "4.000 [3.000,\u00a05.000]" in page.text and "agent.x" in page.text
    assert "python -m tracerl.run env=CartPole seed=0 lifetimes=3 agent.x=1" in page.text
    assert "must have a checkpoint" in page.text and str(tmp_path) not in page.text
    assert not re.search(r"(src|href)=.?(http|//|file)|<script|@import|url\(", text) and len(text) < 2_000_000


def test_strings_of_a_run_are_escaped(tmp_path: Path) -> None:
    run(tmp_path / "a", f"agent.x={HOSTILE}", lifetimes=[[1.0], [2.0]], env=HOSTILE, error=HOSTILE, status="failed")
    run(tmp_path / "b", "agent.x=2", lifetimes=[[3.0], [2.0]], env=HOSTILE, machine=HOSTILE, agent=HOSTILE)
    for paths in ([tmp_path / "a"], [tmp_path]):
        text = page_of(paths, title=HOSTILE)
        page = Parsed(text)
        assert "<script" not in text and not page.all("script") and page.text.count(HOSTILE) >= 4
        assert all(set(attributes) == {"src", "alt", "width", "height"} for attributes in page.all("img"))


def test_sweep_is_compared_with_links_to_each_setting(tmp_path: Path) -> None:
    two_settings(tmp_path)
    page = Parsed(page_of([tmp_path]))
    anchors = {attributes["href"] for attributes in page.all("a")}
    assert anchors == {f"#{attributes['id']}" for attributes in page.all("h3") if "id" in attributes}
    assert anchors == {"#setting-0", "#setting-1"}
    assert "P(best >)" in page.text and "1.00" in page.text and "1, 2" in page.text
    assert "Intervals need 3 lifetimes or more." in page.text and not re.search(r"\[\d[\d.]*,", page.text)


def test_probability_of_the_best_setting_has_an_interval_from_three_lifetimes_on(tmp_path: Path) -> None:
    run(tmp_path / "a", "agent.x=1", lifetimes=[[1.0], [2.0], [3.0]])
    run(tmp_path / "b", "agent.x=2", lifetimes=[[2.0], [4.0], [6.0]])
    text = Parsed(page_of([tmp_path])).text
    assert re.search(r"0\.83 \[0\.\d\d,\s1\.00\]", text) and "Intervals need" not in text


def test_run_without_results_gets_a_page_that_says_so(tmp_path: Path) -> None:
    young = run(tmp_path / "young", lifetimes=[[]], ended=False)
    text = Parsed(page_of([young])).text
    assert "no curve" in text and "No episode has ended yet." in text and "did not finish: killed" in text
    failed = run(tmp_path / "failed", lifetimes=[[1.0], [2.0]], status="diverged", diverged_lives={"1": "weights"})
    text = Parsed(page_of([failed])).text
    assert "did not finish: diverged" in text and "lifetime 1 diverged: weights" in text
    assert "young: the run did not finish: killed" in Parsed(page_of([tmp_path])).text


def test_evaluations_have_a_curve_and_a_table(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lifetimes=[[1.0], [2.0], [3.0]])
    rows = [f"{step},{life},10,{step * life / 100},0,9,5" for step in (100, 200) for life in range(3)]
    (folder / "evaluations.csv").write_text("\n".join([",".join(FIELDS), *rows, "300,0,0,,,,", ""]))
    page = Parsed(page_of([folder]))
    assert len(page.all("img")) == 3 and "2.000 [0.000,\u00a04.000]" in page.text and "Evaluations" in page.text
    assert "Intervals need" not in page.text
    (folder / "evaluations.csv").write_text("\n".join([",".join(FIELDS), *rows[:2], ""]))
    assert "Intervals need 3 lifetimes or more." in Parsed(page_of([folder])).text


def test_invalid_arguments_print_one_line(tmp_path: Path, report: Any) -> None:
    (tmp_path / "empty").mkdir()
    folder, two = run(tmp_path / "a", lifetimes=[[1.0]]), two_settings(tmp_path / "two")
    for arguments, message in (
        ((tmp_path / "none",), "RUN must be the folder of a run or a sweep, or contain some, got"),
        ((tmp_path / "empty",), "RUN has no run in it"),
        ((folder, "-o", "page.pdf"), "--output must be a file whose name ends in .html"),
        ((folder, "-o", "/dev/null/x.html"), "/dev/null/x.html"),
        ((folder, "--steps", "0"), "--steps must be a whole number from 1 to 100000"),
        ((folder, "--steps", 10**12), "--steps must be a whole number from 1 to 100000"),
        ((folder, "--lifetime", "1"), "--lifetime must be a whole number from 0 to 0"),
        ((folder, "--lief", "1"), "unrecognized arguments"),
        ((two, "--life", "1"), "--lifetime needs one run, got 2"),
        ((two, "--checkpoint", "best"), "--checkpoint needs one run, got 2"),
        ((two, "--steps", "20"), "--steps needs one run, got 2"),
    ):
        code, out, error = report(*arguments)
        assert code == 2 and message in error and error.startswith("error: ") and len(error.splitlines()) == 1, error
        assert out == ""


def test_missing_extra_raises_an_error_naming_it(tmp_path: Path, report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(tmp_path / "a", lifetimes=[[1.0]])
    for name in ["matplotlib", *(name for name in sys.modules if name.startswith("matplotlib."))]:
        monkeypatch.setitem(sys.modules, name, None)
    code, _, error = report(folder, "-o", tmp_path / "page.html")
    assert code == 2 and 'pip install "tracerl[plots]"' in error and not (tmp_path / "page.html").exists()


def test_help_works_without_matplotlib() -> None:
    found = subprocess.run([sys.executable, "-m", "tracerl.report", "--help"], capture_output=True, text=True)
    assert found.returncode == 0 and "can be mailed" in found.stdout


def test_page_of_a_run_with_images_has_spikes_and_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["network=conv", "network.channels=[3]", "network.hidden=[32]", "steps=60", "logger=none"]
    assert command(["engine=torch", "env=Image-v0", *small, "hydra.run.dir=conv"], monkeypatch, tmp_path) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "conv").rglob("*")}
    page = Parsed(page_of([tmp_path / "conv"], steps=10))
    alternatives = " ".join(image["alt"] for image in page.all("img"))
    assert "Raster of the spikes of policy_0" in alternatives and "Weights of the first convolution" in alternatives
    assert "not recorded" not in page.text and "UTC" in page.text and "hydra.run.dir" not in page.text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "conv").rglob("*")} == before


def test_agent_without_spikes_has_a_reason_in_place_of_a_raster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(["agent=random", "steps=60", "logger=none", "hydra.run.dir=r"], monkeypatch, tmp_path) == 0
    assert "No raster" in Parsed(page_of([tmp_path / "r"], steps=5)).text


def test_failed_env_is_a_reason_in_place_of_a_raster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("no simulator")

    assert command(["steps=60", "logger=none", "hydra.run.dir=r", "engine=torch"], monkeypatch, tmp_path) == 0
    monkeypatch.setattr(CartPoleEnv, "step", fail)
    text = Parsed(page_of([tmp_path / "r"], steps=5)).text
    assert "No raster: the env failed in step 1: RuntimeError: no simulator." in text
