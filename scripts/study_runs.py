"""The runs of a study, one process each. Finished runs with unchanged settings are not repeated."""

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
from tracerl.runs.build import with_input
from tracerl.runs.by_input import KINDS

Settings = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One process of ``tracerl.run``."""

    overrides: tuple[str, ...]  # overrides of its command line
    seeds: tuple[int, ...]  # consecutive seeds of its lifetimes
    settings: Settings  # contents of its ``config.yaml``
    folder: Path  # folder of the run

    @property
    def summary(self) -> dict[str, Any] | None:
        """The contents of ``summary.json``; None without one."""
        path = self.folder / "summary.json"
        found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return found

    @property
    def changes(self) -> list[str] | None:
        """The differences between the settings in the folder and the requested ones; None without settings."""
        path = self.folder / "config.yaml"
        if not path.exists():
            return None
        there, here = OmegaConf.to_container(OmegaConf.load(path)), OmegaConf.create(self.settings)
        of_kinds = (OmegaConf.to_container(with_input(here, kind)) for kind in KINDS)  # the run knew its observations
        return min((differences(there, chosen) for chosen in of_kinds), key=len)


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Return the differences of two nested settings, except ``threads`` and ``resume``, which change no result."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted((set(old) | set(new)) - {"threads", "resume"}, key=str)
        parts = [differences(old.get(n), new.get(n), f"{key}.{n}" if key else str(n)) for n in names]
        return [change for part in parts for change in part]
    return [] if old == new else [f"{key} {old} -> {new}"]


def reason_to_run(run: Run) -> str | None:
    """Return why a run must be made; None if it is finished with the current settings and version."""
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
    """Make a run if needed, and return why it failed, if it did: resume an unfinished run, or replace an outdated one.

    ``machine`` has machine and versions, and is written into the folder.
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
    """Return a path quoted for Hydra's grammar."""
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return str(folder) if re.fullmatch(r"[\w./-]+", str(folder)) else f"'{escaped}'"


def reason_of_failure(code: int, stderr: str) -> str:
    """Return the failure of a process in one line: its last error, else its exit code and last line."""
    if code == 130:
        return "interrupted"
    lines = stderr.strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else ": ".join([f"exit code {code}", *lines[-1:]])


def is_compiled(settings: Settings) -> bool:
    """Return whether an env with default arguments has a compiled form for the agent."""
    from tracerl.kernels.envs.dispatch import COMPILED_ENVS

    env = settings["env"]
    default = env.get("id") in COMPILED_ENVS and not env.get("kwargs") and not env.get("wrappers")
    return default and bytes_in_kernels(settings) > 0


def bytes_in_kernels(settings: Settings) -> int:
    """Return the size of one lifetime's state in the fused engine, bytes; 0 for an agent without kernels."""
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
