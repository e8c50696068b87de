"""A headless Chromium that a script drives over two pipes (Chrome DevTools Protocol), and a TensorBoard for it to see.

No package is needed beside the browser itself, and nothing listens on a port but TensorBoard, on the loopback address.
"""

import base64
import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
# The text of a page with that of its shadow roots, which ``innerText`` leaves out.
TEXT = """(() => {
  const parts = [];
  const walk = node => {
    if (node.nodeType === Node.TEXT_NODE) parts.push(node.textContent);
    if (node.shadowRoot) walk(node.shadowRoot);
    if (['SCRIPT', 'STYLE'].includes(node.nodeName)) return;
    for (const child of node.childNodes) walk(child);
  };
  walk(document.body);
  return parts.join(' ').replace(/\\s+/g, ' ');
})()"""

# All elements of a page with those of its shadow roots.
ELEMENTS = """(() => {
  const walk = root => [...root.querySelectorAll('*')].flatMap(e => [e, ...(e.shadowRoot ? walk(e.shadowRoot) : [])]);
  return walk(document);
})"""
PICTURE = "e.tagName === 'IMG' && e.src.includes('individualImage') && e.complete && e.naturalWidth > 0"
LINE = "e.tagName === 'path' && (e.getAttribute('d') || '').length > 20"  # of a chart
_PAUSE = 0.1  # seconds between two looks at a page


def find_chromium() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium; a context manager that ends it."""

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        """Start it with an empty profile.

        Args:
            width: of the page, in pixels.
            height: the same.

        Raises:
            FileNotFoundError: there is no Chromium on the path.
        """
        path = find_chromium()
        if path is None:
            raise FileNotFoundError(f"no Chromium on the path: tried {', '.join(NAMES)}")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs, self._to = os.pipe()
        self._from, other = os.pipe()
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"]
        command = f"exec {shlex.join([path, *flags, f'--window-size={width},{height}', 'about:blank'])}"
        self._process = subprocess.Popen(
            ["bash", "-c", f"{command} 3<&{theirs} 4>&{other}"],
            pass_fds=(theirs, other),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(other)
        self._count, self._unread, self._session = 0, b"", None
        try:
            pages = self._ask("Target.getTargets")["targetInfos"]
            page = next(found["targetId"] for found in pages if found["type"] == "page")
            self._session = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            self._ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Browser":
        """Hand over the browser."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End the process and remove its profile."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url: str) -> None:
        """Go to a page, from a blank one: one that differs behind the # alone would not load anew."""
        self._ask("Page.navigate", url="about:blank")
        self._ask("Page.navigate", url=url)
        self.wait_until("document.readyState === 'complete' && document.body !== null")

    def evaluate(self, javascript: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for.

        Raises:
            RuntimeError: it threw.
        """
        answer = self._ask("Runtime.evaluate", expression=javascript, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"the page: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def text(self) -> str:
        """Return all text of the page, that of hidden elements and shadow roots included."""
        return str(self.evaluate(TEXT))

    def elements(self, where: str, value: str = "true") -> Any:
        """Return values of the page's elements, those of shadow roots included.

        Args:
            where: which of them, in JavaScript of ``e``.
            value: of each, the same.
        """
        return self.evaluate(f"({ELEMENTS})().filter(e => {where}).map(e => {value})")

    def wait_for(self, *words: str, seconds: float = 30.0) -> str:
        """Return the text of the page once it holds all these words.

        Raises:
            TimeoutError: naming those that never came.
        """
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            missing = [word for word in words if word not in text]
            if not missing:
                return text
            if time.monotonic() > end:
                raise TimeoutError(f"the page never showed {missing}; it shows: {text[:2000]}")
            time.sleep(_PAUSE)

    def wait_until(self, javascript: str, seconds: float = 30.0) -> None:
        """Return once an expression is true in the page.

        Raises:
            TimeoutError: it never was.
        """
        end = time.monotonic() + seconds
        while not self.evaluate(javascript):
            if time.monotonic() > end:
                raise TimeoutError(f"never came true in the page: {javascript}")
            time.sleep(_PAUSE)

    def wait_for_elements(self, where: str, n: int, seconds: float = 30.0) -> None:
        """Return once there are n or more elements; see ``elements``.

        Raises:
            TimeoutError: there never were.
        """
        self.wait_until(f"({ELEMENTS})().filter(e => {where}).length >= {n}", seconds)

    def screenshot(self) -> bytes:
        """Return what is seen of the page, as a PNG file."""
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def _ask(self, method: str, seconds: float = 60.0, **parameters: Any) -> dict[str, Any]:
        """Send one message and return the answer to it.

        Raises:
            RuntimeError: the browser refused, ended, or gave no answer in time.
        """
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            answer = self._read(max(0.0, end - time.monotonic()), method)
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self, seconds: float, method: str) -> dict[str, Any]:
        """Return the next message of the browser's."""
        while b"\0" not in self._unread:
            if not select.select([self._from], [], [], seconds)[0]:
                raise RuntimeError(f"the browser gave no answer to {method}")
            came = os.read(self._from, 1 << 20)
            if not came:
                raise RuntimeError(f"the browser ended at {method}")
            self._unread += came
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def tensorboard(logs: Path, seconds: float = 60.0) -> Iterator[str]:
    """Serve a folder of runs on a free port of the loopback address; the server is ended whatever happens.

    Yields:
        Its address, such as ``http://127.0.0.1:41234``.

    Raises:
        RuntimeError: it did not start.
    """
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs.name, "--host", "127.0.0.1", "--port", "0"]
    with tempfile.TemporaryFile() as output:
        server = subprocess.Popen(command, cwd=logs.parent, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield _address(server, output, seconds)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address(server: "subprocess.Popen[bytes]", output: Any, seconds: float) -> str:
    """Wait until the server says where it listens."""
    end = time.monotonic() + seconds
    while True:
        said = os.pread(output.fileno(), 1 << 16, 0).decode(errors="replace")
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        if found:
            return found[0]
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"TensorBoard did not start: {said[-2000:]}")
        time.sleep(0.1)
