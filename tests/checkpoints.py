"""Helpers that write, read and forge checkpoints, and a disk whose calls fail."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tracerl.runs import disk
from tracerl.runs.checkpoint import plain
from tracerl.runs.checkpoint.manifest import render, sha256
from tracerl.runs.checkpoint.read import newest_good
from tracerl.runs.checkpoint.store import write

CALLS = ("create", "write", "sync", "close", "open_folder", "make_folder", "rename", "remove_file", "remove_tree")


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Replace fsync in a module that imports this fixture: waiting for the disk takes far longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "sync", lambda file: None)
        yield


def save(root: Path, step: int, value: float, score: float | None = None) -> Path:
    parts = {"agent": {"weight": torch.full((20,), value)}, "world": {"position": np.array(value)}}
    return write(root, step, parts, {"value": value, "score": score})


def found(root: Path) -> tuple[int, float] | None:
    """Return the step and the value of the newest checkpoint; every checkpoint must be valid."""
    checkpoint, messages = newest_good(root)
    assert messages == []
    if checkpoint is None:
        return None
    value = checkpoint.info["value"]
    assert checkpoint.parts["agent"]["weight"].tolist() == [value] * 20
    assert checkpoint.parts["world"]["position"].item() == value
    return checkpoint.step, value


def forge(folder: Path, **changes: Any) -> None:
    """Change a manifest and give it a valid digest, as an attacker does."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.update(changes)
    del manifest["digest"]
    (folder / "manifest.json").write_bytes(render({**manifest, "digest": sha256(plain.canonical(manifest))}))


def put(folder: Path, data: bytes, name: str = "agent.safetensors") -> None:
    """Put a file into a checkpoint and its digest into the manifest."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    forge(folder, files={**files, name: {"bytes": len(data), "sha256": sha256(data)}})


class Killed(BaseException):
    """The process is killed: no later call is made."""


class Disk:
    """The calls of ``disk``, one of which fails.

    ``killed before`` and ``killed within`` a call: no other call is made. ``fails once``: the call raises after half of
    it. ``full from then on``: nothing can be written any more, but names can be changed and files removed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, at: int) -> None:
        self.kind, self.at, self.made, self.dead = kind, at, 0, False
        for name in CALLS:
            monkeypatch.setattr(disk, name, self.wrapped(name, getattr(disk, name)))

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.made += 1
            if self.dead or (self.made == self.at and self.kind == "killed before"):
                self.dead = True
                if name == "close":  # as the system does for a killed process
                    real(*arguments)
                raise Killed
            if self.made == self.at and self.kind == "killed within":
                self.dead = True
                half(name, real, arguments)
                raise Killed
            full = self.kind == "full from then on" and self.made >= self.at and not name.startswith("remove")
            if (self.kind == "fails once" and self.made == self.at) or (full and name not in ("close", "rename")):
                if name in ("close", "write"):
                    half(name, real, arguments)
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments)

        return call


def half(name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Do half of a write, and all of any other call."""
    if name == "write":
        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
    elif name == "remove_tree" and (inside := sorted(arguments[0].iterdir())):
        os.unlink(inside[0])
    else:
        real(*arguments)
