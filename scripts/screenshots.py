"""Live two runs and take pictures of TensorBoard's pages about them, into docs/screenshots.

python scripts/screenshots.py                       # a minute or two; needs a Chromium on the path
python scripts/screenshots.py --runs runs/demo      # keep the runs, or take those that are there
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from browser import LINE, PICTURE, Browser, tensorboard
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screenshots"
WIDTH = 1440  # of a page, in pixels: below, its tabs overlap
LARGEST = 200_000  # bytes of a picture
RUNS = {
    "twenty lives": "env=CartPole env.backend=compiled lifetimes=20 steps=60000",
    "learned decays": "env=CartPole network=alif network.hidden=[64] steps=60000 network.learn_membrane_decay=true"
    " network.learn_threshold=true network.learn_readout_decay=true",
}


@dataclass(frozen=True)
class Shot:
    """One picture of a page.

    Attributes:
        page: as TensorBoard's address has it.
        height: of the window, in pixels.
        words: that show that it is there.
        elements: JavaScript of elements ``e``, and how many of them show that it is drawn.
        click: JavaScript of elements to click first, one after the other.
    """

    page: str
    height: int
    words: Sequence[str]
    elements: tuple[str, int] | None = None
    click: Sequence[str] = ()


BOX = "e.tagName === 'PAPER-CHECKBOX'"  # before the name of a setting or of a metric on the HParams page
SHOWN = [  # boxes to click: TensorBoard shows the first five settings that differ, and the first five metrics by name
    f"{BOX} && e.textContent.trim() === 'network.learn_readout_decay'",  # for the metric to be within the picture
    f"{BOX} && e.checked && e.textContent.trim().startsWith('learn/')",
    f"{BOX} && e.textContent.trim() === 'rollout/ep_rew_mean'",
]
SHOTS = (
    Shot("scalars", 900, ["learn/td_error", "milestones"], (LINE, 6)),
    Shot("custom_scalars", 1680, ["returns 5", "learning 6", "Matches (2)"], (LINE, 10)),
    Shot("images", 1240, ["pictures/raster"], (PICTURE, 4)),
    Shot("histograms", 900, ["decays/policy_0_membrane", "traces"], ("e.tagName === 'path'", 10)),
    Shot("hparams", 400, ["rollout/ep_rew_mean"], click=SHOWN),
    Shot("text", 1000, ["about_these_pages", "the charts to begin with"]),
)


def live(folder: Path) -> None:
    """Live the runs that are not there yet."""
    for name, overrides in RUNS.items():
        if not (folder / name / "summary.json").exists():
            command = [sys.executable, "-m", "tracerl.run", *overrides.split(), f"hydra.run.dir='{folder / name}'"]
            subprocess.run(command, check=True)


def shoot(browser: Browser, url: str, shot: Shot) -> bytes:
    """Return a picture of a page once it is drawn."""
    browser.resize(WIDTH, shot.height)
    browser.open(f"{url}/#{shot.page}")
    browser.wait_for(*shot.words)
    for where in shot.click:
        browser.elements(where, "e.click()")
    if shot.elements is not None:
        browser.wait_for_elements(*shot.elements)
    time.sleep(2)  # lines are drawn with a movement
    return browser.screenshot()


def smaller(png: bytes) -> bytes:
    """Return the picture with as many colours as its size allows.

    Raises:
        ValueError: it is too large with sixteen.
    """
    with Image.open(io.BytesIO(png)) as image:
        for colours in (256, 128, 64, 32, 16):
            buffer = io.BytesIO()
            few = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
            few.save(buffer, "PNG", optimize=True)
            if len(buffer.getvalue()) < LARGEST:
                return buffer.getvalue()
    raise ValueError(f"a picture takes {len(buffer.getvalue()):,} bytes, more than {LARGEST:,}")


def main() -> None:
    """Live and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of the runs; without it, one that is thrown away")
    parser.add_argument("--pages", nargs="*", help="pages to take, such as images; all of them without it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = (arguments.runs or Path(thrown_away) / "runs").absolute()
        live(folder)
        FOLDER.mkdir(exist_ok=True)
        with tensorboard(folder) as url, Browser() as browser:
            for shot in SHOTS:
                if not arguments.pages or shot.page in arguments.pages:
                    path = FOLDER / f"{shot.page}.png"
                    path.write_bytes(smaller(shoot(browser, url, shot)))
                    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
