"""Read checkpoints. A checkpoint is verified completely before any of it is used.

The checks cover sizes, the SHA-256 of every file and the digest of the manifest. The data are numbers and texts only:
nothing is unpickled, imported or called. A digest detects damage. It is no signature.

An invalid checkpoint raises BadCheckpoint with the name of the file. A folder that cannot be listed raises an OSError.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tracerl.config.moved import keep_names
from tracerl.runs.checkpoint import manifest as manifests
from tracerl.runs.checkpoint import names
from tracerl.runs.checkpoint.folder import BadCheckpoint, Folder
from tracerl.runs.checkpoint.tensors import unpack

__all__ = ["BadCheckpoint", "Checkpoint", "read_manifest", "newest", "newest_good", "read"]


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint."""

    step: int  # env steps so far
    parts: dict[str, dict[str, Tensor]]  # tensors by part and name, on the CPU, in separate memory
    info: dict[str, Any]  # the writer's JSON
    manifest: dict[str, Any]  # all of ``manifest.json``, with ``created`` and ``versions``


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: its folder, ``.../step-000000012345``. Under another name any step is valid.
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


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a checkpoint and check the existence and sizes of its files.

    The tensors are not read, so this is quick and does not detect changes within them.
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
    """Yield the name and contents of each file after the check of its hash."""
    for name, entry in sorted(manifest["files"].items()):
        data = folder.read(name, entry["bytes"])
        if manifests.sha256(data) != entry["sha256"]:
            raise folder.bad(name, "does not match its sha256 in the manifest: it was changed after it was written")
        yield name, data


def newest(root: Path) -> Path | None:
    """Return the folder named like the newest checkpoint, without verification; None without one."""
    return next(iter(names.checkpoints(root)), None)


def newest_good(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest valid checkpoint.

    Returns:
        The checkpoint, or None if none is valid; and a message for each newer invalid one, newest first.
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


keep_names(globals(), look="read_manifest")
