"""Checkpoints from the disk: all of one that verifies, or none of it.

Everything is verified before a tensor is handed out: sizes, SHA-256 of every file, and the digest of the manifest. The
data decide nothing but numbers and texts: nothing is unpickled, imported or called because a file says so. A digest
notices what chance changes; it is no signature, and says nothing of who wrote a checkpoint.

A checkpoint that cannot be used raises BadCheckpoint, which names the file; a folder that cannot be listed an OSError.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tracerl.runs.checkpoint import manifest as manifests
from tracerl.runs.checkpoint import names
from tracerl.runs.checkpoint.folder import BadCheckpoint, Folder
from tracerl.runs.checkpoint.tensors import unpack

__all__ = ["BadCheckpoint", "Checkpoint", "look", "newest", "newest_good", "read"]


@dataclass(frozen=True)
class Checkpoint:
    """What was written of a lifetime."""

    step: int  # env steps so far
    parts: dict[str, dict[str, Tensor]]  # tensors by part and name, on the CPU, each in memory of its own
    info: dict[str, Any]  # the writer's JSON
    manifest: dict[str, Any]  # all of ``manifest.json``; ``created`` and ``versions`` are there.


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: its folder, ``.../step-000000012345``; under another name it may tell any step.
    """
    with Folder(path) as folder:
        manifest = _manifest(folder)
        parts = {}
        for name, data in _verified(folder, manifest):
            try:
                parts[name.removesuffix(names.TENSORS)] = unpack(data)
            except ValueError as error:
                raise folder.bad(name, str(error)) from error
    return Checkpoint(manifest["step"], parts, manifest["info"], manifest)


def look(path: Path) -> dict[str, Any]:
    """Read the manifest of a checkpoint, and check that its files are there with the sizes that it says.

    Quick, whatever the size of the tensors, which are not read: bits that changed in them go unnoticed.
    """
    with Folder(path) as folder:
        manifest = _manifest(folder)
        for name, entry in manifest["files"].items():
            size = folder.size(name)
            if size != entry["bytes"]:
                raise folder.bad(name, f"has {size:,} bytes, the manifest says {entry['bytes']:,}")
    return manifest


def _manifest(folder: Folder) -> dict[str, Any]:
    size = folder.size(names.MANIFEST)
    if size > manifests.LIMIT:
        raise folder.bad(names.MANIFEST, f"has {size:,} bytes, more than {manifests.LIMIT:,}")
    try:
        manifest = manifests.parse(folder.read(names.MANIFEST, size))
    except BadCheckpoint:
        raise
    except ValueError as error:
        raise folder.bad(names.MANIFEST, str(error)) from error
    step = names.step_of(folder.path.name)
    if step is not None and step != manifest["step"]:
        raise folder.bad(names.MANIFEST, f"is of step {manifest['step']:,}, not of the one in the folder's name")
    listed, there = {names.MANIFEST, *manifest["files"]}, folder.names()
    for name in sorted(listed - there):
        raise folder.bad(name, "is missing")
    for name in sorted(there - listed):
        raise folder.bad(ascii(name)[:80], "is not in the manifest")
    return manifest


def _verified(folder: Folder, manifest: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The contents of each file; the bytes that were hashed are the bytes that are handed out."""
    for name, entry in sorted(manifest["files"].items()):
        data = folder.read(name, entry["bytes"])
        if manifests.sha256(data) != entry["sha256"]:
            raise folder.bad(name, "does not match its sha256 in the manifest: it was changed after it was written")
        yield name, data


def newest(root: Path) -> Path | None:
    """Return the folder that is named like the newest checkpoint, unverified; None where there is none."""
    return next(iter(names.checkpoints(root)), None)


def newest_good(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest checkpoint that verifies.

    Returns:
        It, or None where none verifies; and a message for each newer one that was passed over, newest first.
    """
    bad: list[str] = []
    for path in names.checkpoints(root):
        try:
            found = read(path)
        except BadCheckpoint as error:
            bad.append(str(error))
            continue
        return found, [f"{message}; using {path.name}" for message in bad]
    return None, [f"{message}; there is no other to use" for message in bad]
