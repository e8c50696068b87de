"""Evaluate frozen copies of a run's agents while it learns, in an env of their own."""

import csv
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.lifetime.env_state import Statistics, restore_statistics
from tracerl.lifetime.evaluation import SEED, Evaluation, evaluate
from tracerl.lifetime.loop import Diverged, EnvFailed, ScheduledCallback
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.time_limit import time_limit
from tracerl.runs.files import open_regular, read_bytes, write_atomic
from tracerl.runs.saved_run import of_lifetime

if TYPE_CHECKING:
    from tracerl.runs.logging.log import RunLog

FILE = "evaluations.csv"
_LARGEST = 2**30  # bytes of a file of an earlier part of the run
FIELDS = ("step", "lifetime", "episodes", "mean", "lowest", "highest", "mean_length")
_HEAD = (",".join(FIELDS) + "\n").encode()


@dataclass(frozen=True)
class EvalSettings:
    """The schedule of evaluations; see ``configs/run.yaml``.

    Attributes:
        every: env steps of a lifetime between two; None: no evaluations.
        episodes: of each lifetime, per evaluation.
        steps: env steps of each lifetime, per evaluation, after which it ends with the episodes until then.
        greedy: take the most probable actions in place of samples.
    """

    every: int | None = None
    episodes: int = 10
    steps: int = 100_000
    greedy: bool = False

    def __post_init__(self) -> None:
        if self.every is not None:
            checks.whole("every", self.every, 1)
        checks.whole("episodes", self.episodes, 1)
        checks.whole("steps", self.steps, 1)
        checks.flag("greedy", self.greedy)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect; see ``tracerl.config.ignored``."""
        return dict.fromkeys(("episodes", "steps", "greedy"), "without eval.every") if self.every is None else {}


class Evaluations(ScheduledCallback):
    """Evaluate every lifetime on a schedule; write the results to ``evaluations.csv`` and the log.

    Nothing of it reaches the learning agents: their copies act in another env, with copies of their random numbers.
    """

    def __init__(
        self,
        settings: EvalSettings,
        env: gym.Env[Any, Any],
        single: Callable[[], Any],
        folder: Path,
        seed: int,
        log: "RunLog | None",
        step: int,
        interrupted: Callable[[], bool],
        statistics: Callable[[], list[Statistics]],
        timeout: float | None = None,
    ) -> None:
        """Continue the file of an earlier part of the run.

        Args:
            settings: ``every`` is not None.
            env: of the evaluations alone.
            single: builds an agent of one lifetime, to which the state of one of many is copied.
            folder: of the run.
            seed: of the first lifetime.
            log: receives the means; None without one.
            step: env steps so far; rows of later steps are dropped.
            interrupted: called after every step of an evaluation; True drops it.
            statistics: returns what the normalising wrappers of each lifetime's env have learned so far.
            timeout: limit of a call of the env, see ``time_limit``.
        """
        assert settings.every is not None
        self.every, self._settings, self._env, self._seed, self._log = settings.every, settings, env, seed, log
        self._build, self._interrupted, self._statistics, self._timeout = single, interrupted, statistics, timeout
        self._single: Any = None  # an agent of one lifetime, built at the first evaluation that needs it
        self._path, self._warned, self._done = folder / FILE, False, step
        self._newest = -1, -math.inf  # step and mean of the newest evaluation
        kept = [row for row in read_rows(self._path) if int(row["step"]) <= step]
        self._try(lambda: write_atomic(self._path, _HEAD + _text(kept)))

    def call(self, records: Sequence[Record], agent: Any) -> None:
        """Evaluate each lifetime that goes on; see ``ScheduledCallback.call``."""
        step = steps_of_all(records)
        if step == self._done:
            return
        self._done, found, statistics = step, dict[int, Evaluation](), self._statistics()
        try:
            for lifetime, copied in enumerate(self._copies(agent, len(records))):
                if not records[lifetime].frozen:
                    for learned in statistics[lifetime : lifetime + 1]:
                        restore_statistics(self._env, learned, hold=True)
                    found[lifetime] = self._evaluate(copied, lifetime)
        except (EnvFailed, Diverged) as error:
            print(f"warning: no evaluation after {step:,} steps: {error}; the run continues", file=sys.stderr)
            return
        if self._interrupted():
            return
        ended = [each for each in found.values() if each.returns]
        self._newest = step, fmean(each.mean for each in ended) if ended else -math.inf
        if ended and self._log is not None:
            means = {"mean_reward": fmean(e.mean for e in ended), "mean_ep_length": fmean(e.mean_length for e in ended)}
            self._log.scalars({f"eval/{name}": number for name, number in means.items()}, step)
        numbers = {lifetime: each.as_dict() for lifetime, each in found.items()}
        rows = [{**{name: own.get(name) for name in FIELDS}, "step": step, "lifetime": i} for i, own in numbers.items()]
        self._try(lambda: _append(self._path, _text(rows)))

    def _evaluate(self, agent: Any, lifetime: int) -> Evaluation:
        """Evaluate one lifetime."""
        settings, seed = self._settings, (SEED + self._seed + lifetime) % 2**32
        limits: dict[str, Any] = {"steps": settings.steps, "interrupted": self._interrupted}
        with time_limit(self._env, self._timeout):
            return evaluate(agent, self._env, settings.episodes, greedy=settings.greedy, seed=seed, **limits)

    def call_at_end(self, records: Sequence[Record], agent: Any) -> None:
        """Evaluate once more if the run has reached a multiple of ``every``; see ``Schedule.call_at_end``."""
        if steps_of_all(records) % self.every == 0:
            self.call(records, agent)

    def score(self, step: int) -> float:
        """Return the mean return of the evaluation at a step, over the lifetimes; minus infinity without one."""
        return self._newest[1] if self._newest[0] == step else -math.inf

    def close(self) -> None:
        """Close the env."""
        with time_limit(self._env, self._timeout):
            self._env.close()

    def _copies(self, agent: Any, lifetimes: int) -> Any:
        """Yield an agent of each lifetime, to be copied by ``evaluate``."""
        agents = getattr(agent, "agents", None)
        if lifetimes == 1 or agents is not None:
            yield from agents or [agent]
            return
        if self._single is None:
            self._single = self._build()
        state = agent.capture()
        for lifetime in range(lifetimes):
            self._single.restore(of_lifetime(state, lifetime))
            yield self._single

    def _try(self, write: Callable[[], None]) -> None:
        """Write to the file. A failed write is a warning, once."""
        try:
            write()
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write {self._path}: {error}; the run continues", file=sys.stderr)
            self._warned = True


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of evaluations; none if it is missing or cannot be read."""
    try:
        text = read_bytes(path, _LARGEST).decode()
    except (OSError, ValueError):
        return []
    whole = text[: text.rfind("\n") + 1]  # a killed run can leave a part of a row
    rows = csv.DictReader(io.StringIO(whole))
    return [row for row in rows if tuple(row) == FIELDS and str(row["step"]).isdecimal()]


def _text(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as they stand in the file."""
    text = io.StringIO()
    csv.DictWriter(text, FIELDS, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _append(path: Path, data: bytes) -> None:
    with open(open_regular(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
        file.write(data)
