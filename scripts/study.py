"""Run a study: tasks x settings x seeds from a yaml, over all cores; write a tidy table, a report and pictures.

python scripts/study.py agents                     # configs/study/agents.yaml; any path of a yaml does too
python scripts/study.py agents --tasks CartPole --settings reflect,stream_ac --seeds 0-4
python scripts/study.py agents --report            # of what is there, running nothing
python scripts/study.py final --write docs/benchmarks.md    # the table between the markers of "study final"

A study names a question, a prediction, seeds, tasks (env, steps, overrides), settings (overrides of tracerl.run) and
the baseline among the settings. Where the agent has kernels, lifetimes of consecutive seeds share a process: all of
them in a compiled env, ten in another; other lifetimes have one each. A run is kept in OUT/STUDY/SETTING/TASK: the same
command resumes what was interrupted or killed, makes again what has other settings now, and leaves alone what is up to
date. In OUT/STUDY it writes table.csv (a row per lifetime and measure), report.md and a picture per task
(tracerl[plots]). Exit code: 0, 1 where lifetimes failed, 2 for bad input, 130 where it was interrupted.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import doc_tables
from seeds import format_seeds, parse_seeds
from study_measures import lifetimes_of, write_table
from study_plan import Cell, Study, cells_of, find, read_study
from study_report import draw, page_table, report
from study_runs import Run, execute, reason_to_run

from tracerl.config.checks import ConfigError
from tracerl.config.threads import usable_cores


def narrowed(study: Study, arguments: argparse.Namespace) -> Study:
    """Return the selected part of a study; a ConfigError if it has no such part."""
    asked = _chosen("tasks", arguments.tasks, [task.name for task in study.tasks])
    tasks = [task for task in study.tasks if task.name in asked]
    names = _chosen("settings", arguments.settings, list(study.settings))
    if study.baseline not in names:
        raise ConfigError("--settings", f"must include the baseline, {study.baseline}, got {arguments.settings}")
    if arguments.seeds is not None:
        try:
            few = parse_seeds(arguments.seeds)
        except ValueError as error:
            raise ConfigError("--seeds", str(error).removeprefix("seeds ")) from error
        tasks = [replace(task, seeds=tuple(seed for seed in few if seed in task.seeds)) for task in tasks]
        if not all(task.seeds for task in tasks):
            raise ConfigError("--seeds", f"must be among those of every task, got {arguments.seeds}")
    return replace(study, tasks=tasks, settings={name: study.settings[name] for name in names})


def _chosen(key: str, text: str | None, there: Sequence[str]) -> list[str]:
    asked = text.split(",") if text is not None else list(there)
    unknown = [name for name in asked if name not in there]
    if unknown:
        raise ConfigError(f"--{key}", f"must be among {', '.join(there)}, got {unknown[0]!r}")
    return [name for name in there if name in asked]


def make(cells: Sequence[Cell], jobs: int) -> int:
    """Make all missing runs in parallel processes, longest first; return the number of failed ones."""
    due = [(cell, run) for cell in cells for run in cell.runs if reason_to_run(run) is not None]
    total = sum(len(cell.runs) for cell in cells)
    print(f"{total} runs, {total - len(due)} of them done", flush=True)
    due.sort(key=lambda pair: -len(pair[1].seeds) * float(pair[1].settings["steps"]))
    threads = max(1, usable_cores() // max(1, min(jobs, len(due))))
    with ThreadPoolExecutor(jobs) as pool:
        try:
            machine = doc_tables.made_on()
            work = {pool.submit(execute, run, threads, machine): (cell, run) for cell, run in due}
            for i, future in enumerate(as_completed(work)):
                print(f"[{i + 1}/{len(due)}] {_outcome(*work[future], future)}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sum(future.result() is not None for future in work)


def _outcome(cell: Cell, run: Run, future: Future[str | None]) -> str:
    error = future.result()
    seeds = f"seed{'s' if len(run.seeds) > 1 else ''} {format_seeds(run.seeds)}"
    return f"{cell.task.name}, {cell.setting}, {seeds}: {f'FAILED: {error}' if error else 'done'}"


def write(study: Study, cells: Sequence[Cell], folder: Path, page: Path | None) -> None:
    """Write table, report and pictures, and the table of a page."""
    lifetimes = {(cell.task.name, cell.setting): lifetimes_of(cell) for cell in cells}
    origin = about([run for cell in cells for run in cell.runs])
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "table.csv", study.name, lifetimes)
    (folder / "report.md").write_text(report(study, lifetimes, origin), encoding="utf-8")
    print(folder / "table.csv")
    try:
        draw(study, lifetimes, folder)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        print('no pictures: pip install "tracerl[plots]"', file=sys.stderr)
    print(folder / "report.md")
    if page is not None:
        doc_tables.write_table("study", page, study.name, page_table(study, lifetimes, origin))
        print(page)


def about(runs: Sequence[Run]) -> str:
    """Return the dates and machines of runs."""
    there = [run.folder / "machine.txt" for run in runs if (run.folder / "machine.txt").exists()]
    days = sorted({str(datetime.date.fromtimestamp(path.stat().st_mtime)) for path in there})
    machines = sorted({path.read_text(encoding="utf-8").strip() for path in there})
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "nothing ran"
    return f"{when}; {'; '.join(machines) or 'no machine'}."


def main() -> None:
    """Read the arguments, make the runs and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="name of a yaml in configs/study, or the path of one")
    parser.add_argument("--tasks", help="selected tasks, separated by commas")
    parser.add_argument("--settings", help="selected settings, including the baseline")
    parser.add_argument("--seeds", help="selected seeds: 0-9 or 0,3,7")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="processes at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/study"), help="folder of all studies")
    parser.add_argument("--report", action="store_true", help="write the report without runs")
    parser.add_argument("--write", type=Path, help="page of docs/ for the table")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs must be 1 or more, got {arguments.jobs}")
    try:
        study = narrowed(read_study(find(arguments.study)), arguments)
        if arguments.write is not None:
            doc_tables.replaced("study", arguments.write, study.name)  # exits now rather than after hours
        cells = cells_of(study, arguments.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    try:
        failed = 0 if arguments.report else make(cells, arguments.jobs)
    except KeyboardInterrupt:
        print("interrupted: the same command resumes it", file=sys.stderr)
        raise SystemExit(130) from None
    write(study, cells, arguments.out / study.name, arguments.write)
    if failed:
        print(f"error: {failed} runs failed, see above", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
