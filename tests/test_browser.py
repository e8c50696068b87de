"""TensorBoard's pages of a run, rendered by a browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers import exit_code, script

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
browser = script("browser")

RUN = ("steps=2000", "logger.every=200", "network.hidden=[8]", "network.learn_membrane_decay=true", "lifetimes=3")


def test_every_page_has_a_screenshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screenshots = script("screenshots")
    short = {name: f"{overrides} steps=2000 logger.every=200" for name, overrides in screenshots.RUNS.items()}
    monkeypatch.setattr(screenshots, "RUNS", short)
    monkeypatch.setattr(screenshots, "FOLDER", tmp_path / "pictures")
    assert exit_code(screenshots.main, monkeypatch, "--runs", tmp_path / "runs") == 0
    for shot in screenshots.SHOTS:
        with Image.open(tmp_path / "pictures" / f"{shot.page}.png") as image:
            assert image.size == (screenshots.WIDTH, shot.height)
    with Image.open(tmp_path / "pictures" / "report.png") as image:
        assert image.size == screenshots.REPORT_SIZE


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Return the address of a TensorBoard of one short run, and a page of a browser."""
    folder = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-m", "tracerl.run", "env=CartPole", *RUN, f"hydra.run.dir={folder / 'short'}"]
    subprocess.run(command, check=True, capture_output=True)
    with browser.tensorboard(folder) as url, browser.open_page() as page:
        yield url, page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scalars", ["learn/td_error", "learn/entropy", "lives 3", "milestones", "rollout", "spikes", "time"]),
        (
            "custom_scalars",
            [
                "returns 5",
                "mean return of the last 100 episodes",
                "return of the last 100 episodes, over lifetimes",
                "learning 6",
                "step size",
                "learn/step_size_policy (short)",
                "norm of the eligibility traces",
                "spikes 4",
                "synaptic operations of the policy per decision",
                "share of silent neurons",
            ],
        ),
        ("images", ["pictures/raster", "pictures/decays", "step 2,000"]),
        ("histograms", ["decays/policy_0_membrane", "decays 2", "traces 4", "weights 8"]),
        (
            "hparams",
            ["agent.trace_decay", "rollout/ep_rew_mean", "lives/return_iqm", "milestones/w20>=475_lives", "short"],
        ),
        ("text", ["config", "about_these_pages", "the main charts"]),
    ],
)
def test_page_shows_the_run(pages: tuple[str, Any], name: str, words: list[str]) -> None:
    url, page = pages
    browser.open_url(page, f"{url}/#{name}")
    browser.wait_for(page, *words)


def test_images_are_loaded_at_their_drawn_size(pages: tuple[str, Any]) -> None:
    url, page = pages
    browser.open_url(page, f"{url}/#images")
    pictures = page.locator(browser.PICTURE)
    pictures.nth(1).wait_for()
    sizes = [
        picture.evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") for picture in pictures.all()
    ]
    assert all(width == 350 and height > 100 for width, height in sizes)


def test_charts_have_curves(pages: tuple[str, Any]) -> None:
    url, page = pages
    browser.open_url(page, f"{url}/#custom_scalars")
    browser.wait_for(page, "mean return of the last 100 episodes", "Matches (1)")
    page.locator(browser.LINE).nth(2).wait_for(state="attached")


def test_waiting_for_text_that_is_absent_times_out(pages: tuple[str, Any]) -> None:
    _, page = pages
    page.goto("about:blank")
    page.set_default_timeout(300)
    with pytest.raises(playwright.TimeoutError):
        browser.wait_for(page, "never shown")
    page.set_default_timeout(1000 * browser.SECONDS)
