"""Run envs over many seeds, and under several agents, in parallel processes; print what every seed learned and a table.

python scripts/bench_learning.py --env CartPole --seeds 0-9
python scripts/bench_learning.py --env Acrobot --seeds 0-4 agent.entropy=0.05     # any override of tracerl.run
python scripts/bench_learning.py --env CartPole,Acrobot --agents reflect,random --seeds 0-19 --together
python scripts/bench_learning.py --rows scripts/bench_learning.yaml --write PAGE.md

``--rows`` names a file of rows: envs with their own labels, seeds and settings (its head says how). Each seed is one
``python -m tracerl.run`` in a process of its own; ``--together`` lives the seeds of a line in one process where the env
has a compiled twin and the agent kernels: the same lives (docs/lifetimes.md), sooner, but if one fails, so do all. A
run is kept in ``--out`` and not made again while its settings and the version of tracerl stand; an outdated one is
replaced. A seed that fails is reported and misses every milestone; the mean is over the others, and the table says how
many failed. ``--write`` replaces what stands between the markers of the table ``--name``, which must be there.
"""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bench_rows import Line, Row, lines_of, parse_seeds, read_rows, seeds_in_words
from bench_runs import Life, Run, carry_out, lives_of, runs_of, summary_of
from bench_table import Measured, life_line, report, table
from doc_tables import made_on, replaced, write_table

from tracerl.lifetime.record import WINDOW


def about_runs(runs: Sequence[Run]) -> str:
    """Say when and on what machine runs were made."""
    summaries = [run.folder / "summary.json" for run in runs if (run.folder / "summary.json").exists()]
    days = sorted({str(datetime.date.fromtimestamp(path.stat().st_mtime)) for path in summaries})
    machines = {
        path.read_text(encoding="utf-8").strip()
        for path in (run.folder / "machine.txt" for run in runs)
        if path.exists()
    }
    seeds = sorted({seed for run in runs for seed in run.seeds})
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "nothing ran"
    where = "; ".join(sorted(machines)) or "an unnamed machine"
    what = f"last 100: mean return of a seed's last {WINDOW} episodes"
    return f"{when}, {where}; seeds {seeds_in_words(seeds)}; {what}."


def measure(run: Run, name: str, jobs: int, threads: int) -> list[Life]:
    """Make a run, one of ``jobs`` at a time, where there is need to, and print a line per seed."""
    where = f"{made_on()}, {jobs} process{'es' if jobs > 1 else ''} at a time"
    error = carry_out(run, threads, where)
    summary = summary_of(run)
    lives = lives_of(run, summary, error)
    speed = summary["steps_per_second"] if summary is not None else None
    for life in lives:
        print(f"{name}, seed {life.seed}: {life_line(life, speed)}", flush=True)
    return lives


def measure_all(plan: Sequence[tuple[Line, list[Run]]], jobs: int) -> list[Measured]:
    """Make all runs, so many at a time, and print a report as soon as a line is done."""
    cores = len(os.sched_getaffinity(0))
    threads = max(1, cores // min(jobs, sum(len(runs) for _, runs in plan)))
    found = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            work = [
                (line, runs, [pool.submit(measure, run, line.name, jobs, threads) for run in runs])
                for line, runs in plan
            ]
            for line, runs, futures in work:
                found.append(gathered(line, runs, futures))
                print(report(found[-1]) + "\n", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def gathered(line: Line, runs: Sequence[Run], futures: Sequence[Future[list[Life]]]) -> Measured:
    """Put the runs of a line together."""
    lives = [life for future in futures for life in future.result()]
    summaries = [summary for summary in map(summary_of, runs) if summary and summary["status"] == "finished"]
    speeds = [summary["steps_per_second"] for summary in summaries]
    agent = next((summary["agent"] for summary in summaries), line.agent or "the default agent")
    return Measured(line, agent, int(float(runs[0].settings["steps"])), lives, speeds, len(runs[0].seeds))


def planned(arguments: argparse.Namespace) -> list[tuple[Line, list[Run]]]:
    """Return lines and runs that the command line asks for.

    Raises:
        ValueError: naming what cannot be used.
        OSError: the file of rows cannot be read.
    """
    seeds = parse_seeds(arguments.seeds)
    if arguments.rows is not None:
        rows = read_rows(arguments.rows, seeds)
    else:
        rows = [Row(env, env, seeds) for env in arguments.env.split(",")]
    agents = arguments.agents.split(",") if arguments.agents else []
    lines = lines_of(rows, agents, arguments.overrides)
    if arguments.write is not None:
        replaced("bench_learning", arguments.write, arguments.name)  # exits now rather than after hours
    return [(line, runs_of(line, arguments.out, arguments.together)) for line in lines]


def main() -> None:
    """Read the arguments, run every seed, print reports and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--env", default="CartPole", help="yamls of configs/env, with commas between them")
    which.add_argument("--rows", type=Path, help="file of rows")
    parser.add_argument("--seeds", default="0-9", help="0-9 or 0,3,7; of rows that name none")
    parser.add_argument("--agents", help="yamls of configs/agent, with commas between them, in place of the rows' own")
    parser.add_argument("--together", action="store_true", help="the seeds of a line in one process, in twins")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of all runs")
    parser.add_argument("--write", type=Path, help="file to put the table into")
    parser.add_argument("--name", default="learning", help="of the table in that file")
    parser.add_argument("overrides", nargs="*", help="settings for tracerl.run, such as steps=60000")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs must be 1 or more, got {arguments.jobs}")
    try:
        plan = planned(arguments)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    try:
        found = measure_all(plan, arguments.jobs)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is missing", file=sys.stderr)
        raise SystemExit(130) from None
    content = table(found, about_runs([run for _, runs in plan for run in runs]))
    if arguments.write is None:
        print(content)
    else:
        write_table("bench_learning", arguments.write, arguments.name, content)
    failed = sum(len(one.lives) - len(one.finals) for one in found)
    if failed:
        raise SystemExit(f"error: {failed} of {sum(len(one.lives) for one in found)} lives failed, as told above")


if __name__ == "__main__":
    main()
