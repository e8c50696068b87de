"""The report of a run and of a sweep, rendered by a browser."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers import command as start
from tests.helpers import script
from tests.made_runs import two_settings
from tracerl.report import page_of

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api")
browser = script("browser")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the page of a run with a checkpoint, and the page of two settings."""
    folder = tmp_path_factory.mktemp("reports")
    command = ["engine=torch", "steps=300", "network.hidden=[8]", "lifetimes=3", "logger=none", "hydra.run.dir=run"]
    with pytest.MonkeyPatch.context() as patch:
        assert start(command, patch, folder) == 0
    (folder / "run.html").write_text(page_of([folder / "run"], steps=40), encoding="utf-8")
    two_settings(folder / "sweep")
    (folder / "sweep.html").write_text(page_of([folder / "sweep"]), encoding="utf-8")
    return [folder / "run.html", folder / "sweep.html"]


@pytest.mark.parametrize(("number", "pictures"), [(0, 3), (1, 2)], ids=["run", "sweep"])
@pytest.mark.parametrize("width", [390, 1280])
def test_report_needs_no_network_and_fits_its_window(
    reports: list[Path], number: int, pictures: int, width: int
) -> None:
    with browser.open_page(width=width, height=800) as page:
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(reports[number].as_uri())
        sizes = page.eval_on_selector_all("img", "all => all.map(e => [e.naturalWidth, e.alt.length])")
        assert len(sizes) == pictures and all(wide > 0 and letters > 0 for wide, letters in sizes)
        assert said == [] and [url for url in asked if not url.startswith("data:")] == [reports[number].as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") == width
        if number:
            page.locator("a").first.click()
            assert page.evaluate("document.querySelector(location.hash).tagName") == "H3"
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_a_report_has_contrast(reports: list[Path], scheme: Any) -> None:
    with browser.open_page() as page:
        page.emulate_media(color_scheme=scheme)
        page.goto(reports[1].as_uri())
        ratios = page.evaluate(
            """() => {
              const light = text => { const [r, g, b] = text.match(/\\d+/g).map(Number).map(c => c / 255)
                .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
                return .2126 * r + .7152 * g + .0722 * b; };
              const behind = light(getComputedStyle(document.body).backgroundColor);
              return ['body', 'dt', 'caption', 'figcaption', 'a', 'footer'].map(name => {
                const own = light(getComputedStyle(document.querySelector(name)).color);
                return (Math.max(own, behind) + .05) / (Math.min(own, behind) + .05); });
            }"""
        )
        assert len(ratios) == 6 and min(ratios) >= 4.5
