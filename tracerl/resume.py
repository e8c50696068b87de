"""A folder that holds a run already: refused, left as it is where the run has finished, or gone on with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tracerl.checks import ConfigError
from tracerl.torn import read_json

OVERRIDES = "overrides.yaml"  # the command line of a run, once its settings were accepted; Hydra's own is not


class InUse(ConfigError):
    """A folder that belongs to another run."""


# What a run writes, but for Hydra's own files and those that another program may have put there.
_OUTPUTS = ("events.out.tfevents.*", "returns.part", "returns.npz", "returns.npz.part", "summary.json", "error.txt")
_FREE = ("checkpoint", "logger", "resume", "steps", "threads")  # settings that change nothing of what has been lived


def finished_run(
    folder: Path, settings: Mapping[str, Any], resume: bool, key: str, steps: int
) -> dict[str, Any] | None:
    """Look at what a folder holds.

    Args:
        folder: of the run, which exists.
        settings: of the run to come, by dotted name.
        resume: go on with what is there.
        key: setting that named the folder, for messages.
        steps: env steps that each life shall live.

    Returns:
        The summary of the run there, if it has lived all these steps; None where there is something to live.

    Raises:
        ConfigError: there is a run and ``resume`` is false, or that run has other settings.
    """
    config = folder / "config.yaml"
    if not config.exists():
        return None
    if not resume:
        raise InUse(key, f"holds a run already, which resume=true goes on with: {folder}")
    refuse_other(flat(yaml.safe_load(config.read_text(encoding="utf-8")) or {}), settings, folder)
    summary = read_json(folder / "summary.json")
    finished = summary is not None and summary.get("status") == "finished"
    return summary if summary is not None and finished and summary.get("steps", 0) >= steps else None


def clear(folder: Path, steps: int) -> None:
    """Remove what an unfinished run left, to live it from its start.

    Raises:
        ConfigError: the run there has finished, with fewer steps: what it learned would be lost.
    """
    summary = read_json(folder / "summary.json")
    if summary is not None and summary.get("status") == "finished":
        problem = f"must be {summary['steps']} or below: {folder} has no checkpoint to go on from, got {steps}"
        raise ConfigError("steps", problem)
    for pattern in _OUTPUTS:
        for path in folder.glob(pattern):
            path.unlink()


def refuse_other(there: Mapping[str, Any], here: Mapping[str, Any], where: Path) -> None:
    """Compare flat settings of a run with those of the run that shall go on with it.

    Raises:
        ConfigError: naming the first that differs and counts.
    """
    parts = {".".join(key.split(".")[:2]) for key in here}
    for key in sorted(key for key in there.keys() | here.keys() if key.split(".")[0] not in _FREE):
        # What an agent has from elsewhere, such as agent.network.hidden, is compared there.
        elsewhere = key.startswith("agent.") and ".".join(key.split(".")[:2]) not in parts
        if not elsewhere and there.get(key) != here.get(key):
            wanted = f"must be {there.get(key)!r}, as in the run to be gone on with ({where})"
            raise ConfigError(key, f"{wanted}, got {here.get(key)!r}")


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name, every one of them."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def command_line(arguments: list[str]) -> list[str]:
    """Expand ``resume=PATH`` into the command line of the run there, with its folder.

    Args:
        arguments: of this command; those of its own stand, and replace the run's of the same key.

    Raises:
        ConfigError: there is no run at PATH.
    """
    paths = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    if not paths or paths[-1].lower() in ("true", "false", "auto"):
        return arguments
    path = Path(paths[-1].strip("'\"")).absolute()
    folder = path if (path / "config.yaml").is_file() else path.parent.parent  # of checkpoints/step-...
    try:
        before = yaml.safe_load((folder / OVERRIDES).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        problem = f"must be true, false, auto, or the folder of a run or of one of its checkpoints, got {paths[-1]!r}"
        raise ConfigError("resume", problem) from None
    given = {argument.lstrip("+~").partition("=")[0] for argument in arguments} | {"resume"}
    kept = [text for text in map(str, before or []) if text.lstrip("+~").partition("=")[0] not in given]
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    return [*kept, *others, f"resume='{path}'", f"hydra.run.dir='{folder}'"]
