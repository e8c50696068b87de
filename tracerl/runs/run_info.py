"""The ``info`` of a run's checkpoint: its data other than tensors, and their checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracerl.config import floats
from tracerl.config.checks import ConfigError
from tracerl.config.forms import Check, each, flag, mapping, of_dict, optional, real, several, text
from tracerl.runs.checkpoint import Checkpoint, plain
from tracerl.runs.saved import COUNT

EVENT_FILE = re.compile(r"events\.out\.tfevents\.[^/\\\0]+")  # a name without a path, in the folder of the run


@dataclass(frozen=True)
class RunInfo:
    """The checked ``info`` of a run's checkpoint."""

    settings: Mapping[str, Any]  # settings of the run by dotted name
    world: dict[str, Any]  # result of ``EnvRunner.capture``, with the names of its arrays
    seconds: float  # duration of the run so far
    episodes: int  # number of rows in the file of episodes
    log: Mapping[str, Any] | None  # where the log resumes, of ``RunLog.resume_offset``; None without a log
    resumed: list[dict[str, Any]]  # for each resume: its env step, and whether it began a new episode
    config: str | None = None  # resolved config as yaml; None in older checkpoints
    overrides: list[str] | None = None  # command line; None in older checkpoints
    callbacks: Mapping[str, Any] | None = None  # result of ``callbacks.Events.capture``; None in older checkpoints
    diverged: Mapping[str, str] | None = None  # a message for each lifetime that diverged; None in older checkpoints
    env_packages: Mapping[str, str] | None = None  # versions of packages of envs; None in older checkpoints

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "RunInfo":
        """Check the ``info`` of a checkpoint. Unknown keys are left out."""
        info = checkpoint.info
        try:
            for name in _NEEDED.keys() - info.keys():
                raise ValueError(f"info.{name} is missing")
            found = {name: check(f"info.{name}", info.get(name)) for name, check in (_NEEDED | _ADDED).items()}
        except ValueError as error:
            raise ConfigError("checkpoint", f"at step {checkpoint.step:,} cannot be used: {error}") from error
        del found["score"]  # used by ``checkpoint.prune`` only
        return cls(**found)


def _settings(name: str, value: Any) -> Any:
    """Check settings in the form that a checkpoint has of them, and return them as they were."""
    plain.check(name, mapping(name, value))
    return floats.decode(value)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**15:
        raise ValueError(f"{name} must be a number of seconds, got {value!r:.60}")
    return float(value)


def _event_file(name: str, value: Any) -> str:
    if not isinstance(value, str) or not EVENT_FILE.fullmatch(value):
        raise ValueError(f"{name} must be the bare name of an event file, got {value!r:.60}")
    return value


def event_offset(name: str, value: Any) -> list[Any]:
    """Check an event file, its bytes and, in all but old checkpoints, the titles of its charts."""
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise ValueError(f"{name} must be a list of an event file, its bytes and charts, got {value!r:.60}")
    checks = (_event_file, COUNT, several(text))
    return [check(f"{name}.{i}", item) for i, (check, item) in enumerate(zip(checks, value))]


def _log(name: str, value: Any) -> dict[str, Any]:
    """Check env steps and the offset of each logger, which checks its own."""
    if isinstance(value, list) and len(value) in (3, 4):  # of TensorBoard alone, in an older checkpoint
        file, size, steps, *charts = value
        offset = event_offset(name, [file, size, *charts])
        value = {"steps": steps, "offsets": {"tensorboard": offset}}
    found: dict[str, Any] = of_dict({"steps": COUNT, "offsets": mapping})(name, value)
    return found


_NEEDED: dict[str, Check] = {
    "settings": _settings,
    "world": mapping,
    "seconds": _seconds,
    "episodes": COUNT,
    "log": optional(_log),
    "resumed": several(of_dict({"step": COUNT, "new_episode": flag})),
    "score": optional(real),
}
# Keys that older checkpoints do not have.
_ADDED: dict[str, Check] = {
    "config": optional(text),
    "overrides": optional(several(text)),
    "callbacks": optional(mapping),
    "diverged": optional(each(text)),
    "env_packages": optional(each(text)),
}
