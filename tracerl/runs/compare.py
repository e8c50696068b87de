"""Lifetimes of one kind, out of any number of runs: each of them once, with what it earned and when."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import RATE_WINDOW, WINDOW, Milestone
from tracerl.runs.folders import Job

Array = np.ndarray[Any, Any]
Settings = Mapping[str, str]
# Of a lifetime's settings: its seed, what changes nothing of it (a compiled env has the numbers of Gymnasium's), and
# what is known by name.
_OTHERWISE = ("seed", "lifetimes", "env.backend", "env.timeout", "env", "agent")


@dataclass(frozen=True)
class Lifetime:
    """One lifetime of a run."""

    job: Job
    index: int

    @property
    def identity(self) -> Any:
        """What tells it from others: its settings and its seed or, where nothing says that, its place."""
        place = (self.job.folder, self.index) if self.job.seed is None else self.job.seed + self.index
        return frozenset(of_a_lifetime(self.job).items()), place

    @cached_property
    def ends(self) -> Array:
        """Env steps at which its episodes ended, int64, [episodes]."""
        return self._column("step")

    @cached_property
    def returns(self) -> Array:
        """Their undiscounted returns, float64, [episodes]."""
        return self._column("return")

    def _column(self, name: str) -> Array:
        found: Array = self.job.episodes[name][self.job.episodes["life"] == self.index]
        return found

    @cached_property
    def steps(self) -> int:
        """Env steps that it has run, as far as its episodes tell; a run that goes on is ahead of them."""
        ended = int(self.ends[-1]) if len(self.ends) else 0
        if str(self.index) in (self.job.summary.get("diverged_lives") or {}):
            return ended
        others = int(self.job.episodes["step"].max(initial=0))  # of lifetimes in step with each other
        return max(int(self.job.summary.get("steps") or others), ended)

    @property
    def final_return(self) -> float | None:
        """Mean return of its last 100 episodes, of fewer if there are fewer; None while none has ended."""
        if not self.job.summary:
            return float(self.returns[-WINDOW:].mean()) if len(self.returns) else None
        value = _entry((self.job.summary.get(f"return_last{WINDOW}") or {}).get("per_life"), self.index)
        return None if value is None else float(value)

    @property
    def reward_rate(self) -> float | None:
        """Mean reward per env step of its last 10,000; None where its run does not say, as before it ends."""
        value = _entry((self.job.summary.get(f"reward_rate_last{RATE_WINDOW}") or {}).get("per_life"), self.index)
        return None if value is None else float(value)

    @property
    def reached(self) -> dict[str, int | None]:
        """The env step at which it first reached each milestone of its env; None of those that it has not."""
        if self.job.summary:
            found = self.job.summary.get("milestones") or {}
            return {name: _entry(steps, self.index) for name, steps in found.items()}
        env = self.job.config.get("env")
        names = env.get("milestones") if isinstance(env, dict) else None
        names = names if isinstance(names, list) else []
        return {str(name): reached(str(name), self.ends, self.returns) for name in names}


def _entry(values: Any, index: int) -> Any:
    """Return an entry of what should be a list; None where it is none, or too short."""
    return values[index] if isinstance(values, list) and index < len(values) else None


def reached(name: str, ends: Array, returns: Array) -> int | None:
    """Return the env step at which a milestone was first reached, by the episodes; None where it was not.

    Args:
        name: such as ``w20>=475``; one that is of another form is not reached.
        ends: env steps, [episodes].
        returns: [episodes].
    """
    try:
        milestone = Milestone.parse(name)
    except ConfigError:
        return None
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    means = (sums[milestone.window :] - sums[: -milestone.window]) / milestone.window
    there = np.flatnonzero(means >= milestone.threshold)
    return int(ends[there[0] + milestone.window - 1]) if len(there) else None


def median_step(steps: Sequence[int | None]) -> int | None:
    """Return the median step, the lower one of two, at which lifetimes reached a milestone; None, never, is latest."""
    middle = statistics.median_low([math.inf if step is None else step for step in steps])
    return int(middle) if math.isfinite(middle) else None


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds only."""

    overrides: Settings
    jobs: Sequence[Job]

    @cached_property
    def lifetimes(self) -> list[Lifetime]:
        """Every lifetime once: of those with one seed, the one that came furthest."""
        found: dict[Any, Lifetime] = {}
        for lifetime in self.all_lifetimes:
            before = found.get(lifetime.identity)
            if before is None or lifetime.steps > before.steps:
                found[lifetime.identity] = lifetime
        return list(found.values())

    @cached_property
    def all_lifetimes(self) -> list[Lifetime]:
        """Every lifetime of every run, also where two have the same seed."""
        return [Lifetime(job, i) for job in self.jobs for i in range(_number(job))]

    @property
    def returns(self) -> list[float]:
        """Mean return of the last 100 episodes of each lifetime that ended one."""
        return [value for lifetime in self.lifetimes if (value := lifetime.final_return) is not None]

    @property
    def milestones(self) -> dict[str, list[int | None]]:
        """The env step at which each lifetime reached each milestone; None where it did not."""
        each = [lifetime.reached for lifetime in self.lifetimes]
        every = dict.fromkeys(name for found in each for name in found)
        return {name: [found[name] for found in each if name in found] for name in every}


def _number(job: Job) -> int:
    """Return how many lifetimes a run has, by its episodes where no other file says."""
    if job.lifetimes or not len(job.episodes["life"]):
        return job.lifetimes
    return int(job.episodes["life"].max()) + 1


def group(jobs: Sequence[Job], settings: Callable[[Job], Settings]) -> list[Group]:
    """Take the runs together that have the same settings, in the order in which they come first."""
    found: dict[Any, list[Job]] = {}
    for job in jobs:
        found.setdefault(frozenset(settings(job).items()), []).append(job)
    return [Group(settings(members[0]), members) for members in found.values()]


def without_seed(job: Job) -> Settings:
    """Return the settings of a job of a sweep."""
    return {key: value for key, value in job.overrides.items() if key != "seed"}


def of_a_lifetime(job: Job) -> Settings:
    """Return what makes a lifetime what it is, but for its seed: of runs that were not made together."""
    others = {key: value for key, value in job.overrides.items() if key not in _OTHERWISE}
    return {"env": job.env, "agent": job.agent, **others}


def differing(groups: Sequence[Group]) -> list[str]:
    """Return the settings that are not the same in all groups."""
    keys = dict.fromkeys(key for found in groups for key in found.overrides)
    return [key for key in keys if len({found.overrides.get(key) for found in groups}) > 1]


def names(groups: Sequence[Group]) -> list[str]:
    """Return a name for each group: what differs between them."""
    keys = differing(groups)
    return [", ".join(_named(key, found) for key in keys) for found in groups]


def _named(key: str, found: Group) -> str:
    """Name a setting of a group; an env or an agent needs no word for what it is."""
    value = found.overrides.get(key, "default")
    return value if key in ("env", "agent") and value != "default" else f"{key}={value}"
