"""What a run keeps in a checkpoint beside its tensors, and the one place that checks it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.config.forms import Check, flag, mapping, of_dict, optional, real, several, text
from tracerl.runs.checkpoint import Checkpoint
from tracerl.runs.saved import COUNT

EVENT_FILE = re.compile(r"events\.out\.tfevents\.[^/\\\0]+")  # a bare name: it is opened and cut in the run's folder


@dataclass(frozen=True)
class RunInfo:
    """The ``info`` of a run's checkpoint, checked."""

    settings: Mapping[str, Any]  # of the run, by dotted name
    world: dict[str, Any]  # what ``EnvRunner.capture`` returned, its arrays by name.
    seconds: float  # that the run took so far
    episodes: int  # rows in the file of the episodes
    log: Sequence[Any] | None  # where the log stands, as ``logger.Place``; None where there is none.
    resumed: list[dict[str, Any]]  # env step at which the run was resumed, and whether a new episode began there
    config: str | None = None  # the resolved config as yaml; None in older checkpoints
    overrides: list[str] | None = None  # the command line; None as well

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "RunInfo":
        """Check what a checkpoint tells; keys that no part of a run reads are left out."""
        info = checkpoint.info
        try:
            for name in _NEEDED.keys() - info.keys():
                raise ValueError(f"info.{name} is missing")
            found = {name: check(f"info.{name}", info.get(name)) for name, check in (_NEEDED | _ADDED).items()}
        except ValueError as error:
            raise ConfigError("checkpoint", f"at step {checkpoint.step:,} cannot be used: {error}") from error
        del found["score"]  # which ``checkpoint.prune`` reads
        return cls(**found)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**15:
        raise ValueError(f"{name} must be a number of seconds, got {value!r:.60}")
    return float(value)


def _event_file(name: str, value: Any) -> str:
    if not isinstance(value, str) or not EVENT_FILE.fullmatch(value):
        raise ValueError(f"{name} must be the bare name of an event file, got {value!r:.60}")
    return value


def _log(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) not in (3, 4):  # older ones have no charts
        raise ValueError(f"{name} must be a list of an event file, its bytes, env steps and charts, got {value!r:.60}")
    checks = (_event_file, COUNT, COUNT, several(text))
    return [check(f"{name}.{i}", item) for i, (check, item) in enumerate(zip(checks, value))]


_NEEDED: dict[str, Check] = {
    "settings": mapping,
    "world": mapping,
    "seconds": _seconds,
    "episodes": COUNT,
    "log": optional(_log),
    "resumed": several(of_dict({"step": COUNT, "new_episode": flag})),
    "score": optional(real),
}
_ADDED: dict[str, Check] = {"config": optional(text), "overrides": optional(several(text))}  # later
