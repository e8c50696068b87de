"""The rows of ``bench_learning.py``: envs with their labels, seeds and settings, from names or from a file."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

Overrides = tuple[str, ...]
OURS = ("env", "seed", "lifetimes", "threads", "hydra.run.dir")  # settings that the script gives itself
KEYS = ("env", "label", "seeds", "overrides", "agents")


@dataclass(frozen=True)
class Row:
    """One env.

    Attributes:
        env: a yaml of configs/env.
        label: what the table calls it, and the name of its folder.
        seeds: of the lives.
        overrides: settings of ``tracerl.run`` under every agent.
        agents: yamls of configs/agent, each with settings of its own; none: the default agent.
    """

    env: str
    label: str
    seeds: tuple[int, ...]
    overrides: Overrides = ()
    agents: Mapping[str, Overrides] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One env under one agent: a line of the table.

    Attributes:
        row: the env.
        agent: a yaml of configs/agent; None for the default, or the one that the settings name.
        overrides: settings of ``tracerl.run`` beside env, agent and seed.
    """

    row: Row
    agent: str | None
    overrides: Overrides

    @property
    def command(self) -> Overrides:
        """What to hand to ``tracerl.run``, but for the seed."""
        agent = () if self.agent is None else (f"agent={self.agent}",)
        return (f"env={self.row.env}", *agent, *self.overrides)

    @property
    def name(self) -> str:
        """Label and agent in words."""
        return self.row.label if self.agent is None else f"{self.row.label}, {self.agent}"

    def folder(self, out: Path) -> Path:
        """Return where the runs are kept."""
        parts = [self.row.label] if self.agent is None else [self.row.label, self.agent]
        return out.joinpath(*map(file_name, parts))


def file_name(text: str) -> str:
    """Return a text with what no file name should have replaced."""
    return re.sub(r"[^\w.-]+", "-", text)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``0-9`` or ``0,3,7``.

    Raises:
        ValueError: it is neither, or names no seed or one seed twice.
    """
    span = re.fullmatch(r"(\d+)-(\d+)", text)
    if span is None and re.fullmatch(r"\d+(,\d+)*", text) is None:
        raise ValueError(f"seeds must look like 0-9 or 0,3,7, got {text!r}")
    seeds = tuple(range(int(span[1]), int(span[2]) + 1)) if span else tuple(int(part) for part in text.split(","))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more, each named once, got {text!r}")
    return seeds


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return what ``parse_seeds`` reads."""
    first, last = seeds[0], seeds[-1]
    if len(seeds) > 1 and tuple(seeds) == tuple(range(first, last + 1)):
        return f"{first}-{last}"
    return ",".join(str(seed) for seed in seeds)


def read_rows(path: Path, seeds: tuple[int, ...]) -> list[Row]:
    """Read a yaml: a list of rows, each ``env`` and, where it likes, ``label``, ``seeds``, ``overrides``, ``agents``.

    Settings are a list, or one text with spaces between them; ``agents`` maps names to settings.

    Args:
        path: of the file.
        seeds: of rows that name none.

    Raises:
        ValueError: naming the row and the key.
    """
    found = OmegaConf.to_container(OmegaConf.load(path))
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path} must be a list of rows, got {type(found).__name__}")
    rows = []
    for i, entry in enumerate(found):
        try:
            rows.append(_row(entry, seeds))
        except ValueError as error:
            raise ValueError(f"{path}, row {i + 1}: {error}") from error
    return rows


def _row(entry: Any, seeds: tuple[int, ...]) -> Row:
    """Check and build one row of a file."""
    if not isinstance(entry, Mapping) or "env" not in entry:
        raise ValueError(f"must be a mapping with env, got {entry!r}")
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        raise ValueError(f"there is no {unknown[0]}; keys are {', '.join(KEYS)}")
    agents = entry.get("agents") or {}
    if not isinstance(agents, Mapping):
        raise ValueError(f"agents must map names to settings, got {agents!r}")
    return Row(
        env=str(entry["env"]),
        label=str(entry.get("label", entry["env"])),
        seeds=parse_seeds(str(entry["seeds"])) if "seeds" in entry else seeds,
        overrides=overrides_of("overrides", entry.get("overrides")),
        agents={str(name): overrides_of(f"agents.{name}", own) for name, own in agents.items()},
    )


def overrides_of(key: str, found: Any) -> Overrides:
    """Return settings given as a text or as a list of texts."""
    settings = shlex.split(found) if isinstance(found, str) else ([] if found is None else found)
    if not isinstance(settings, list) or not all(isinstance(one, str) and "=" in one for one in settings):
        raise ValueError(f"{key} must be settings such as steps=60000, got {found!r}")
    return tuple(settings)


def lines_of(rows: Sequence[Row], agents: Sequence[str], overrides: Sequence[str]) -> list[Line]:
    """Return the lines of a table.

    Args:
        rows: the envs.
        agents: in place of each row's own; empty: the row's.
        overrides: settings for every line, after the row's and the agent's.

    Raises:
        ValueError: two lines would share a folder, or a setting is the script's own.
    """
    lines: list[Line] = []
    for row in rows:
        names: list[str | None] = [*(agents or row.agents)] or [None]
        for name in names:
            own = row.agents.get(name, ()) if name is not None else ()
            lines.append(Line(row, name, (*row.overrides, *own, *overrides)))
    for line in lines:
        taken = [one for one in line.overrides if one.split("=")[0].lstrip("+") in OURS]
        if taken:
            raise ValueError(f"{taken[0]} cannot be given: env, seeds and --together set {', '.join(OURS)}")
    folders = [line.folder(Path()) for line in lines]
    for line, folder in zip(lines, folders, strict=True):
        if folders.count(folder) > 1:
            raise ValueError(f"two rows are called {line.name}: give each a label of its own")
    return lines
