"""The runs of ``bench_learning.py``: one process each, kept in a folder and not run again while its settings stand."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_rows import Line, seeds_in_words
from omegaconf import OmegaConf

import tracerl

Settings = dict[str, Any]
Summary = dict[str, Any]


@dataclass(frozen=True)
class Life:
    """What one seed came to.

    Attributes:
        seed: of the life.
        final: mean return of its last 100 episodes; None where it failed, as one does that ends no episode.
        milestones: the env step of each; None where it was not reached, or the life failed.
        error: why it failed, in one line.
    """

    seed: int
    final: float | None
    milestones: Mapping[str, int | None]
    error: str | None = None


@dataclass(frozen=True)
class Run:
    """One process of ``tracerl.run``.

    Attributes:
        overrides: for its command line.
        seeds: of its lives, one after another.
        settings: what it writes into ``config.yaml``.
        folder: where to.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    folder: Path


def settings_of(overrides: tuple[str, ...]) -> Settings:
    """Return the settings that ``tracerl.run`` makes of a command line.

    Raises:
        ValueError: it refuses them; the message is its own.
    """
    asked = subprocess.run(
        [sys.executable, "-m", "tracerl.run", *overrides, "--cfg", "job", "--resolve"], capture_output=True, text=True
    )
    if asked.returncode != 0:
        raise ValueError(f"{' '.join(overrides)}: {asked.stderr.strip().removeprefix('error: ')}")
    return _parse(asked.stdout)


def _parse(text: str) -> Settings:
    settings: Any = OmegaConf.to_container(OmegaConf.create(text))
    return dict(settings)


def runs_of(line: Line, out: Path, together: bool) -> list[Run]:
    """Return the runs of a line: one per seed, or one with all lives.

    Args:
        line: of the table.
        out: folder of all runs.
        together: all lives in one process, where they can be those of a compiled twin.

    Raises:
        ValueError: ``tracerl.run`` refuses the settings, or seeds that live together are not consecutive.
    """
    seeds, settings = line.row.seeds, settings_of(line.command)
    if not together or len(seeds) == 1 or not lives_in_twins(settings):
        return [
            Run((*line.command, f"seed={seed}"), (seed,), settings | {"seed": seed}, line.folder(out) / f"seed{seed}")
            for seed in seeds
        ]
    if seeds != tuple(range(seeds[0], seeds[-1] + 1)):
        raise ValueError(f"seeds that live together must be consecutive, got {seeds_in_words(seeds)} ({line.name})")
    command = (*line.command, f"seed={seeds[0]}", f"lifetimes={len(seeds)}", "env.backend=compiled")
    return [Run(command, seeds, settings_of(command), line.folder(out) / f"seeds{seeds_in_words(seeds)}")]


def lives_in_twins(settings: Settings) -> bool:
    """Say whether an env has a compiled twin, at its default arguments, in which the agent can live."""
    from tracerl.kernels.envs.dispatch import COMPILED_ENVS

    env = settings["env"]
    return (
        env.get("id") in COMPILED_ENVS and not env.get("kwargs") and not env.get("wrappers") and has_kernels(settings)
    )


def has_kernels(settings: Settings) -> bool:
    """Say whether the fused engine runs the agent."""
    return memory_in_kernels(settings) > 0


def memory_in_kernels(settings: Settings) -> int:
    """Return the bytes of one life of an agent that the fused engine runs; 0 of others."""
    from tracerl.config.checks import ConfigError
    from tracerl.config.instantiate import build
    from tracerl.runs.build import build_agent

    config = OmegaConf.create(settings)
    try:
        world = build(config, "env").open([0])
        agent = build_agent(config, world.observation_space, world.action_space, [0], "")
    except ConfigError:  # which the run itself will report
        return 0
    return int(agent.memory.real.nbytes) if getattr(agent, "fused", None) is not None else 0


def reason_to_run(run: Run) -> str | None:
    """Say why a run has to be made; None where its folder holds it, finished, with today's settings and version."""
    summary, config = run.folder / "summary.json", run.folder / "config.yaml"
    if not summary.exists() or not config.exists():
        return "not run yet"
    found = json.loads(summary.read_text(encoding="utf-8"))
    changes = differences(_parse(config.read_text(encoding="utf-8")), run.settings)
    if changes:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        return f"its settings changed: {', '.join(changes[:3])}{more}"
    if found["status"] != "finished":
        return f"it was {found['status']}"
    if found["version"] != tracerl.__version__:
        return f"it is of tracerl {found['version']}"
    return None


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """List what changed between two nested settings, but for threads and going on, which change no life."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted((set(old) | set(new)) - {"threads", "resume"}, key=str)
        parts = [differences(old.get(n), new.get(n), f"{key}.{n}" if key else str(n)) for n in names]
        return [change for part in parts for change in part]
    return [] if old == new else [f"{key} {old} -> {new}"]


def can_go_on(run: Run) -> bool:
    """Say whether a run's folder holds a part of it, ended or killed, with today's settings."""
    summary, config = summary_of(run), run.folder / "config.yaml"
    if not config.exists() or differences(_parse(config.read_text(encoding="utf-8")), run.settings):
        return False
    return summary is None or summary["status"] in ("interrupted", "killed")


def carry_out(run: Run, threads: int, where: str, go_on: bool = False) -> str | None:
    """Make a run where there is need to, in place of an outdated one.

    Args:
        run: which.
        threads: for the lives that share it.
        where: is written beside it: machine and versions.
        go_on: with the part of it that is there, where there is one.

    Returns:
        Why it failed, if it did.
    """
    reason = reason_to_run(run)
    if reason is None:
        return None
    resume = go_on and can_go_on(run)
    if run.folder.exists() and not resume:
        print(f"{run.folder}: running again, {reason}", flush=True)
        if (run.folder / "config.yaml").exists():  # a run's folder and nothing else
            shutil.rmtree(run.folder)
    command = [sys.executable, "-m", "tracerl.run", *run.overrides, f"hydra.run.dir={quoted(run.folder)}"]
    command += [f"threads={threads}", *(["resume=auto"] if resume else [])]
    made = subprocess.run(command, capture_output=True, text=True)
    if run.folder.exists():
        (run.folder / "machine.txt").write_text(where + "\n", encoding="utf-8")
    return None if made.returncode == 0 else reason_of_failure(made.returncode, made.stderr)


def quoted(folder: Path) -> str:
    """Return a path in Hydra's grammar, in which commas, brackets and spaces mean something."""
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return str(folder) if re.fullmatch(r"[\w./-]+", str(folder)) else f"'{escaped}'"


def reason_of_failure(code: int, stderr: str) -> str:
    """Return in one line why a process failed: its own last error, or else its exit code and what it said last."""
    if code == 130:
        return "interrupted"
    lines = stderr.strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else ": ".join([f"exit code {code}", *lines[-1:]])


def summary_of(run: Run) -> Summary | None:
    """Return the summary in a run's folder; None where it has none."""
    path = run.folder / "summary.json"
    if not path.exists():
        return None
    summary: Summary = json.loads(path.read_text(encoding="utf-8"))
    return summary


def lives_of(run: Run, summary: Summary | None, error: str | None) -> list[Life]:
    """Return what a run's lives came to; where it failed, all of them did, also those that would have gone on alone.

    Args:
        run: which.
        summary: its contents of ``summary.json``, if there are any.
        error: why it failed, if it did.
    """
    if error is None and summary is None:
        error = "it left no summary"
    if error is None and summary is not None and summary["status"] != "finished":
        error = str(summary["error"] or summary["status"])
    if error is not None or summary is None:
        names = run.settings["env"]["milestones"]
        return [Life(seed, None, dict.fromkeys(names), error) for seed in run.seeds]
    finals = next(found["per_life"] for key, found in summary.items() if key.startswith("return_last"))
    return [
        Life(
            seed,
            finals[i],
            {name: steps[i] for name, steps in summary["milestones"].items()},
            "no episode ended" if finals[i] is None else None,
        )
        for i, seed in enumerate(run.seeds)
    ]
