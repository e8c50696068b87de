"""Names of the folders of checkpoints and of the leftovers of killed writers."""

import os
import re
import socket
import time
from pathlib import Path

from tracerl.runs.lock import FRESH, exists

MANIFEST = "manifest.json"
TENSORS = ".safetensors"  # suffix of the file of a part
LAST_STEP = 10**15  # largest step of a name
MOST_PARTS = 256

_CHECKPOINT = re.compile(r"step-([0-9]{12,16})(\.replaced)?")
_PART = re.compile(r"\.step-[0-9]{12,16}\.([A-Za-z0-9_-]*)\.([1-9][0-9]{0,8})\.[0-9a-f]{8}\.part")
_GONE = re.compile(r"\.step-[A-Za-z0-9._-]+\.[0-9a-f]{8}\.gone")
_FILE = re.compile(r"[a-z0-9_-]{1,64}")


def checkpoint(step: int) -> str:
    """Return the name of the checkpoint of a step."""
    return f"step-{step:012d}"


def replaced(path: Path) -> Path:
    """Return the temporary path of a checkpoint during its replacement by a new one of the same step."""
    return path.with_name(f"{path.name}.replaced")


def is_replaced(path: Path) -> bool:
    """Return whether a folder is a checkpoint during its replacement."""
    return path.suffix == ".replaced" and step_of(path.name) is not None


def step_of(name: str) -> int | None:
    """Return the step in the name of a checkpoint; None for any other name."""
    found = _CHECKPOINT.fullmatch(name)
    step = int(found[1]) if found else -1
    return step if found and step <= LAST_STEP and found[1] == checkpoint(step)[5:] else None


def checkpoints(root: Path) -> list[Path]:
    """Return the folders named like checkpoints, newest first. Of equal steps, the replaced one is last."""
    try:
        there = os.listdir(root)
    except FileNotFoundError:
        return []
    named = [name for name in there if step_of(name) is not None]
    return [root / name for name in sorted(named, key=lambda name: (-(step_of(name) or 0), name))]


def part_name(name: object) -> bool:
    """Return whether a name is valid for a part."""
    return isinstance(name, str) and _FILE.fullmatch(name) is not None


def file_name(name: str) -> bool:
    """Return whether a file name is valid in a manifest: no paths, no hidden files."""
    return name.endswith(TENSORS) and part_name(name[: -len(TENSORS)])


def aside(step: int) -> str:
    """Return a new hidden name for a checkpoint that is being written, with the host and process of the writer."""
    return f".{checkpoint(step)}.{_host()}.{os.getpid()}.{os.urandom(4).hex()}.part"


def gone(name: str) -> str:
    """Return a hidden name for a path that is about to be removed."""
    return f".{name.lstrip('.')}.{os.urandom(4).hex()}.gone"


def is_gone(path: Path) -> bool:
    """Return whether a path is about to be removed."""
    return _GONE.fullmatch(path.name) is not None


def left_behind(path: Path) -> bool:
    """Return whether a path in the folder of checkpoints is the leftover of a killed removal or write.

    A write is active while its files grow and, on this machine, while its process exists. A path of this process is a
    leftover, because the caller is the only writer and about to start (in containers, process ids repeat).
    """
    if is_gone(path):
        return True
    if is_replaced(path):
        return os.path.lexists(path.with_suffix(""))  # the new checkpoint exists
    found = _PART.fullmatch(path.name)
    if found is None:
        return False
    host, pid = found[1], int(found[2])
    if host == _host() and (pid == os.getpid() or not exists(pid)):
        return True
    return time.time() - _changed(path) >= FRESH


def _host() -> str:
    """Return the name of this machine in characters valid in file names."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:64]


def _changed(path: Path) -> float:
    """Return the time of the last write to a folder or its files, Unix time."""
    inside = list(os.scandir(path)) if path.is_dir() and not path.is_symlink() else []
    return max([path.lstat().st_mtime, *(entry.stat(follow_symlinks=False).st_mtime for entry in inside)])
