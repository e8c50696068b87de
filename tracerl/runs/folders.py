"""Runs as their folders tell of them, finished or not, without what it takes to live one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config.forms import fits
from tracerl.runs import lock, saved
from tracerl.runs.files import read_bytes, read_yaml
from tracerl.runs.logging.episodes import read_episodes

STATUSES = ("finished", "running", "waiting", "interrupted", "killed", "diverged", "failed", "refused")
_NOT_SETTINGS = ("hydra", "resume", "checkpoint", "threads", "logger")  # overrides that say nothing of what was learned
_COMMAND_LINES = (".hydra/overrides.yaml", "overrides.yaml")  # Hydra's own, and that of a run made from Python
_SIGNS = (*_COMMAND_LINES, "summary.json", "returns.npz", "returns.part")  # any of them makes a folder a run's


@dataclass(frozen=True)
class Job:
    """One run, alone or in a sweep."""

    folder: Path  # its own
    overrides: Mapping[str, str]  # settings of its command line, by key, without those of Hydra and of logs
    summary: Mapping[str, Any] = field(default_factory=dict)  # its ``summary.json``; see ``saved.summary``.
    sign: Mapping[str, Any] = field(default_factory=dict)  # what ``running.json`` says; empty where it is not there.

    @cached_property
    def status(self) -> str:
        """One of ``STATUSES``: the summary's or, before there is one, what the other files say."""
        if lock.alive(self.folder):
            return "running"
        if self.summary:
            return str(self.summary.get("status", "killed"))
        if (self.folder / "error.txt").exists():
            return "refused"
        return "killed" if self.sign or (self.folder / "config.yaml").exists() else "waiting"

    @property
    def steps(self) -> int:
        """Env steps of each lifetime so far."""
        step = self.summary.get("steps") or self.sign.get("step")
        return int(step) if step is not None and fits(saved.COUNT, step) else 0

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Its ``config.yaml``; empty where there is none that can be read."""
        try:
            found = read_yaml(self.folder / saved.CONFIG)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def env(self) -> str:
        """Short name of its env."""
        of_config = self.config.get("env") if not self.summary.get("env") else None
        name = of_config.get("name") if isinstance(of_config, dict) else None
        return str(self.summary.get("env") or name or self.overrides.get("env", "CartPole"))

    @property
    def agent(self) -> str:
        """Name of its agent."""
        return str(self.summary.get("agent") or self.overrides.get("agent", "reflect"))

    @property
    def seed(self) -> int | None:
        """Seed of its first lifetime; None where nothing says."""
        for found in (self.summary, self.overrides, self.config):
            if str(found.get("seed", "")).isdecimal():
                return int(found["seed"])
        return None

    @property
    def lifetimes(self) -> int:
        """How many lifetimes it has; 0 where nothing says, as before it began."""
        found = self.summary.get("lifetimes", self.config.get("lifetimes", 0))
        return found if isinstance(found, int) else 0

    @cached_property
    def episodes(self) -> dict[str, np.ndarray[Any, Any]]:
        """Every episode so far; see ``tracerl.runs.logging.episodes.read_episodes``."""
        return read_episodes(self.folder)

    @property
    def error(self) -> str:
        """What went wrong, in a line; empty where nothing did."""
        if self.summary.get("error"):
            return str(self.summary["error"])
        try:
            lines = read_bytes(self.folder / "error.txt").decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def read_jobs(folder: Path) -> list[Job]:
    """Return the runs in or below a folder, in the order of their folders' names."""
    return [_read(path) for path in sorted(_folders(folder), key=_natural)]


def _folders(folder: Path) -> Iterator[Path]:
    """Yield every folder that a run has begun in; none lies within another."""
    if any((folder / name).exists() for name in _SIGNS):
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
    found = [folder / name for name in _COMMAND_LINES if (folder / name).exists()]
    sign = lock.read(folder) or {}
    overrides = _overrides(found[0]) if found else {}
    return Job(folder, overrides, saved.summary(folder), sign)


def _overrides(path: Path) -> dict[str, str]:
    try:
        lines = read_yaml(path) or []
    except (OSError, ValueError):
        return {}
    if not isinstance(lines, list):
        return {}
    pairs = (str(line).lstrip("+~").partition("=") for line in lines)
    return {key: value for key, _, value in pairs if key.split(".")[0] not in _NOT_SETTINGS}
