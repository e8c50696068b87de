"""What a study asks for: its yaml read and checked, and the runs that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
from bench_rows import OURS, Line, Overrides, Row, file_name, overrides_of, parse_seeds
from bench_runs import Run, Settings, lives_in_twins, memory_in_kernels
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tracerl.config import checks, hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import explain
from tracerl.config.instantiate import open_keys

KEYS = ("question", "prediction", "seeds", "bar", "final", "tasks", "settings")
TASK_KEYS = ("env", "steps", "seeds", "overrides")
RESEARCH = 100  # seeds below it are for choosing
SHARED = 10  # lives of a process at most, of an env without a compiled twin
MOST = 2 << 20  # bytes of a life that shares one: larger ones push each other out of the cache at every step
FINAL = range(200, 240)  # seeds that nothing may be chosen by


@dataclass(frozen=True)
class Task:
    """What has to be learned.

    Attributes:
        name: in the report.
        env: a yaml of configs/env.
        steps: env steps of a life; None: the env's own.
        seeds: of the lives.
        overrides: settings of ``tracerl.run`` under every setting.
    """

    name: str
    env: str
    steps: int | None
    seeds: tuple[int, ...]
    overrides: Overrides


@dataclass(frozen=True)
class Study:
    """A question, and what is run to answer it.

    Attributes:
        name: of its yaml.
        question: in words.
        prediction: written before it ran.
        bar: the setting that others are compared with.
        tasks: by no order but their own.
        settings: of ``tracerl.run``, by name.
    """

    name: str
    question: str
    prediction: str
    bar: str
    tasks: Sequence[Task]
    settings: Mapping[str, Overrides]


@dataclass(frozen=True)
class Cell:
    """One task under one setting: a row of the report."""

    task: Task
    setting: str
    runs: Sequence[Run]


def folder_of_studies() -> Path:
    """Return where the studies that ship with tracerl are."""
    return Path(str(files("tracerl.configs"))) / "study"


def find(name: str) -> Path:
    """Return the yaml of a study.

    Args:
        name: of one that ships, or the path of a yaml.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder_of_studies() / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in folder_of_studies().glob("*.yaml")))
        raise ConfigError("study", f"must be one of {there}, or the path of a yaml, got {name!r}")
    return path


def read_study(path: Path) -> Study:
    """Read and check the yaml of a study.

    Raises:
        ConfigError: naming the key.
    """
    try:
        found = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # whatever the yaml parser makes of it
        raise ConfigError(str(path), f"cannot be read: {error}") from error
    try:
        return _study(path.stem, found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.key}", error.problem) from error


def _study(name: str, found: Any) -> Study:
    entries = _mapping("study", found, KEYS)
    for key in ("question", "prediction", "bar"):
        if not isinstance(entries.get(key), str) or not entries[key].strip():
            raise ConfigError(key, f"must be a text, got {entries.get(key)!r}")
    final = entries.get("final", False)
    checks.flag("final", final)
    seeds = _seeds("seeds", entries.get("seeds"), final)
    named = _mapping("settings", entries.get("settings"))
    settings = {str(key): _settings(f"settings.{key}", own) for key, own in named.items()}
    tasks = [_task(str(key), own, seeds, final) for key, own in _mapping("tasks", entries.get("tasks")).items()]
    for key, names in (("tasks", [task.name for task in tasks]), ("settings", list(settings))):
        folders = [file_name(one) for one in names]
        twice = [one for one, folder in zip(names, folders, strict=True) if folders.count(folder) > 1]
        if twice:
            raise ConfigError(key, f"must have names that differ in letters or digits, got {', '.join(twice)}")
    if entries["bar"] not in settings:
        raise ConfigError("bar", f"must be one of the settings {', '.join(settings)}, got {entries['bar']!r}")
    return Study(name, entries["question"].strip(), entries["prediction"].strip(), entries["bar"], tasks, settings)


def _mapping(key: str, found: Any, keys: Sequence[str] | None = None) -> Mapping[Any, Any]:
    """Check a mapping that is not empty and, where ``keys`` are given, has none but those."""
    if not isinstance(found, Mapping) or not found:
        raise ConfigError(key, f"must be a mapping, got {found!r}")
    unknown = [name for name in found if keys is not None and name not in keys]
    if unknown:
        raise ConfigError(key, f"has no {unknown[0]}; keys are {', '.join(keys or ())}")
    return found


def _task(name: str, found: Any, seeds: tuple[int, ...], final: bool) -> Task:
    key = f"tasks.{name}"
    entries = _mapping(key, found, TASK_KEYS) if found is not None else {}
    steps = entries.get("steps")
    return Task(
        name,
        str(entries.get("env", name)),
        None if steps is None else checks.whole(f"{key}.steps", steps, 1),
        _seeds(f"{key}.seeds", entries["seeds"], final) if "seeds" in entries else seeds,
        _settings(f"{key}.overrides", entries.get("overrides")),
    )


def _settings(key: str, found: Any) -> Overrides:
    """Check settings given as a text or as a list of texts."""
    try:
        overrides = overrides_of(key, found)
    except ValueError as error:
        raise ConfigError(key, str(error).removeprefix(key).strip()) from error
    taken = [one for one in overrides if one.split("=")[0].lstrip("+") in (*OURS, "steps")]
    if taken:
        raise ConfigError(key, f"must leave {taken[0].split('=')[0]} to the study's own keys")
    return overrides


def _seeds(key: str, found: Any, final: bool) -> tuple[int, ...]:
    """Check seeds, and that those of the final table are used for nothing else."""
    try:
        seeds = parse_seeds(str(found))
    except ValueError as error:
        raise ConfigError(key, str(error).removeprefix("seeds ")) from error
    kept = [seed for seed in seeds if (seed not in FINAL if final else seed >= RESEARCH)]
    if kept:
        span = f"{FINAL.start} to {FINAL.stop - 1} (final: true)" if final else f"below {RESEARCH} (final: false)"
        why = "so that nothing is chosen by the seeds of the final table"
        raise ConfigError(key, f"must be {span}, {why}, got {kept[0]}")
    return seeds


def cells_of(study: Study, out: Path) -> list[Cell]:
    """Return every task under every setting, with its runs.

    Where the agent has kernels, lives of consecutive seeds share a run: all of them in a compiled twin,
    ten elsewhere, unless they are large. Others have one each.

    Args:
        study: which.
        out: folder of all studies.

    Raises:
        ConfigError: ``tracerl.run`` refuses the settings.
    """
    found = []
    for task in study.tasks:
        for setting, own in study.settings.items():
            steps = () if task.steps is None else (f"steps={task.steps}",)
            overrides = (*steps, "logger=none", *task.overrides, *own)
            row = Row(task.env, task.name, task.seeds, overrides)
            where = f"tasks.{task.name} with settings.{setting}"
            found.append(
                Cell(task, setting, _runs(Line(row, None, overrides), out / study.name / file_name(setting), where))
            )
    return found


def _runs(line: Line, out: Path, where: str) -> list[Run]:
    settings, seeds, folder = composed(line.command, where), line.row.seeds, line.folder(out)
    consecutive = seeds == tuple(range(seeds[0], seeds[-1] + 1))
    if consecutive and lives_in_twins(settings):
        return [_shared(line, seeds, folder, where, "env.backend=compiled")]
    if consecutive and len(seeds) > 1 and 0 < memory_in_kernels(settings) <= MOST:
        return [_shared(line, seeds[i : i + SHARED], folder, where) for i in range(0, len(seeds), SHARED)]
    return [
        Run((*line.command, f"seed={seed}"), (seed,), settings | {"seed": seed}, folder / f"seed{seed}")
        for seed in seeds
    ]


def _shared(line: Line, seeds: tuple[int, ...], folder: Path, where: str, *more: str) -> Run:
    command = (*line.command, f"seed={seeds[0]}", f"lifetimes={len(seeds)}", *more)
    return Run(command, seeds, composed(command, where), folder / f"seeds{seeds[0]}-{seeds[-1]}")


def composed(overrides: Sequence[str], where: str) -> Settings:
    """Return the settings that a command line makes, as a run writes them into its ``config.yaml``.

    Raises:
        ConfigError: it makes none; the message is that of ``tracerl.run``.
    """
    try:
        with hydra_compat.configs("tracerl.configs"):
            found: Any = OmegaConf.to_container(hydra.compose("run", open_keys(list(overrides))), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(where, f"cannot be used: {explain(error, overrides)}") from error
    return dict(found)
