"""Write checkpoints atomically.

A checkpoint is the folder ``step-000000012345`` with ``manifest.json`` and a safetensors file per part. It is written
under a hidden name. Its files and the folder are synced, then it is renamed, and the rename is synced. A kill or a
power loss at any moment leaves the earlier checkpoints and at most a hidden folder, which the next writer removes.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tracerl.config.checks import ConfigError, whole
from tracerl.runs import disk
from tracerl.runs.checkpoint import names
from tracerl.runs.checkpoint.manifest import compose
from tracerl.runs.checkpoint.tensors import pack


def write(
    root: Path, step: int, parts: Mapping[str, Mapping[str, Tensor | np.ndarray[Any, Any]]], info: Mapping[str, Any]
) -> Path:
    """Write a checkpoint and wait until it is on the disk.

    A checkpoint of the same step is replaced and kept until the new one is renamed. The data need twice their size in
    memory during the write.

    Args:
        root: folder of the checkpoints of a run, created if missing (its parent must exist). It has one writer at a
            time.
        step: env steps so far.
        parts: tensors or arrays by part (``[a-z0-9_-]``, at most 64 characters) and name; see ``pack``.
        info: JSON of up to 64 MiB, read back equal (tuples as lists). ``prune`` uses its ``score``, a number or null.

    Raises:
        ConfigError: data cannot be written or would not be read back equal. Nothing was written.
        OSError: the disk is full, read-only or gone. Earlier checkpoints are unchanged. If the last sync failed, the
            new checkpoint exists but can be lost on a power loss.
    """
    whole("step", step, 0, names.LAST_STEP)
    if len(parts) > names.MOST_PARTS:
        raise ConfigError("parts", f"must be at most {names.MOST_PARTS}, got {len(parts)}")
    for part in parts:
        if not names.part_name(part):
            raise ConfigError("parts", f"must have names of 1 to 64 of the characters a-z, 0-9, _ and -, got {part!r}")
    files = {f"{part}{names.TENSORS}": pack(f"parts.{part}", tensors) for part, tensors in parts.items()}
    files[names.MANIFEST] = compose(step, files, info)
    _make(root)
    _clear(root)
    aside = root / names.aside(step)
    try:
        disk.make_folder(aside)
        for name, data in files.items():
            disk.write_file(aside / name, data)
        disk.sync_folder(aside)
        return _rename(aside, root / names.checkpoint(step))
    except BaseException:
        with suppress(OSError):  # the next writer tries again
            disk.remove(aside)
        raise


def _make(root: Path) -> None:
    """Create the folder of the checkpoints if it is missing."""
    if not root.is_dir():
        disk.make_folder(root)
        disk.sync_folder(root.parent)


def _clear(root: Path) -> None:
    """Remove the leftovers of killed writers. Those that cannot be removed are ignored."""
    for path in [root / name for name in os.listdir(root)]:
        with suppress(OSError):
            if names.left_behind(path):
                disk.remove(put_aside(path))
            elif names.is_replaced(path):  # the new checkpoint was never renamed
                disk.rename(path, path.with_suffix(""))


def put_aside(path: Path) -> Path:
    """Rename a folder before its removal, so that a partly removed folder is never read as a checkpoint."""
    if names.is_gone(path):
        return path
    gone = path.with_name(names.gone(path.name))
    disk.rename(path, gone)
    return gone


def discard(root: Path, paths: Iterable[Path]) -> None:
    """Remove checkpoints of a folder, whose names are gone from the disk before their files are."""
    asides = [put_aside(path) for path in paths]
    if asides:
        disk.sync_folder(root)
    for aside in asides:
        disk.remove(aside)


def _rename(aside: Path, target: Path) -> Path:
    """Rename a written checkpoint to its final name.

    Between the two renames of a replacement, the earlier one has the name ``step-....replaced``.
    """
    old = names.replaced(target)
    if disk.exists(target):
        disk.rename(target, old)
    try:
        disk.rename(aside, target)
    except BaseException:
        with suppress(OSError):  # the old one can be missing, and the new one renamed
            disk.rename(old, target)
        raise
    disk.sync_folder(target.parent)
    if disk.exists(old):
        with suppress(OSError):  # the next writer tries again
            disk.remove(put_aside(old))
    return target
