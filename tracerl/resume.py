"""A folder that holds a run already: refused, gone on with, or left as it is where the run has finished."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tracerl.checks import ConfigError


class InUse(ConfigError):
    """A folder that belongs to another run."""


# What a run writes, but for Hydra's own files and those that another program may have put there.
_OUTPUTS = ("events.out.tfevents.*", "returns.part", "returns.npz", "returns.npz.part", "summary.json", "error.txt")
_FREE = ("resume", "threads", "logger")  # settings that change nothing of what is lived


def finished_run(folder: Path, settings: Mapping[str, Any], resume: bool, key: str) -> dict[str, Any] | None:
    """Look at what a folder holds, and make room for a run where none has finished there.

    Args:
        folder: of the run, which exists.
        settings: of the run to come, nested.
        resume: go on with what is there. Without checkpoints, that is: from the start.
        key: setting that named the folder, for messages.

    Returns:
        The summary of the finished run; None where there is one to live.

    Raises:
        ConfigError: there is a run and ``resume`` is false, or that run has other settings.
    """
    config = folder / "config.yaml"
    if config.exists():
        if not resume:
            raise InUse(key, f"holds a run already, which resume=true goes on with: {folder}")
        _refuse_other_settings(config, settings)
        summary = _read(folder / "summary.json")
        if summary is not None and summary.get("status") == "finished":
            return summary
    for pattern in _OUTPUTS:
        for path in folder.glob(pattern):
            path.unlink()
    return None


def _refuse_other_settings(config: Path, settings: Mapping[str, Any]) -> None:
    there = flat(yaml.safe_load(config.read_text(encoding="utf-8")) or {})
    here = flat(settings)
    for key in sorted(there.keys() | here.keys()):
        if key.split(".")[0] not in _FREE and there.get(key) != here.get(key):
            wanted = f"must be {there.get(key)!r}, as in the run to be gone on with ({config.parent})"
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


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
