"""Names of folders: of checkpoints, and of what killed writers leave behind."""

import os
import re
import socket
import time
from pathlib import Path

from tracerl.runs.lock import FRESH, exists

MANIFEST = "manifest.json"
TENSORS = ".safetensors"  # ending of a part's file
LAST_STEP = 10**15  # of which there is a name
MOST_PARTS = 256

_CHECKPOINT = re.compile(r"step-([0-9]{12,16})(\.replaced)?")
_PART = re.compile(r"\.step-[0-9]{12,16}\.([A-Za-z0-9_-]*)\.([1-9][0-9]{0,8})\.[0-9a-f]{8}\.part")
_GONE = re.compile(r"\.step-[A-Za-z0-9._-]+\.[0-9a-f]{8}\.gone")
_FILE = re.compile(r"[a-z0-9_-]{1,64}")


def checkpoint(step: int) -> str:
    """Return the name of the checkpoint of a step."""
    return f"step-{step:012d}"


def replaced(path: Path) -> Path:
    """Return where a checkpoint stands while a new one of the same step takes its place."""
    return path.with_name(f"{path.name}.replaced")


def is_replaced(path: Path) -> bool:
    """Say whether a folder is a checkpoint that was being replaced."""
    return path.suffix == ".replaced" and step_of(path.name) is not None


def step_of(name: str) -> int | None:
    """Return the step that a checkpoint's name tells; None for any other name."""
    found = _CHECKPOINT.fullmatch(name)
    step = int(found[1]) if found else -1
    return step if found and step <= LAST_STEP and found[1] == checkpoint(step)[5:] else None


def checkpoints(root: Path) -> list[Path]:
    """List what is named like a checkpoint, newest first; of one step, the one being replaced last."""
    try:
        there = os.listdir(root)
    except FileNotFoundError:
        return []
    named = [name for name in there if step_of(name) is not None]
    return [root / name for name in sorted(named, key=lambda name: (-(step_of(name) or 0), name))]


def part_name(name: object) -> bool:
    """Say whether a part may be called that."""
    return isinstance(name, str) and _FILE.fullmatch(name) is not None


def file_name(name: str) -> bool:
    """Say whether a manifest may list a file of that name: no paths, no hidden files."""
    return name.endswith(TENSORS) and part_name(name[: -len(TENSORS)])


def aside(step: int) -> str:
    """Return a name under which to write a checkpoint: hidden, never used before, telling who writes."""
    return f".{checkpoint(step)}.{_host()}.{os.getpid()}.{os.urandom(4).hex()}.part"


def gone(name: str) -> str:
    """Return a name for what is about to be removed."""
    return f".{name.lstrip('.')}.{os.urandom(4).hex()}.gone"


def is_gone(path: Path) -> bool:
    """Say whether something is about to be removed."""
    return _GONE.fullmatch(path.name) is not None


def left_behind(path: Path) -> bool:
    """Say whether something in the folder of checkpoints is nobody's: a removal or a writing that was killed.

    A writing goes on while its files grow and, of this machine, its process is there. One of this very process is left
    behind: whoever asks is about to write, and a folder has one writer (in containers, each has the same number as the
    killed one before).
    """
    if is_gone(path):
        return True
    if is_replaced(path):
        return os.path.lexists(path.with_suffix(""))  # the new one is in its place
    found = _PART.fullmatch(path.name)
    if found is None:
        return False
    host, pid = found[1], int(found[2])
    if host == _host() and (pid == os.getpid() or not exists(pid)):
        return True
    return time.time() - _changed(path) >= FRESH


def _host() -> str:
    """This machine's name, in letters that file systems take."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:64]


def _changed(path: Path) -> float:
    """When the last of a folder's files was written to, Unix time."""
    inside = list(os.scandir(path)) if path.is_dir() and not path.is_symlink() else []
    return max([path.lstat().st_mtime, *(entry.stat(follow_symlinks=False).st_mtime for entry in inside)])
