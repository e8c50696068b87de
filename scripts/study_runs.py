"""The runs of a study: one process each, kept in a folder and not made again while their settings stand."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import tracerl

Settings = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One process of ``tracerl.run``.

    Attributes:
        overrides: for its command line.
        seeds: of its lifetimes, one after another.
        settings: what it writes into ``config.yaml``.
        folder: where to.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    folder: Path

    @property
    def summary(self) -> dict[str, Any] | None:
        """The contents of the folder's ``summary.json``; None where it has none."""
        path = self.folder / "summary.json"
        found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return found

    @property
    def changes(self) -> list[str] | None:
        """What differs between the settings in the folder and those asked for; None where the folder has none."""
        path = self.folder / "config.yaml"
        if not path.exists():
            return None
        return differences(OmegaConf.to_container(OmegaConf.load(path)), self.settings)


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """List what changed between two nested settings, except ``threads`` and ``resume``, which change no result."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted((set(old) | set(new)) - {"threads", "resume"}, key=str)
        parts = [differences(old.get(n), new.get(n), f"{key}.{n}" if key else str(n)) for n in names]
        return [change for part in parts for change in part]
    return [] if old == new else [f"{key} {old} -> {new}"]


def reason_to_run(run: Run) -> str | None:
    """Say why a run has to be made; None where its folder holds it, finished, with today's settings and version."""
    summary, changes = run.summary, run.changes
    if summary is None or changes is None:
        return "not run yet"
    if changes:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        return f"its settings changed: {', '.join(changes[:3])}{more}"
    if summary["status"] != "finished":
        return f"it was {summary['status']}"
    return None if summary["version"] == tracerl.__version__ else f"it is of tracerl {summary['version']}"


def execute(run: Run, threads: int, machine: str) -> str | None:
    """Make a run where there is need to: resume what is there of it, or replace what is outdated.

    Args:
        run: which.
        threads: for the lifetimes that share it.
        machine: with its versions; written beside the run.

    Returns:
        Why it failed, if it did.
    """
    reason = reason_to_run(run)
    if reason is None:
        return None
    ended = run.summary is not None and run.summary["status"] not in ("interrupted", "killed")
    resume = run.changes == [] and not ended
    if run.folder.exists() and not resume:
        print(f"{run.folder}: running again, {reason}", flush=True)
        if run.changes is not None:  # a run's folder and nothing else
            shutil.rmtree(run.folder)
    command = [sys.executable, "-m", "tracerl.run", *run.overrides, f"hydra.run.dir={quoted(run.folder)}"]
    command += [f"threads={threads}", *(["resume=auto"] if resume else [])]
    made = subprocess.run(command, capture_output=True, text=True)
    if run.folder.exists():
        (run.folder / "machine.txt").write_text(machine + "\n", encoding="utf-8")
    return None if made.returncode == 0 else reason_of_failure(made.returncode, made.stderr)


def quoted(folder: Path) -> str:
    """Return a path in Hydra's grammar, in which commas, brackets and spaces mean something."""
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return str(folder) if re.fullmatch(r"[\w./-]+", str(folder)) else f"'{escaped}'"


def reason_of_failure(code: int, stderr: str) -> str:
    """Return in one line why a process failed: its own last error, or else its exit code and its last line."""
    if code == 130:
        return "interrupted"
    lines = stderr.strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else ": ".join([f"exit code {code}", *lines[-1:]])


def is_compiled(settings: Settings) -> bool:
    """Say whether an env, at its default arguments, is compiled with the kernels of its agent."""
    from tracerl.kernels.envs.dispatch import COMPILED_ENVS

    env = settings["env"]
    default = env.get("id") in COMPILED_ENVS and not env.get("kwargs") and not env.get("wrappers")
    return default and bytes_in_kernels(settings) > 0


def bytes_in_kernels(settings: Settings) -> int:
    """Return the size of one lifetime's state in the fused engine, in bytes; 0 of an agent that it does not run."""
    from tracerl.config.checks import ConfigError
    from tracerl.config.instantiate import build
    from tracerl.runs.build import build_agent

    config = OmegaConf.create(settings)
    try:
        runner = build(config, "env").open([0])
        agent = build_agent(config, runner.observation_space, runner.action_space, [0], "")
    except ConfigError:  # which the run itself reports
        return 0
    return int(agent.memory.real.nbytes) if getattr(agent, "fused", None) is not None else 0
