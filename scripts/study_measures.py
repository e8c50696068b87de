"""What every life of a study came to, as one tidy table: a row per life and measure."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_runs import Run, summary_of
from study_plan import Cell

from tracerl.plot.series import Curve, rolling_mean
from tracerl.runs.logging.episodes import read_episodes
from tracerl.sweep.compare import area, lowest_late

SCORES = ("final_100", "area", "lowest_late")  # higher is better; milestones follow
COLUMNS = ("study", "task", "setting", "agent", "seed", "steps", "status", "measure", "value")


@dataclass(frozen=True)
class Life:
    """One life.

    Attributes:
        seed: its own.
        agent: its name.
        steps: env steps that it lived.
        status: of its run; ``missing`` where there is none.
        scores: by the names in ``SCORES``; None where there is no such number.
        milestones: the env step of each; None where it was not reached.
        curve: mean return of the last 100 episodes; None where no episode ended.
    """

    seed: int
    agent: str
    steps: int
    status: str
    scores: Mapping[str, float | None]
    milestones: Mapping[str, int | None]
    curve: Curve | None

    @property
    def counts(self) -> bool:
        """Whether it lived to its end."""
        return self.status == "finished"


def lives_of_cell(cell: Cell) -> list[Life]:
    """Return the lives of one task under one setting, those that are missing too."""
    return [life for run in cell.runs for life in _lives_of(run)]


def _lives_of(run: Run) -> list[Life]:
    summary = summary_of(run) or {}
    episodes = read_episodes(run.folder)
    milestones = summary.get("milestones") or dict.fromkeys(run.settings["env"]["milestones"], [None] * len(run.seeds))
    found = []
    for i, seed in enumerate(run.seeds):
        mine = episodes["life"] == i
        steps, returns, lengths = (episodes[name][mine] for name in ("step", "return", "length"))
        means, lived = rolling_mean(returns), int(summary.get("steps", 0))
        final = float(means[-1]) if len(means) else None
        scores = final, area(lengths, returns), lowest_late(steps, means, lived)
        status = str(summary.get("status", "missing"))
        status = "no episode ended" if status == "finished" and final is None else status
        reached = {name: per_life[i] for name, per_life in milestones.items()}
        named = dict(zip(SCORES, scores, strict=True))
        curve = Curve(steps, means, lived) if len(steps) else None
        found.append(Life(seed, str(summary.get("agent", "")), lived, status, named, reached, curve))
    return found


def write_table(path: Path, study: str, lives: Mapping[tuple[str, str], Sequence[Life]]) -> None:
    """Write the table, with an empty value where there is none.

    Args:
        path: of the csv.
        study: its name.
        lives: by task and setting.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for (task, setting), members in lives.items():
            for life in members:
                about = study, task, setting, life.agent, life.seed, life.steps, life.status
                for measure, value in {**life.scores, **life.milestones}.items():
                    writer.writerow((*about, measure, "" if value is None else value))
