"""The measures of every lifetime of a study as one tidy table, a row per lifetime and measure."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from study_plan import Cell
from study_runs import Run

from tracerl.plot.series import Curve, rolling_mean
from tracerl.runs.logging.episodes import read_episodes
from tracerl.sweep.compare import area, lowest_late

SCORES = ("final_100", "area", "lowest_late")  # higher is better; milestones follow
COLUMNS = ("study", "task", "setting", "agent", "seed", "steps", "status", "measure", "value")


@dataclass(frozen=True)
class Lifetime:
    """One lifetime."""

    seed: int  # seed of the lifetime
    agent: str  # name of the agent
    steps: int  # env steps taken
    status: str  # status of its run; ``missing`` without a run
    scores: Mapping[str, float | None]  # measures by the names in ``SCORES``; None if missing
    milestones: Mapping[str, int | None]  # env step of each milestone; None if not reached
    curve: Curve | None  # mean return of the last 100 episodes; None without an ended episode

    @property
    def counts(self) -> bool:
        """Whether the lifetime finished."""
        return self.status == "finished"


def lifetimes_of(cell: Cell) -> list[Lifetime]:
    """Return the lifetimes of one task and setting, including missing ones."""
    return [lifetime for run in cell.runs for lifetime in _lifetimes(run)]


def _lifetimes(run: Run) -> list[Lifetime]:
    summary, episodes = run.summary or {}, read_episodes(run.folder)
    milestones = summary.get("milestones") or dict.fromkeys(run.settings["env"]["milestones"], [None] * len(run.seeds))
    found = []
    for i, seed in enumerate(run.seeds):
        mine = episodes["life"] == i
        steps, returns, lengths = (episodes[name][mine] for name in ("step", "return", "length"))
        means, taken = rolling_mean(returns), int(summary.get("steps", 0))
        final = float(means[-1]) if len(means) else None
        scores = dict(zip(SCORES, (final, area(lengths, returns), lowest_late(steps, means, taken)), strict=True))
        status = str(summary.get("status", "missing"))
        status = "no episode ended" if status == "finished" and final is None else status
        reached = {name: each[i] for name, each in milestones.items()}
        curve = Curve(steps, means, taken) if len(steps) else None
        found.append(Lifetime(seed, str(summary.get("agent", "")), taken, status, scores, reached, curve))
    return found


def write_table(path: Path, study: str, lifetimes: Mapping[tuple[str, str], Sequence[Lifetime]]) -> None:
    """Write the csv of the lifetimes, by task and setting. Missing values are empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for (task, setting), members in lifetimes.items():
            for one in members:
                about = study, task, setting, one.agent, one.seed, one.steps, one.status
                for measure, value in {**one.scores, **one.milestones}.items():
                    writer.writerow((*about, measure, "" if value is None else value))
