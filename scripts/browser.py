"""A page of the Chromium on the path, driven by Playwright (``pip install "tracerl[browser]"``), and a TensorBoard."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# The text of a page with that of hidden elements and shadow roots, which ``innerText`` leaves out.
TEXT = """() => {
  const walk = node => node.nodeType === Node.TEXT_NODE ? [node.textContent] : [
    ...(node.shadowRoot ? walk(node.shadowRoot) : []),
    ...(['SCRIPT', 'STYLE'].includes(node.nodeName) ? [] : [...node.childNodes].flatMap(walk))];
  return walk(document.body).join(' ').replace(/\\s+/g, ' ');
}"""
PICTURE = "img[src*=individualImage]"  # selectors reach into shadow roots
LINE = "path[d*=L]"  # of a chart
SECONDS = 30  # longest wait for the content of a page


@contextmanager
def open_page(width: int = 1280, height: int = 800) -> Iterator[Page]:
    """Start a headless Chromium with an empty profile and yield a page of it. Width and height are in pixels."""
    path = next((path for name in NAMES if (path := shutil.which(name))), None)
    if path is None:
        raise FileNotFoundError(f"no Chromium on the path: tried {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-quic", "--disable-dev-shm-usage"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(1000 * SECONDS)
            yield page
        finally:
            browser.close()


def open_url(page: Page, url: str) -> None:
    """Go to a URL, from a blank page: one that differs behind the # alone would not load again."""
    page.goto("about:blank")
    page.goto(url)


def wait_for(page: Page, *words: str) -> None:
    """Wait until the text of the page contains all these words; a TimeoutError after ``SECONDS``."""
    page.wait_for_function(f"words => words.every(word => ({TEXT})().includes(word))", arg=words, polling=100)


@contextmanager
def tensorboard(logs: Path, seconds: float = 60.0) -> Iterator[str]:
    """Serve a folder of runs on a free port of the loopback address and yield the URL; the server is ended."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs.name, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, cwd=logs.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as it:
        limit = threading.Timer(seconds, it.kill)
        limit.start()
        try:
            assert it.stderr is not None
            said = []
            for line in it.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                raise RuntimeError(f"TensorBoard did not start: {''.join(said)[-2000:]}")
            limit.cancel()
            yield found[0]
        finally:
            limit.cancel()
            it.kill()
