"""The jobs of a sweep as their folders tell of them, finished or not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from tracerl import presence
from tracerl.torn import read_json

STATUSES = ("finished", "running", "waiting", "interrupted", "killed", "diverged", "failed", "refused")
_NOT_SETTINGS = ("hydra", "resume", "checkpoint", "threads", "logger")  # overrides that say nothing of what was learned


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        folder: its own.
        overrides: settings of its command line, by key, without those of Hydra and of logs.
        summary: its ``summary.json``; empty as long as there is none that can be read.
        sign: what ``running.json`` says; empty where it is not there.
    """

    folder: Path
    overrides: Mapping[str, str]
    summary: Mapping[str, Any] = field(default_factory=dict)
    sign: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def status(self) -> str:
        """One of ``STATUSES``: the summary's or, before there is one, what the other files say."""
        if self.sign and presence.alive(self.sign):
            return "running"
        if self.summary:
            return str(self.summary.get("status", "killed"))
        if (self.folder / "error.txt").exists():
            return "refused"
        return "killed" if self.sign or (self.folder / "config.yaml").exists() else "waiting"

    @property
    def steps(self) -> int:
        """Env steps that each life has lived."""
        return int(self.summary.get("steps") or self.sign.get("step") or 0)

    @property
    def returns(self) -> list[float]:
        """Mean return of the last 100 episodes of each life that ended one."""
        per_life = (self.summary.get("return_last100") or {}).get("per_life") or []
        return [float(value) for value in per_life if value is not None]

    @property
    def error(self) -> str:
        """What went wrong, in a line; empty where nothing did."""
        if self.summary.get("error"):
            return str(self.summary["error"])
        try:
            lines = (self.folder / "error.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs below a folder, in the order of their folders' names.

    Args:
        folder: of a sweep, of several, or of single runs.
    """
    return [_read(path) for path in sorted(_folders(folder), key=_natural)]


def _folders(folder: Path) -> Iterator[Path]:
    """Yield every folder that Hydra has begun a job in; none lies within another."""
    if (folder / ".hydra" / "overrides.yaml").exists():
        yield folder
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _folders(path)


def _natural(path: Path) -> tuple[str, float, str]:
    """Order 2 before 10."""
    number = path.name.partition("-")[0]
    return str(path.parent), float(number) if number.isdecimal() else float("inf"), path.name


def _read(folder: Path) -> Job:
    sign = presence.read(folder) or {}
    return Job(folder, _overrides(folder / ".hydra" / "overrides.yaml"), read_json(folder / "summary.json") or {}, sign)


def _overrides(path: Path) -> dict[str, str]:
    try:
        lines = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    if not isinstance(lines, list):
        return {}
    pairs = (str(line).lstrip("+~").partition("=") for line in lines)
    return {key: value for key, _, value in pairs if key.split(".")[0] not in _NOT_SETTINGS}


def jobs_asked_for(folder: Path) -> int | None:
    """Return how many jobs a grid has, by the ``multirun.yaml`` that Hydra writes first; None where it is not known."""
    try:
        settings = yaml.safe_load((folder / "multirun.yaml").read_text(encoding="utf-8"))["hydra"]
        if not settings["sweeper"].get("_target_", "BasicSweeper").endswith("BasicSweeper"):
            return None
        params = [f"{key}={value}" for key, value in (settings["sweeper"].get("params") or {}).items()]
        overrides = OverridesParser.create().parse_overrides([*params, *settings["overrides"]["task"]])
        return prod(len(list(o.sweep_string_iterator())) for o in overrides if o.is_sweep_override())
    except Exception:  # of whatever sweeper, and of Hydra's own grammar: the table does without
        return None
