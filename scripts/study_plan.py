"""Read and check the yaml of a study, and plan its runs."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from seeds import consecutive, parse_seeds
from study_runs import Run, Settings, bytes_in_kernels, is_compiled

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import explain
from tracerl.config.hydra_compat import compose
from tracerl.config.instantiate import open_keys

Overrides = tuple[str, ...]
OWN = ("env", "seed", "lifetimes", "threads", "hydra.run.dir", "steps")  # settings set by the study
KEYS = ("question", "prediction", "seeds", "baseline", "final", "tasks", "settings")
TASK_KEYS = ("env", "steps", "seeds", "overrides", "range")
RESEARCH = 100  # seeds below this are for choices of settings
FINAL = range(200, 240)  # seeds of final tables, not used for any choice
SHARED = 10  # largest number of lifetimes per process without a compiled env
LARGEST_SHARED = 2 << 20  # largest state of a lifetime that shares a process, bytes, because of the CPU cache


@dataclass(frozen=True)
class Task:
    """A task."""

    name: str  # name in the report
    env: str  # name of a yaml in configs/env
    steps: int | None  # env steps of a lifetime; None: the default of the env
    seeds: tuple[int, ...]  # seeds of the lifetimes
    overrides: Overrides  # overrides of ``tracerl.run`` for every setting
    range: tuple[float, float] | None = None  # returns that count as 0 and as 1; None: no normalised returns


@dataclass(frozen=True)
class Study:
    """A research question and the runs for it."""

    name: str  # name of its yaml
    question: str  # the question as text
    prediction: str  # prediction written before the runs
    baseline: str  # name of the setting for comparisons
    tasks: Sequence[Task]  # tasks in the order of the report
    settings: Mapping[str, Overrides]  # overrides of ``tracerl.run`` by name


@dataclass(frozen=True)
class Cell:
    """One task under one setting: a row of the report."""

    task: Task
    setting: str
    runs: Sequence[Run]


def folder_of_studies() -> Path:
    """Return the folder of the studies of tracerl."""
    return Path(str(files("tracerl.configs"))) / "study"


def file_name(text: str) -> str:
    """Return a text with characters replaced that are invalid in file names."""
    return re.sub(r"[^\w.-]+", "-", text)


def find(name: str) -> Path:
    """Return the yaml of a study by its name or path; a ConfigError if there is none."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder_of_studies() / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in folder_of_studies().glob("*.yaml")))
        raise ConfigError("study", f"must be one of {there}, or the path of a yaml, got {name!r}")
    return path


def read_study(path: Path) -> Study:
    """Read and check the yaml of a study. A ConfigError names the key."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # the yaml parser can raise any error
        raise ConfigError(str(path), f"cannot be read: {error}") from error
    try:
        return _study(path.stem, found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.key}", error.problem) from error


def _study(name: str, found: Any) -> Study:
    entries = _mapping("study", found, KEYS)
    for key in ("question", "prediction", "baseline"):
        if not isinstance(entries.get(key), str) or not entries[key].strip():
            raise ConfigError(key, f"must be a text, got {entries.get(key)!r}")
    final = entries.get("final", False)
    checks.flag("final", final)
    seeds = _seeds("seeds", entries.get("seeds"), final)
    named = _mapping("settings", entries.get("settings"))
    settings = {str(key): _overrides(f"settings.{key}", own) for key, own in named.items()}
    tasks = [_task(str(key), own, seeds, final) for key, own in _mapping("tasks", entries.get("tasks")).items()]
    for key, names in (("tasks", [task.name for task in tasks]), ("settings", list(settings))):
        folders = [file_name(one) for one in names]
        twice = [one for one, folder in zip(names, folders, strict=True) if folders.count(folder) > 1]
        if twice:
            raise ConfigError(key, f"must have names that differ in letters or digits, got {', '.join(twice)}")
    if entries["baseline"] not in settings:
        problem = f"must be one of the settings {', '.join(settings)}, got {entries['baseline']!r}"
        raise ConfigError("baseline", problem)
    return Study(name, entries["question"].strip(), entries["prediction"].strip(), entries["baseline"], tasks, settings)


def _mapping(key: str, found: Any, keys: Sequence[str] | None = None) -> Mapping[Any, Any]:
    """Check a mapping that is not empty and has only ``keys``, if given."""
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
        _overrides(f"{key}.overrides", entries.get("overrides")),
        None if "range" not in entries else _range(f"{key}.range", entries["range"]),
    )


def _range(key: str, found: Any) -> tuple[float, float]:
    """Check two different returns."""
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(one, (int, float)) for one in found):
        raise ConfigError(key, f"must be two returns, that count as 0 and as 1, got {found!r}")
    if found[0] == found[1]:
        raise ConfigError(key, f"must be two different returns, got {found!r}")
    return float(found[0]), float(found[1])


def _overrides(key: str, found: Any) -> Overrides:
    """Check settings given as a text or as a list of texts."""
    settings = shlex.split(found) if isinstance(found, str) else ([] if found is None else found)
    if not isinstance(settings, list) or not all(isinstance(one, str) and "=" in one for one in settings):
        raise ConfigError(key, f"must be settings such as agent.entropy=0.05, got {found!r}")
    taken = [one for one in settings if one.split("=")[0].lstrip("+") in OWN]
    if taken:
        raise ConfigError(key, f"must leave {taken[0].split('=')[0]} to the study's own keys")
    return tuple(settings)


def _seeds(key: str, found: Any, final: bool) -> tuple[int, ...]:
    """Check seeds, and that the seeds of final tables have no other use."""
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
    """Return every combination of task and setting with its runs, in the folder ``out`` of all studies."""
    return [
        Cell(task, setting, _runs(task, own, out / study.name / file_name(setting) / file_name(task.name), setting))
        for task in study.tasks
        for setting, own in study.settings.items()
    ]


def _runs(task: Task, own: Overrides, folder: Path, setting: str) -> list[Run]:
    """Return the runs of a cell. Consecutive seeds share a run if the agent has kernels.

    All of them do in a compiled env, ten elsewhere, unless their state is large. Others have a run each.
    """
    steps = () if task.steps is None else (f"steps={task.steps}",)
    command = (f"env={task.env}", *steps, "logger=none", *task.overrides, *own)
    where, seeds = f"tasks.{task.name} with settings.{setting}", task.seeds
    settings = composed(command, where)
    shared, more = 1, tuple[str, ...]()
    if consecutive(seeds) and is_compiled(settings):
        shared, more = len(seeds), ("env.backend=compiled",)
    elif consecutive(seeds) and len(seeds) > 1 and 0 < bytes_in_kernels(settings) <= LARGEST_SHARED:
        shared = SHARED
    runs = []
    for i in range(0, len(seeds), shared):
        members = seeds[i : i + shared]
        alone = not more and shared == 1
        line = (*command, f"seed={members[0]}", *(() if alone else (f"lifetimes={len(members)}",)), *more)
        name = f"seed{members[0]}" if alone else f"seeds{members[0]}-{members[-1]}"
        whole = settings | {"seed": members[0]} if alone else composed(line, where)
        runs.append(Run(line, members, whole, folder / name))
    return runs


def composed(overrides: Sequence[str], where: str) -> Settings:
    """Return the settings of a command line as in ``config.yaml``; a ConfigError has ``tracerl.run``'s message."""
    try:
        found: Any = OmegaConf.to_container(compose(open_keys(list(overrides))), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(where, f"cannot be used: {explain(error, overrides)}") from error
    return dict(found)
