"""Compare the learning rules on equal terms: agents x envs, lives in one process each, and the table of docs/rules.md.

python scripts/compare_rules.py                                   # everything; about an hour on two cores
python scripts/compare_rules.py --agents reflect rstdp --envs ContextualBandit
python scripts/compare_rules.py --write docs/rules.md             # from what is in the folder; runs what is missing

Every cell is one run of `python -m tracerl.run` with `lifetimes=20` (seeds 0-19) and the agent's own defaults. The
score is the interquartile mean over lives of the mean return of each life's last 100 episodes, with its 95% bootstrap
interval, both from the run's summary.json. State is what a life of the agent remembers: bytes of parameters, traces and
statistics, counted on CartPole.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from doc_tables import write_table

ENVS = {  # env: env steps per life
    "ContextualBandit": 5_000,
    "DelayedBandit": 15_000,
    "CartPole": 60_000,
    "Acrobot": 40_000,
}
AGENTS: dict[str, tuple[str, ...]] = {  # name in the table: overrides
    "reflect": ("agent=reflect",),
    "reflect, torch engine": ("agent=reflect", "engine=torch"),
    "eprop": ("agent=eprop",),
    "eprop, random feedback": ("agent=eprop", "network.feedback=random"),
    "reflect_classic": ("agent=reflect_classic",),
    "reflect_classic, corrected": (
        "agent=reflect_classic",
        "agent.network.exact_trace_decay=true",
        "agent.network.log_prob_signal=true",
        "agent.network.zero_rate_at_rest=true",
        "agent.paired_traces=true",
    ),
    "rstdp": ("agent=rstdp",),
    "random": ("agent=random",),
}


def run_cell(agent: str, env: str, lives: int, folder: Path) -> dict[str, Any]:
    """Return the summary of one run, which is made where the folder does not have it."""
    path = folder / agent.replace(", ", "-").replace(" ", "-") / env / "summary.json"
    if not path.exists():
        command = [sys.executable, "-m", "tracerl.run", *AGENTS[agent], f"env={env}", f"steps={ENVS[env]}"]
        command += [f"lifetimes={lives}", "threads=1", "logger=none", f"hydra.run.dir={path.parent}"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary


def state_bytes(agent: str) -> int | None:
    """Return what one life of an agent remembers on CartPole, in bytes; None where it keeps no tensors."""
    import gymnasium as gym
    import hydra

    from tracerl.config.hydra_compat import configs, instantiate
    from tracerl.nn.lifetimes import Lives

    env = gym.make("CartPole-v1")
    with configs("tracerl.configs"):
        config = hydra.compose("run", list(AGENTS[agent])).agent
    make = instantiate(config, _convert_="all", _partial_=True)
    memory = getattr(make(env.observation_space, env.action_space, Lives(0)), "memory", None)
    if memory is None:
        return None
    rows = {memory.real.data_ptr(): memory.real, memory.wide.data_ptr(): memory.wide}
    return sum(int(row.numel() * row.element_size()) for row in rows.values())


def cell(summary: dict[str, Any]) -> str:
    """Return a score with its interval."""
    found = summary["return_last100"]
    digits = 2 if abs(found["iqm"]) < 10 else 1
    return f"{found['iqm']:.{digits}f} [{found['ci_low']:.{digits}f}, {found['ci_high']:.{digits}f}]"


def table(agents: Sequence[str], envs: Sequence[str], lives: int, folder: Path, jobs: int) -> str:
    """Run what is missing and return a markdown table."""
    with ThreadPoolExecutor(jobs) as pool:
        cells = {(agent, env): pool.submit(run_cell, agent, env, lives, folder) for env in envs for agent in agents}
    lines = [
        f"| agent | {' | '.join(f'{env}, {ENVS[env]:,} steps' for env in envs)} | steps/s | state of a life, bytes |",
        "|---" * (len(envs) + 3) + "|",
    ]
    for agent in agents:
        summaries = [cells[agent, env].result() for env in envs]
        speed, size = summaries[-1]["steps_per_second"], state_bytes(agent)
        scores = " | ".join(cell(summary) for summary in summaries)
        lines.append(f"| {agent} | {scores} | {speed:,.0f} | {'-' if size is None else f'{size:,}'} |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--envs", nargs="+", choices=ENVS, default=list(ENVS))
    parser.add_argument("--lives", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs") / "rules")
    parser.add_argument("--write", type=Path, help="markdown file with <!-- compare_rules agents --> in it")
    arguments = parser.parse_args()
    found = table(arguments.agents, arguments.envs, arguments.lives, arguments.out.resolve(), arguments.jobs)
    if arguments.write is None:
        print(found)
        return
    write_table("compare_rules", arguments.write, "agents", found)


if __name__ == "__main__":
    main()
