"""Checkpoints to the disk: whole, or not at all.

A checkpoint is the folder ``step-000000012345`` with ``manifest.json`` and a safetensors file per part. It is written
under a hidden name, every file and the folder are synced, and only then does it get its name, which is synced too: a
kill or a loss of power at any moment leaves the checkpoints before it and, at most, a hidden folder that the next
writer removes.
"""

import os
from collections.abc import Mapping
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

    One of the same step is replaced, and stays until the new one is in its place. All of it is in memory twice while
    it is written.

    Args:
        root: folder of a run's checkpoints, made where it is not there (the folder above it must be). One process
            writes into it at a time.
        step: env steps so far.
        parts: tensors or arrays by part (``[a-z0-9_-]``, at most 64 characters) and name; see ``pack``.
        info: JSON that comes back equal (tuples as lists), of up to 64 MiB; ``score``, a number or null, is what
            ``prune`` goes by.

    Raises:
        ConfigError: something that cannot be written or would not come back; nothing was written.
        OSError: the disk is full, read-only or gone; the checkpoints before are as they were. Where the last sync
            failed, the new one is there, but may not outlive a loss of power.
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
        return _place(aside, root / names.checkpoint(step))
    except BaseException:
        with suppress(OSError):  # the next writer tries again
            disk.remove(aside)
        raise


def _make(root: Path) -> None:
    """Make the folder of the checkpoints where it is not there."""
    if not root.is_dir():
        disk.make_folder(root)
        disk.sync_folder(root.parent)


def _clear(root: Path) -> None:
    """Put in order what killed writers left behind; what cannot be removed costs nothing but its space."""
    for path in [root / name for name in os.listdir(root)]:
        with suppress(OSError):
            if names.left_behind(path):
                disk.remove(put_aside(path))
            elif names.is_replaced(path):  # by nothing, as it turned out
                disk.rename(path, path.with_suffix(""))


def put_aside(path: Path) -> Path:
    """Take a folder's name away, so that one that is half removed is never taken for a checkpoint."""
    if names.is_gone(path):
        return path
    gone = path.with_name(names.gone(path.name))
    disk.rename(path, gone)
    return gone


def _place(aside: Path, target: Path) -> Path:
    """Give a checkpoint that is on the disk its name.

    Between the two renames of a replacement, the one before is found under the name ``step-....replaced``.
    """
    old = names.replaced(target)
    if disk.exists(target):
        disk.rename(target, old)
    try:
        disk.rename(aside, target)
    except BaseException:
        with suppress(OSError):  # there may be no old one; the new one may be in place
            disk.rename(old, target)
        raise
    disk.sync_folder(target.parent)
    if disk.exists(old):
        with suppress(OSError):  # the next writer tries again
            disk.remove(put_aside(old))
    return target
