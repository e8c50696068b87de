"""Make two runs and take pictures of TensorBoard's pages and of a report of them, into docs/screenshots.

python scripts/screenshots.py                       # a minute or two; needs tracerl[browser] and a Chromium
python scripts/screenshots.py --runs runs/demo      # keep the runs, or take existing ones
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from browser import LINE, PICTURE, open_page, open_url, tensorboard, wait_for
from PIL import Image
from playwright.sync_api import Page

from tracerl.report import page_of

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screenshots"
WIDTH = 1440  # of a page, in pixels: below, its tabs overlap
LARGEST = 150_000  # bytes of a picture
REPORT, REPORT_SIZE = "twenty lifetimes", (1000, 1500)  # run of the report; width and height of its picture
RUNS = {
    "twenty lifetimes": "env=CartPole env.backend=compiled lifetimes=20 steps=60000",
    "learned decays": "env=CartPole network=alif network.hidden=[64] steps=60000 network.learn_membrane_decay=true"
    " network.learn_threshold=true network.learn_readout_decay=true",
}


@dataclass(frozen=True)
class Shot:
    """One picture of a page."""

    page: str  # as TensorBoard's address has it
    height: int  # of the window, in pixels
    words: Sequence[str]  # that it shows once it is loaded
    elements: tuple[str, int] | None = None  # selector of elements, and how many of them it has once it is drawn
    click: Sequence[str] = ()  # selectors of elements to click first, one after the other


BOX = "paper-checkbox"  # before the name of a setting or of a metric on the HParams page
SHOWN = [  # boxes to click: TensorBoard shows the first five settings that differ, and the first five metrics by name
    f"{BOX}:text-is('network.learn_readout_decay')",  # for the metric to be within the picture
    f"{BOX}[checked]:has-text('learn/')",
    f"{BOX}:text-is('rollout/ep_rew_mean')",
]
SHOTS = (
    Shot("scalars", 900, ["learn/td_error", "milestones"], (LINE, 6)),
    Shot("custom_scalars", 1680, ["returns 5", "learning 6", "Matches (2)"], (LINE, 10)),
    Shot("images", 1240, ["pictures/raster"], (PICTURE, 4)),
    Shot("histograms", 900, ["decays/policy_0_membrane", "traces"], ("path", 10)),
    Shot("hparams", 400, ["rollout/ep_rew_mean"], click=SHOWN),
    Shot("text", 1000, ["about_these_pages", "the main charts"]),
)


def run(folder: Path) -> None:
    """Make the runs that are not there yet."""
    for name, overrides in RUNS.items():
        if not (folder / name / "summary.json").exists():
            command = [sys.executable, "-m", "tracerl.run", *overrides.split(), f"hydra.run.dir='{folder / name}'"]
            subprocess.run(command, check=True)


def shoot(page: Page, url: str, shot: Shot) -> bytes:
    """Return a picture of a page once it is drawn."""
    page.set_viewport_size({"width": WIDTH, "height": shot.height})
    open_url(page, f"{url}/#{shot.page}")
    wait_for(page, *shot.words)
    for where in shot.click:
        page.locator(where).evaluate_all("elements => elements.forEach(element => element.click())")
    if shot.elements is not None:
        selector, n = shot.elements
        page.locator(selector).nth(n - 1).wait_for(state="attached")
    time.sleep(2)  # lines are animated
    png: bytes = page.screenshot()
    return png


def shoot_report(page: Page, folder: Path) -> bytes:
    """Return a picture of the top of the report of a run."""
    path = folder / "report.html"
    path.write_text(page_of([folder / REPORT], title=f"CartPole: reflect, {REPORT}"), encoding="utf-8")
    page.set_viewport_size({"width": REPORT_SIZE[0], "height": REPORT_SIZE[1]})
    open_url(page, path.as_uri())
    png: bytes = page.screenshot()
    return png


def smaller(png: bytes) -> bytes:
    """Return the picture with as many colours as its size allows; a ValueError if it is too large with sixteen."""
    with Image.open(io.BytesIO(png)) as image:
        for colours in (256, 128, 64, 32, 16):
            buffer = io.BytesIO()
            few = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
            few.save(buffer, "PNG", optimize=True)
            if len(buffer.getvalue()) < LARGEST:
                return buffer.getvalue()
    raise ValueError(f"a picture takes {len(buffer.getvalue()):,} bytes, more than {LARGEST:,}")


def main() -> None:
    """Make the runs and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of the runs; without it, a temporary one")
    parser.add_argument("--pages", nargs="*", help="pages to take, such as images; all of them without it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.runs or Path(temporary) / "runs").absolute()
        run(folder)
        FOLDER.mkdir(exist_ok=True)
        with tensorboard(folder) as url, open_page() as page:
            wanted = {shot.page: partial(shoot, page, url, shot) for shot in SHOTS}
            wanted["report"] = partial(shoot_report, page, folder)
            for name, take in wanted.items():
                if not arguments.pages or name in arguments.pages:
                    path = FOLDER / f"{name}.png"
                    path.write_bytes(smaller(take()))
                    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
