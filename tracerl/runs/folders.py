"""Read finished and unfinished runs from their folders, without importing torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config.forms import fits
from tracerl.config.moved import previous_attribute
from tracerl.config.overrides import key_and_value
from tracerl.runs import lock, saved
from tracerl.runs.files import read_bytes
from tracerl.runs.logging.episodes import read_episodes

STATUSES = ("finished", "running", "waiting", "interrupted", "killed", "diverged", "failed", "refused")
# Overrides without effect on learning.
_NOT_SETTINGS = ("callbacks", "checkpoint", "eval", "hydra", "logger", "resume", "threads")
_COMMAND_LINES = ("overrides.yaml", ".hydra/overrides.yaml")  # of the run; of Hydra, also of a command with an error
_EPISODES = ("returns.npz", "returns.part")


@dataclass(frozen=True)
class Job:
    """One run, alone or in a sweep."""

    folder: Path  # folder of the run
    overrides: Mapping[str, str]  # settings of the command line by key, without those of Hydra and of logs
    summary: Mapping[str, Any] = field(default_factory=dict)  # contents of ``summary.json``, unless the run has resumed
    heartbeat: Mapping[str, Any] = field(default_factory=dict)  # contents of ``running.json``; empty without the file

    @cached_property
    def status(self) -> str:
        """One of ``STATUSES``, from the summary or, before it is written, from the other files."""
        if lock.is_active(self.folder):
            return "running"
        if self.summary:
            return str(self.summary.get("status", "killed"))
        if (self.folder / "error.txt").exists():
            return "refused"
        return "killed" if self.heartbeat or (self.folder / "config.yaml").exists() else "waiting"

    sign = previous_attribute("sign", "heartbeat")

    @property
    def steps(self) -> int:
        """Env steps of each lifetime so far; without a summary, of the heartbeat or the last episode."""
        step = self.summary.get("steps")
        if not step:
            beat = self.heartbeat.get("step", 0)
            step = max(int(beat) if fits(saved.COUNT, beat) else 0, int(self.episodes["step"].max(initial=0)))
        return int(step) if fits(saved.COUNT, step) else 0

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Contents of ``config.yaml``; empty if it cannot be read."""
        return saved.config(self.folder, warn=False) or {}

    @property
    def env(self) -> str:
        """Short name of the env."""
        of_config = self.config.get("env") if not self.summary.get("env") else None
        name = of_config.get("name") if isinstance(of_config, dict) else None
        return str(self.summary.get("env") or name or self.overrides.get("env", "CartPole"))

    @property
    def agent(self) -> str:
        """Name of the agent."""
        return str(self.summary.get("agent") or self.overrides.get("agent", "reflect"))

    @property
    def seed(self) -> int | None:
        """Seed of the first lifetime; None if no file has it."""
        for found in (self.summary, self.overrides, self.config):
            if str(found.get("seed", "")).isdecimal():
                return int(found["seed"])
        return None

    @property
    def lifetimes(self) -> int:
        """Number of lifetimes; 0 if no file has it, as before the run starts."""
        found = self.summary.get("lifetimes", self.config.get("lifetimes", 0))
        return found if isinstance(found, int) else 0

    @cached_property
    def episodes(self) -> dict[str, np.ndarray[Any, Any]]:
        """Every episode so far; see ``tracerl.runs.logging.episodes.read_episodes``."""
        return read_episodes(self.folder)

    @property
    def error(self) -> str:
        """The error in one line; empty without an error."""
        if self.summary.get("error"):
            return str(self.summary["error"])
        try:
            lines = read_bytes(self.folder / "error.txt").decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def read_jobs(folder: Path) -> list[Job]:
    """Return the runs in or below a folder, in natural order of their paths."""
    return [_read(path) for path in sorted(_folders(folder), key=_natural)]


def _folders(folder: Path) -> Iterator[Path]:
    """Yield every folder of a run. Folders of runs are not searched for further runs."""
    if _is_run(folder):
        yield folder
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _folders(path)


def _is_run(folder: Path) -> bool:
    """Return whether a folder has a command line, episodes beside a config, or the summary of a run."""

    def has(*names: str) -> bool:
        return any((folder / name).exists() for name in names)

    if has(*_COMMAND_LINES) or (has(saved.CONFIG) and has(*_EPISODES)):
        return True
    summary = saved.summary(folder) if has(saved.SUMMARY) else {}
    return summary.get("status") in STATUSES and {"env", "agent"} <= summary.keys()


def _natural(path: Path) -> tuple[str, float, str]:
    """Return a sort key that orders 2 before 10."""
    number = path.name.partition("-")[0]
    return str(path.parent), float(number) if number.isdecimal() else float("inf"), path.name


def _read(folder: Path) -> Job:
    lines: list[str] = []
    for name in _COMMAND_LINES:
        if (folder / name).exists():
            lines = saved.command_line(folder / name, warn=False) or []
            break
    overrides = {key: value for key, value in map(key_and_value, lines) if key.split(".")[0] not in _NOT_SETTINGS}
    summary, heartbeat = saved.summary(folder), lock.read(folder) or {}
    counts = ("step", "steps") if summary.get("status") == "finished" else ("step",)  # so far, and in the end
    if max([heartbeat[name] for name in counts if fits(saved.COUNT, heartbeat.get(name))], default=0) > summary.get(
        "steps", 0
    ):
        summary = {}  # of an earlier part of a run that was resumed
    return Job(folder, overrides, summary, heartbeat)
