"""Fail each call with which a run changes its folder, one after the other, resume the run and compare the results.

python -m tests.faults             # every call, every kind of fault; prints "same" or what differs
python -m tests.faults kill 7      # every seventh call, one kind

The calls are counted below Python's buffers: open for writing, write, truncate, fsync, close, rename, unlink, mkdir.
"""

import builtins
import errno
import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.kills import differences, import_all, start, wait

KINDS = {
    "kill": "the process is killed before the call",
    "torn": "the process is killed after half of a write",
    "once": "the call fails, and none after it",
    "full": "every call from this one on that takes space fails",
}
RUN = ["env=CartPole", "engine=torch", "network.hidden=[4]", "checkpoint.every=100", "checkpoint.keep_last=2"]
RUN += ["logger.every=50", "logger.pictures_every=60", "logger.picture_steps=20", "logger.histograms_every=90"]
STEPS, MORE = 210, 260  # the second is of the resumed run
_TAKES_SPACE = {"open", "write", "mkdir"}


class Faults:
    """Counts the calls that change one folder and makes one of them fail."""

    def __init__(self, folder: Path, kind: str = "none", at: int = 0) -> None:
        """Create the counter.

        Args:
            folder: of the run.
            kind: of fault, one of ``KINDS``; ``none`` counts alone.
            at: number of the call that fails, from 1.
        """
        self.folder, self.kind, self.at = str(folder), kind, at
        self.calls: list[str] = []
        self._files = dict[int, str]()  # open descriptors in the folder
        self._real = {name: getattr(os, name) for name in ("open", "write", "fsync", "close", "ftruncate")}

    def inside(self, path: Any, dir_fd: int | None = None) -> bool:
        """Return whether a path, or an open descriptor, is in the folder."""
        if isinstance(path, int):
            return path in self._files
        if dir_fd is not None:
            return dir_fd in self._files
        return f"{os.path.abspath(os.fsdecode(path))}/".startswith(f"{self.folder}/")

    def call(self, name: str, path: Any, tear: Callable[[], object] | None = None) -> None:
        """Count one call and apply the fault that is due.

        Args:
            name: of the call.
            path: or descriptor of the call.
            tear: does half of the call; None for a call without halves.
        """
        self.calls.append(f"{name} {Path(self._files.get(path, str(path))).name}")
        number = len(self.calls)
        if self.kind == "kill" and number == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "torn" and number == self.at and tear is not None:
            tear()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "once" and number == self.at:
            raise OSError(errno.EIO, "injected fault", str(path))
        if self.kind == "full" and number >= self.at and name in _TAKES_SPACE:
            raise OSError(errno.ENOSPC, "injected fault", str(path))

    def install(self) -> None:
        """Replace the calls of this process until it ends."""
        faults, plain_open = self, io.open

        class Raw(io.FileIO):
            def __init__(self, path: Any, mode: str, opener: Any) -> None:
                faults.call("open", path)
                super().__init__(path, mode, opener=opener)
                faults._files[self.fileno()] = os.fsdecode(path)

            def write(self, data: Any) -> int | None:
                half = memoryview(data)[: len(data) // 2]
                faults.call("write", self.fileno(), lambda: super(Raw, self).write(half))
                return super().write(data)

            def truncate(self, size: int | None = None) -> int:
                faults.call("truncate", self.fileno())
                return super().truncate(size)

            def close(self) -> None:
                if not self.closed:
                    number = self.fileno()
                    try:
                        faults.call("close", number)
                    finally:
                        faults._files.pop(number, None)
                        super().close()

        def open_file(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            writes = bool(set(mode) & set("wxa+"))
            if not writes or isinstance(file, int) or not faults.inside(file):
                return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
            raw = Raw(file, mode.replace("b", "").replace("t", ""), opener)
            if buffering == 0:
                return raw
            buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)  # type: ignore[type-var]

        def on_path(name: str) -> None:
            real = getattr(os, name)

            def replaced(path: Any, *rest: Any, **options: Any) -> Any:
                if faults.inside(path, options.get("dir_fd")):
                    faults.call(name, path)
                return real(path, *rest, **options)

            setattr(os, name, replaced)

        def open_descriptor(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            there = faults.inside(path, options.get("dir_fd"))
            if there and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                faults.call("open", path)
            found: int = faults._real["open"](path, flags, *rest, **options)
            if there:
                faults._files[found] = os.fsdecode(path)
            return found

        def write(file: int, data: Any) -> int:
            if file in faults._files:
                half = memoryview(data)[: len(data) // 2]
                faults.call("write", file, lambda: faults._real["write"](file, half))
            written: int = faults._real["write"](file, data)
            return written

        def on_descriptor(name: str) -> Callable[..., Any]:
            def replaced(file: int, *rest: Any) -> Any:
                if file in faults._files:
                    faults.call(name, file)
                return faults._real[name](file, *rest)

            return replaced

        def close(file: int) -> None:
            known = file in faults._files
            try:
                if known:
                    faults.call("close", file)
            finally:
                faults._files.pop(file, None)
                faults._real["close"](file)

        builtins.open = io.open = open_file  # type: ignore[assignment]
        os.open, os.write, os.close = open_descriptor, write, close
        os.fsync, os.ftruncate = on_descriptor("fsync"), on_descriptor("ftruncate")
        for name in ("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "truncate", "link", "symlink"):
            on_path(name)


def attempt(folder: Path, arguments: list[str], faults: Faults | None = None) -> tuple[int, str]:
    """Run a command line in a new process; return its exit code and output."""
    log = folder.parent / "log.txt"
    log.unlink(missing_ok=True)
    code = wait(start(folder, arguments, None if faults is None else faults.install))
    return code, log.read_text()


def count(work: Path) -> list[str]:
    """Return the calls of a run without faults, in order."""
    folder = work / "counted" / "run"
    folder.parent.mkdir()
    faults = Faults(folder)

    def install() -> None:
        faults.install()
        leave = os._exit

        def report(code: int) -> None:
            (folder.parent / "calls.txt").write_text("\n".join(faults.calls))
            leave(code)

        os._exit = report  # type: ignore[assignment]

    code = wait(start(folder, [*RUN, f"steps={STEPS}"], install))
    assert code == 0, (folder.parent / "log.txt").read_text()
    return (folder.parent / "calls.txt").read_text().splitlines()


def undisturbed(work: Path) -> Path:
    """Run without faults to the last step and return the folder."""
    folder = work / "whole" / "run"
    folder.parent.mkdir()
    code, log = attempt(folder, [*RUN, f"steps={MORE}"])
    assert code == 0, log
    return folder


def check(whole: Path, work: Path, kind: str, at: int) -> list[str]:
    """Make one call fail, resume, and return the differences from the run without faults.

    A failed write of a log or of the episodes raises a warning and counts as no difference.
    """
    folder = work / f"{kind}-{at}" / "run"
    folder.parent.mkdir()
    code, log = attempt(folder, [*RUN, f"steps={STEPS}", "resume=auto"], Faults(folder, kind, at))
    found = [f"a traceback: {log[-1500:]}"] if "Traceback" in log else []
    if code not in (0, 1, 2, -signal.SIGKILL):
        found.append(f"exit code {code}: {log[-1500:]}")
    code, again = attempt(folder, [*RUN, f"steps={MORE}", "resume=auto"])
    if code:
        return [*found, f"resuming fails with {code}: {again[-1500:]}"]
    costs = "warning: " in log and "cannot write" in log or "warning: " in again
    differing = differences(whole, folder, logs=not costs)
    shutil.rmtree(folder.parent)
    return found + differing


def report(kinds: list[str], stride: int = 1, first: int = 1) -> Iterator[str]:
    """Yield a line per fault.

    Args:
        kinds: of faults.
        stride: number of calls between faults.
        first: number of the first call.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        calls, whole = count(work), undisturbed(work)
        for kind in kinds:
            for at in range(first, len(calls) + 1, stride):
                if kind == "torn" and not calls[at - 1].startswith("write"):
                    continue
                found = check(whole, work, kind, at)
                came = f"differs in {'; '.join(found)[:3000]}" if found else "same"
                yield f"{came}: {kind} at call {at}, {calls[at - 1]}"


def main() -> None:
    """Run the faults of the command line; exit with 1 if anything differs."""
    import_all()
    words = sys.argv[1:]
    stride = int(words.pop()) if words and words[-1].isdigit() else 1
    differ = False
    for line in report(words or list(KINDS), stride):
        print(line, flush=True)
        differ = differ or line.startswith("differs")
    sys.exit(differ)


if __name__ == "__main__":
    main()
