"""Which checkpoints stay: the last few and the best few."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tracerl.config.checks import whole
from tracerl.config.forms import fits, real
from tracerl.runs import disk
from tracerl.runs.checkpoint import names
from tracerl.runs.checkpoint.folder import BadCheckpoint
from tracerl.runs.checkpoint.read import Checkpoint, look, read
from tracerl.runs.checkpoint.store import put_aside


def prune(root: Path, keep_last: int, keep_best: int) -> list[Path]:
    """Remove checkpoints, but for the last few and the best few.

    The newest stays whatever the numbers, and so does the newest that verifies to the last bit. One that cannot be read
    (damaged, or of a newer format) counts for neither number and is never removed: that is for its owner to do.

    Args:
        root: folder of a run's checkpoints.
        keep_last: how many of the newest stay.
        keep_best: how many of those with the highest ``score`` in their info stay; of equals, the newer. Those
            without a score are never among them.

    Raises:
        ConfigError: a number below 0.
        OSError: the folder cannot be listed or changed. What was to be removed is either there as it was, or gone for
            readers, its rest to be removed by the next writer.
    """
    whole("keep_last", keep_last, 0)
    whole("keep_best", keep_best, 0)
    found = names.checkpoints(root)
    scores = _scores(found)
    rated = _rated(scores)
    keep = {
        *found[:1],
        *list(scores)[:keep_last],
        *rated[:keep_best],
        *(path for path, _ in itertools.islice(_sound(scores), 1)),
    }
    removed = [path for path in scores if path not in keep]
    asides = [put_aside(path) for path in removed]
    if asides:
        disk.sync_folder(root)  # no name of a checkpoint may outlive its files
    for aside in asides:
        disk.remove(aside)
    return removed


def best(root: Path) -> Checkpoint | None:
    """Read the sound checkpoint with the highest score; of equals, the newer. None where none has a score."""
    return next((found for _, found in _sound(_rated(_scores(names.checkpoints(root))))), None)


def _scores(paths: list[Path]) -> dict[Path, Any]:
    """Return what each checkpoint that can be read tells of its score."""
    return {path: manifest["info"].get("score") for path in paths if (manifest := _look(path)) is not None}


def _rated(scores: Mapping[Path, Any]) -> list[Path]:
    """Return those with a score, the highest first; of equals, the newer."""
    return sorted((path for path in scores if fits(real, scores[path])), key=lambda path: -scores[path])  # stable


def _look(path: Path) -> dict[str, Any] | None:
    try:
        return look(path)
    except BadCheckpoint:
        return None


def _sound(paths: Iterable[Path]) -> Iterator[tuple[Path, Checkpoint]]:
    """Read those that verify, in their order."""
    for path in paths:
        try:
            found = read(path)
        except BadCheckpoint:
            continue
        yield path, found
