"""Make the pretrained agents that ship with tracerl, and the table of their model cards.

python scripts/make_pretrained.py CartPole MinAtarBreakout   # train, evaluate, write tracerl/pretrained/*.safetensors
python scripts/make_pretrained.py --table                    # write the table of docs/pretrained.md

Each agent is a run of the default in a task of configs/study/final.yaml with seed 0, in a folder of ``--runs``, where a
run that is there already is used as it is. The evaluation has 100 episodes, as ``python -m tracerl.eval`` has them.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from doc_tables import made_on, write_table
from study_plan import Task, find, read_study

import tracerl
from tracerl.config.overrides import key_and_value
from tracerl.lifetime.evaluation import SEED
from tracerl.runs import pretrained
from tracerl.runs.api import checked_maker
from tracerl.runs.files import parse_yaml, write_atomic

PAGE = Path(__file__).parents[1] / "docs" / "pretrained.md"
SEED_OF_RUNS = 0


def _tasks() -> dict[str, dict[str, Any]]:
    """Return the settings of each task of the benchmarks by name; of two that differ in their steps, the longer."""
    longest: dict[Any, Task] = {}
    for task in read_study(find("final")).tasks:
        key = task.env, task.overrides
        if key not in longest or (task.steps or 0) > (longest[key].steps or 0):
            longest[key] = task
    return {task.name.removesuffix("Long"): _settings(task) for task in longest.values()}


def _settings(task: Task) -> dict[str, Any]:
    given = {key: parse_yaml(value) for key, value in map(key_and_value, task.overrides)}
    return {"env": task.env, **given, "steps": task.steps}


TASKS: Mapping[str, Mapping[str, Any]] = _tasks()


def command(name: str) -> str:
    """Return the command line that makes the run of an agent."""
    settings = {"env": name, **TASKS[name], "seed": SEED_OF_RUNS}
    return " ".join(["python -m tracerl.run", *(f"{key}={value}" for key, value in settings.items())])


def make(name: str, runs: Path, folder: Path, episodes: int, **settings: Any) -> Path:
    """Train if there is no run yet, evaluate, write the file and return its path."""
    path = runs / name
    if not (path / "summary.json").is_file():
        tracerl.launch({"env": name, **TASKS[name], "seed": SEED_OF_RUNS, "logger": "none", **settings}, path)
    run = tracerl.load(path)
    result = tracerl.evaluate(run.agent(engine="auto"), checked_maker(run.spec), episodes, seed=SEED + SEED_OF_RUNS)
    numbers = result.as_dict()
    kept = ("episodes", "mean", "interval_low", "interval_high", "lowest", "highest")
    card = {"name": name, "command": command(name), "seed": SEED_OF_RUNS, "steps": run.step}
    card |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "evaluation": {key: numbers[key] for key in kept}}
    folder.mkdir(exist_ok=True)
    written = folder / f"{name}.safetensors"
    write_atomic(written, pretrained.pack(run.as_pretrained(card)))
    print(f"{name}: {numbers['mean']:.4g} over {episodes} episodes, {written.stat().st_size:,} bytes", flush=True)
    return written


def table() -> str:
    """Return the table of all model cards."""
    rows = ["| name | made by | return of 100 episodes | lowest, highest | bytes |", "|---|---|---|---|---|"]
    for name in sorted(pretrained.names(), key=list(TASKS).index):
        card = pretrained.read(name).card
        found = card["evaluation"]
        size = (pretrained.FOLDER / f"{name}.safetensors").stat().st_size
        ends = f"{found['interval_low']:.4g}, {found['interval_high']:.4g}"
        spread = f"{found['lowest']:.4g}, {found['highest']:.4g}"
        settings = card["command"].removeprefix("python -m tracerl.run ")
        rows.append(f"| {name} | `{settings}` | {found['mean']:.4g} \\[{ends}\\] | {spread} | {size:,} |")
    return "\n".join([*rows, "", made_on()])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, and make the agents or the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--runs", type=Path, default=Path("runs/pretrained"), help="folder of the runs")
    parser.add_argument("--folder", type=Path, default=pretrained.FOLDER, help="folder of the files")
    parser.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    parser.add_argument("--table", action="store_true", help="write the table of docs/pretrained.md")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in TASKS]:
        parser.error(f"{unknown[0]} must be one of {', '.join(TASKS)}")
    for name in given.names:
        make(name, given.runs, given.folder, given.episodes)
    if given.table:
        write_table("make_pretrained", PAGE, "agents", table())


if __name__ == "__main__":
    main()
