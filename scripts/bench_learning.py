"""Run one env over many seeds in parallel processes; print the milestones and final returns of every seed.

python scripts/bench_learning.py --env CartPole --seeds 0-9
python scripts/bench_learning.py --env Acrobot --seeds 0-4 agent.entropy=0.05     # any override of tracerl.run

Each seed is one ``python -m tracerl.run`` in a process of its own, in ``--out``/seed<N>. A finished one is not run
again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Summary = dict[str, Any]


def parse_seeds(text: str) -> list[int]:
    """Read ``0-9`` or ``0,3,7``."""
    if "-" in text:
        first, last = (int(part) for part in text.split("-"))
        return list(range(first, last + 1))
    return [int(part) for part in text.split(",")]


def run_seed(env: str, seed: int, out: Path, overrides: list[str]) -> Summary:
    """Live one life in a process of its own and return its summary."""
    folder = out / f"seed{seed}"
    path = folder / "summary.json"
    if not path.exists() or json.loads(path.read_text())["status"] != "finished":
        command = [sys.executable, "-m", "tracerl.run", f"env={env}", f"seed={seed}", f"hydra.run.dir={folder}"]
        quiet = subprocess.run([*command, *overrides], capture_output=True, text=True)
        if quiet.returncode != 0:
            raise SystemExit(f"seed {seed} failed:\n{quiet.stderr}")
    summary: Summary = json.loads(path.read_text())
    print(f"seed {seed}: {row(summary)}", flush=True)
    return summary


def row(summary: Summary) -> str:
    """One line about one seed."""
    reached = ", ".join(f"{name} {steps[0]}" for name, steps in summary["milestones"].items())
    return f"final-100 {summary['return_last100']['mean']:.1f}; {reached}; {summary['steps_per_second']:,.0f} steps/s"


def report(summaries: list[Summary]) -> None:
    """Print medians and counts over the seeds, those that never reach a milestone counting as latest."""
    print(f"\n{summaries[0]['env']}, {len(summaries)} seeds, {summaries[0]['steps']:,} steps each")
    for name in summaries[0]["milestones"]:
        steps = [summary["milestones"][name][0] for summary in summaries]
        hits = [step for step in steps if step is not None]
        middle = statistics.median_low([float("inf") if step is None else step for step in steps])
        print(f"{name}: {len(hits)}/{len(steps)} seeds, median {'-' if middle == float('inf') else f'{middle:,}'}")
    final = [summary["return_last100"]["mean"] for summary in summaries]
    print(f"final-100: mean {statistics.mean(final):.1f}, minimum {min(final):.1f}")


def main() -> None:
    """Read the arguments, run every seed, print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole")
    parser.add_argument("--seeds", type=parse_seeds, default=list(range(10)), help="0-9 or 0,3,7")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--out", type=Path, help="folder of the runs (default: runs/bench/<env>)")
    parser.add_argument("overrides", nargs="*", help="settings for tracerl.run, such as steps=60000")
    arguments = parser.parse_args()
    out = arguments.out or Path("runs") / "bench" / arguments.env
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(run_seed, arguments.env, s, out, arguments.overrides) for s in arguments.seeds]
        report([job.result() for job in jobs])


if __name__ == "__main__":
    main()
