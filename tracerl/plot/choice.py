"""Group the runs in folders for a comparison, and name the groups by their differing settings.

Missing runs, and runs without data to draw, raise a ConfigError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import WINDOW
from tracerl.plot.series import Band, bands_of
from tracerl.plot.style import COLOURS
from tracerl.runs.compare import Group, group, names, of_a_lifetime, without_seed
from tracerl.runs.files import as_utf8
from tracerl.runs.folders import Job, read_jobs

BY = ("settings", "run", "argument")  # ways to group runs


@dataclass(frozen=True)
class Chosen:
    """Groups of runs to compare."""

    groups: Sequence[Group]  # groups of runs
    labels: Sequence[str]  # names of the groups; groups in different envs can share a name

    @property
    def repeated(self) -> int:
        """Number of lifetimes that are in more than one run and count once."""
        return sum(len(found.all_lifetimes) - len(found.lifetimes) for found in self.groups)

    def best(self) -> "Chosen":
        """Return the groups of the ten labels with the best mean rank over the envs, the best first."""
        pairs = list(zip(self.groups, self.labels, strict=True))
        by_return = sorted(pairs, key=lambda pair: pair[0].middle_return, reverse=True)
        ranks: dict[str, list[int]] = {}
        for env in dict.fromkeys(found.jobs[0].env for found in self.groups):
            for rank, label in enumerate(label for found, label in by_return if found.jobs[0].env == env):
                ranks.setdefault(label, []).append(rank)
        order = sorted(ranks, key=lambda label: sum(ranks[label]) / len(ranks[label]))[: len(COLOURS)]
        best = sorted((pair for pair in pairs if pair[1] in order), key=lambda pair: order.index(pair[1]))
        return Chosen([found for found, _ in best], [label for _, label in best])


def choose(paths: Sequence[str | Path], by: str = "settings", labels: Sequence[str] | None = None) -> Chosen:
    """Find the runs to compare and group them.

    Args:
        paths: folders of runs or sweeps, or folders that contain them. The ``summary.json`` of a run is valid too.
        by: ``settings``: a group has runs that differ in their seeds only, in any folder. ``run``: each run is a group.
            ``argument``: all runs under a path are a group.
        labels: names of the groups, in order; None: their differing settings.

    Raises:
        ConfigError: a folder is missing or has no run, the number of labels differs from the number of groups, or two
            groups of an env have the same label.
    """
    checks.choice("--by", by, BY)
    found = [(Path(path), jobs_in(Path(path))) for path in paths]
    if by == "settings":
        groups = group([job for _, jobs in found for job in jobs], of_a_lifetime)
    elif by == "run":
        groups = [Group({**of_a_lifetime(job), "run": str(job.folder)}, [job]) for _, jobs in found for job in jobs]
    else:
        parts = [(path, part) for path, jobs in found for part in group(jobs, lambda job: {"env": job.env})]
        groups = [Group({**part.overrides, "argument": str(path)}, part.jobs) for path, part in parts]
    own = [as_utf8(label) for label in _named(groups, by)]
    return Chosen(groups, relabelled(own, labels, [found.jobs[0].env for found in groups]))


def relabelled(own: Sequence[str], labels: Sequence[str] | None, envs: Sequence[str]) -> Sequence[str]:
    """Return the labels with their distinct values replaced in order; None: unchanged.

    Args:
        own: labels to replace.
        labels: a label for each distinct value. A label can repeat for groups in different envs.
        envs: env of each of ``own``.

    Raises:
        ConfigError: the number of distinct values is another one, or a label repeats in an env.
    """
    if labels is None:
        return own
    distinct = list(dict.fromkeys(own))
    if len(labels) != len(distinct):
        listed = "; ".join(distinct)
        raise ConfigError("--labels", f"must be {len(distinct)}, one for each of: {listed}; got {len(labels)}")
    renamed = dict(zip(distinct, labels, strict=True))
    first: dict[tuple[str, str], str] = {}
    for env, label in zip(envs, own, strict=True):
        other = first.setdefault((env, renamed[label]), label)
        if other != label:
            raise ConfigError("--labels", f"must differ for {other} and {label} of {env}, got {renamed[label]!r} twice")
    return [renamed[label] for label in own]


def jobs_in(path: Path) -> list[Job]:
    """Return the runs under a path.

    Raises:
        ConfigError: the path is not a folder, or has no run.
    """
    if str(path).startswith("pretrained:"):
        raise ConfigError("RUN", f"must be the folder of a run: a pretrained agent has no curves, got {str(path)!r}")
    folder = path.parent if path.name == "summary.json" and path.is_file() else path
    if not folder.is_dir():
        raise ConfigError("RUN", f"must be the folder of a run or a sweep, or contain some, got {str(path)!r}")
    jobs = read_jobs(folder)
    if not jobs:
        raise ConfigError("RUN", f"has no run in it: {path}")
    return jobs


def _named(groups: Sequence[Group], by: str) -> list[str]:
    """Return names of the groups: the settings that differ within an env, else the agent.

    Runs without an env step, such as those that failed at once, do not lengthen the names of the others.
    """
    if by != "settings":
        paths = [Path(found.overrides[by]) for found in groups]
        short = [path.resolve().name for path in paths]
        return short if len(set(short)) == len(set(paths)) else [str(path) for path in paths]
    labels = [""] * len(groups)
    for env in dict.fromkeys(found.jobs[0].env for found in groups):
        here = [i for i, found in enumerate(groups) if found.jobs[0].env == env]
        started = [i for i in here if any(lifetime.steps for lifetime in groups[i].lifetimes)]
        for members in (here, started):
            for i, name in zip(members, names([groups[i] for i in members]), strict=True):
                labels[i] = name or groups[i].jobs[0].agent
    return labels


def best_bands(jobs: Sequence[Job], statistic: str = "iqm") -> list[Band]:
    """Return the bands of the ten best settings of a sweep, the best first."""
    groups = group(jobs, without_seed)
    return drawable(Chosen(groups, _named(groups, "settings")).best(), statistic)


def drawable(chosen: Chosen, statistic: str, window: int = WINDOW) -> list[Band]:
    """Return the bands of the chosen groups."""
    bands = bands_of(chosen.groups, chosen.labels, statistic, window)
    if not bands:
        where = chosen.groups[0].jobs[0].folder
        raise ConfigError("RUN", f"has nothing to draw: no episode has ended, no reward rate was logged in {where}")
    return bands
