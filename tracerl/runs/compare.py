"""Group the lifetimes of many runs by their settings, and read the return and milestones of each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.config.moved import keep_names
from tracerl.lifetime.record import RATE_WINDOW, WINDOW, Milestone
from tracerl.lifetime.statistics import area, interquartile_mean
from tracerl.runs.folders import Job

Array = np.ndarray[Any, Any]
Settings = Mapping[str, str]
# Settings left out of the comparison: the seed, settings without effect on a lifetime (a compiled env gives the numbers
# of the Gymnasium env), and env and agent, which are compared by their names.
_NOT_COMPARED = ("seed", "lifetimes", "env.backend", "env.timeout", "env", "agent")


@dataclass(frozen=True)
class SavedLifetime:
    """One lifetime of a run."""

    job: Job
    index: int

    @property
    def identity(self) -> Any:
        """Settings and seed of the lifetime."""
        return by_value(of_a_lifetime(self.job)), self.seed

    @property
    def seed(self) -> int | str:
        """Seed of the lifetime. Without a known one, the folder and the index replace it."""
        return f"{self.job.folder}, {self.index}" if self.job.seed is None else self.job.seed + self.index

    @cached_property
    def ends(self) -> Array:
        """Env steps at which its episodes ended, int64, [episodes]."""
        return self._column("step")

    @cached_property
    def returns(self) -> Array:
        """Undiscounted returns of the episodes, float64, [episodes]."""
        return self._column("return")

    @property
    def area(self) -> float | None:
        """Mean over env steps of the return of their episode; None before the first one ends."""
        return area(self._column("length"), self.returns)

    def _column(self, name: str) -> Array:
        found: Array = self.job.episodes[name][self.job.episodes["life"] == self.index]
        return found

    @cached_property
    def steps(self) -> int:
        """Env steps of the lifetime up to its last episode. An unfinished run can be ahead of this."""
        ended = int(self.ends[-1]) if len(self.ends) else 0
        if str(self.index) in (self.job.summary.get("diverged_lives") or {}):
            return ended
        others = int(self.job.episodes["step"].max(initial=0))  # all lifetimes of a run have the same step
        return max(int(self.job.summary.get("steps") or others), ended)

    @property
    def final_return(self) -> float | None:
        """Mean return of up to the last 100 episodes; None before the first one ends."""
        if not self.job.summary:
            return float(self.returns[-WINDOW:].mean()) if len(self.returns) else None
        return self._summarised(f"return_last{WINDOW}")

    @property
    def reward_rate(self) -> float | None:
        """Mean reward per env step over the last 10,000 steps; None if the run has no summary yet."""
        return self._summarised(f"reward_rate_last{RATE_WINDOW}")

    def _summarised(self, name: str) -> float | None:
        value = _entry((self.job.summary.get(name) or {}).get("per_life"), self.index)
        return None if value is None else float(value)

    @property
    def reached(self) -> dict[str, int | None]:
        """Env step at which each milestone of the env was first reached; None if it was not."""
        if self.job.summary:
            found = self.job.summary.get("milestones") or {}
            return {name: _entry(steps, self.index) for name, steps in found.items()}
        env = self.job.config.get("env")
        names = env.get("milestones") if isinstance(env, dict) else None
        names = names if isinstance(names, list) else []
        return {str(name): reached(str(name), self.ends, self.returns) for name in names}


def _entry(values: Any, index: int) -> Any:
    """Return an entry of a list; None if ``values`` is no list or too short."""
    return values[index] if isinstance(values, list) and index < len(values) else None


def reached(name: str, ends: Array, returns: Array) -> int | None:
    """Return the env step at which the episodes first reached a milestone; None if they did not.

    ``name`` is such as ``w20>=475``. A name of another form counts as not reached.
    """
    try:
        milestone = Milestone.parse(name)
    except ConfigError:
        return None
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    means = (sums[milestone.window :] - sums[: -milestone.window]) / milestone.window
    above = np.flatnonzero(means >= milestone.threshold)
    return int(ends[above[0] + milestone.window - 1]) if len(above) else None


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds only."""

    overrides: Settings
    jobs: Sequence[Job]

    @cached_property
    def lifetimes(self) -> list[SavedLifetime]:
        """One lifetime per seed: the one with the most steps."""
        found: dict[Any, SavedLifetime] = {}
        for lifetime in self.all_lifetimes:
            before = found.get(lifetime.identity)
            if before is None or lifetime.steps > before.steps:
                found[lifetime.identity] = lifetime
        return list(found.values())

    @cached_property
    def all_lifetimes(self) -> list[SavedLifetime]:
        """Every lifetime of every run, duplicates of a seed included."""
        return [SavedLifetime(job, i) for job in self.jobs for i in range(_number(job))]

    @property
    def returns(self) -> list[float]:
        """Mean return of the last 100 episodes of each lifetime with an ended episode."""
        return [value for lifetime in self.lifetimes if (value := lifetime.final_return) is not None]

    @property
    def middle_return(self) -> float:
        """Interquartile mean of ``returns``; -infinity without any."""
        return interquartile_mean(self.returns) if self.returns else -math.inf

    @property
    def areas(self) -> list[float]:
        """Area under the learning curve of each lifetime with an ended episode."""
        return [value for lifetime in self.lifetimes if (value := lifetime.area) is not None]

    @property
    def milestones(self) -> dict[str, list[int | None]]:
        """Env step at which each lifetime reached each milestone; None if it did not."""
        each = [lifetime.reached for lifetime in self.lifetimes]
        every = dict.fromkeys(name for found in each for name in found)
        return {name: [found[name] for found in each if name in found] for name in every}


def _number(job: Job) -> int:
    """Return the number of lifetimes of a run. Without another source it is counted from the episodes."""
    if job.lifetimes or not len(job.episodes["life"]):
        return job.lifetimes
    return int(job.episodes["life"].max()) + 1


def group(jobs: Sequence[Job], settings: Callable[[Job], Settings]) -> list[Group]:
    """Group the runs with equal settings, in the order of their first runs."""
    found: dict[Any, list[Job]] = {}
    for job in jobs:
        found.setdefault(by_value(settings(job)), []).append(job)
    return [Group(settings(members[0]), members) for members in found.values()]


def by_value(settings: Settings) -> frozenset[tuple[str, float | str | None]]:
    """Return settings in a form in which equal numbers are equal, such as 600 and 6e2."""
    return frozenset((key, _value(value)) for key, value in settings.items())


def _value(text: str | None) -> float | str | None:
    """Return a number for the text of one, else the text."""
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return text
    return text if math.isnan(number) else number  # nan differs from itself


def without_seed(job: Job) -> Settings:
    """Return the settings of a job in a sweep, without its seed."""
    return {key: value for key, value in job.overrides.items() if key != "seed"}


def of_a_lifetime(job: Job) -> Settings:
    """Return the settings that affect a lifetime, without its seed, for runs of different commands."""
    others = {key: value for key, value in job.overrides.items() if key not in _NOT_COMPARED}
    return {"env": job.env, "agent": job.agent, **others}


def differing(groups: Sequence[Group]) -> list[str]:
    """Return the keys of the settings that differ between groups."""
    keys = dict.fromkeys(key for found in groups for key in found.overrides)
    return [key for key in keys if len({_value(found.overrides.get(key)) for found in groups}) > 1]


def names(groups: Sequence[Group]) -> list[str]:
    """Return a name for each group, made of the settings that differ."""
    keys = differing(groups)
    return [", ".join(_named(key, found) for key in keys) for found in groups]


def _named(key: str, found: Group) -> str:
    """Return the name of a setting of a group. Env and agent are named by their value alone."""
    value = found.overrides.get(key, "default")
    return value if key in ("env", "agent") and value != "default" else f"{key}={value}"


keep_names(globals(), Lifetime="SavedLifetime")
