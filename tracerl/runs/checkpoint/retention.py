"""Keep the newest and the best checkpoints, and remove the others."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracerl.config.checks import whole
from tracerl.config.forms import fits, real
from tracerl.runs.checkpoint import names
from tracerl.runs.checkpoint.folder import BadCheckpoint
from tracerl.runs.checkpoint.read import Checkpoint, read, read_manifest
from tracerl.runs.checkpoint.store import discard


def prune(root: Path, keep_last: int, keep_best: int) -> list[Path]:
    """Remove all checkpoints except the newest and the best ones.

    The newest one and the newest valid one are always kept. An unreadable one (damaged, or of a newer format) is not
    counted and never removed.

    Args:
        root: folder of the checkpoints of a run.
        keep_last: number of newest checkpoints to keep.
        keep_best: number of checkpoints with the highest ``score`` in their info to keep; of equal ones, the newer.
            Those without a score are not among them.

    Raises:
        ConfigError: a number below 0.
        OSError: the folder cannot be listed or changed. Each checkpoint to remove is then unchanged or hidden from
            readers. The next writer removes the hidden ones.
    """
    whole("keep_last", keep_last, 0)
    whole("keep_best", keep_best, 0)
    found = names.checkpoints(root)
    scores = _scores(found)
    newest_sound = [path for path, _ in itertools.islice(_sound(scores), 1)]
    keep = {*found[:1], *list(scores)[:keep_last], *_rated(scores)[:keep_best], *newest_sound}
    removed = [path for path in scores if path not in keep]
    discard(root, removed)
    return removed


def best(root: Path) -> Checkpoint | None:
    """Read the valid checkpoint with the highest score; of equal ones, the newer. None if none has a score."""
    return next((found for _, found in _sound(_rated(_scores(names.checkpoints(root))))), None)


def _scores(paths: list[Path]) -> dict[Path, Any]:
    """Return the score of each readable checkpoint."""
    scores = {}
    for path in paths:
        with suppress(BadCheckpoint):
            scores[path] = read_manifest(path)["info"].get("score")
    return scores


def _rated(scores: Mapping[Path, Any]) -> list[Path]:
    """Return the paths with a score, highest first; of equal ones, the newer first."""
    return sorted((path for path in scores if fits(real, scores[path])), key=lambda path: -scores[path])  # stable


def _sound(paths: Iterable[Path]) -> Iterator[tuple[Path, Checkpoint]]:
    """Yield the valid checkpoints, in their order."""
    for path in paths:
        with suppress(BadCheckpoint):
            yield path, read(path)
