"""Mean returns of each task of runs whose task changes, such as SlipperyAnt and CartPolePermuted.

python scripts/task_means.py runs/CartPolePermuted/* --every 50000

A row per run folder, a column per task: the return of the episode that each step of the task is in, averaged over its
steps and over the run's lifetimes, which is the area under the learning curve after the change. In brackets the same
over the last fifth of the task, when it has been learned. Folders of single seeds are averaged with --together.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from doc_tables import markdown

from tracerl.lifetime.statistics import area
from tracerl.runs.logging.episodes import read_episodes

Array = np.ndarray[Any, Any]
LAST = 0.2  # share of a task that counts as its end


def area_of(steps: Array, lengths: Array, returns: Array, first: float, last: float) -> float | None:
    """Return the area under a part of a learning curve; None where no episode is in it.

    Args:
        steps: env step at which each episode of a lifetime ended, [episodes].
        lengths: its env steps, [episodes].
        returns: its return, [episodes].
        first: env steps before the window.
        last: last env step of the window.
    """
    return area((np.minimum(steps, last) - np.maximum(steps - lengths, first)).clip(min=0), returns)


def task_means(folders: Sequence[Path], every: int) -> list[tuple[float, float]]:
    """Return the mean over lifetimes of the area under each task and under its last part, task by task.

    Raises:
        ValueError: no episode ended in the folders.
    """
    lifetimes = []
    for folder in folders:
        episodes = read_episodes(folder)
        for lifetime in np.unique(episodes["life"]):
            mine = episodes["life"] == lifetime
            lifetimes.append((episodes["step"][mine], episodes["length"][mine], episodes["return"][mine]))
    if not lifetimes:
        raise ValueError(f"no episode ended in {', '.join(map(str, folders))}")
    last = max(int(steps[-1]) for steps, *_ in lifetimes)
    ends = range(every, last + every, every)
    return [(_mean(lifetimes, end - every, end), _mean(lifetimes, end - LAST * every, end)) for end in ends]


def _mean(lifetimes: Sequence[tuple[Array, Array, Array]], first: float, last: float) -> float:
    """Return the mean area of a window over the lifetimes that have episodes there; NaN without any."""
    known = [found for lifetime in lifetimes if (found := area_of(*lifetime, first, last)) is not None]
    return statistics.mean(known) if known else math.nan


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with a returns.npz each")
    parser.add_argument("--every", type=int, required=True, help="env steps of a task")
    parser.add_argument("--together", action="store_true", help="average the lifetimes of all folders")
    arguments = parser.parse_args()
    if arguments.every < 1:
        parser.error(f"--every must be 1 or above, got {arguments.every}")
    rows = [arguments.runs] if arguments.together else [[run] for run in arguments.runs]
    try:
        means = [task_means(row, arguments.every) for row in rows]
    except ValueError as error:
        parser.error(str(error))
    tasks = max(map(len, means))
    lines = [["run", *(f"task {i + 1}" for i in range(tasks))]]
    for row, found in zip(rows, means, strict=True):
        cells = [f"{whole:,.1f} ({late:,.1f})" for whole, late in found]
        lines.append([str(row[0]), *cells, *["-"] * (tasks - len(cells))])
    print(markdown(lines))


if __name__ == "__main__":
    main()
