"""How long one step of an agent takes in a control loop: percentiles over many steps, and how long saving it takes.

python scripts/bench_latency.py --inputs 4 100 --steps 100000 --period 0.001

Each step learns from a reward and a new observation, both drawn before the clock runs, and chooses one of two actions.
The first thousand steps are not counted. Times are in microseconds. The longest depend on what else the machine does:
on Linux, `chrt -f 50` gives the loop priority. A loop of that priority must sleep between its steps, or the kernel
holds it up for a twentieth of each second.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

import tracerl

PERCENTILES = (50, 99, 99.9, 100)
WARM_UP = 1000  # steps


class Latency(NamedTuple):
    """What was measured of one agent."""

    inputs: int  # numbers in an observation
    engine: str  # that computed the steps
    step: list[float]  # time of a step at each of ``PERCENTILES``, in microseconds
    save: float  # median time of ``agent.save``, in microseconds


def measure(inputs: int, steps: int, settings: Mapping[str, Any], period: float = 0.0) -> Latency:
    """Make an agent for observations of ``inputs`` numbers and time its steps, ``period`` seconds apart if above 0."""
    pair = spaces.Box(-np.inf, np.inf, (inputs,), np.float32), spaces.Discrete(2)
    agent = tracerl.make_agent(pair, settings=settings, seed=0)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(1000, inputs)).astype(np.float32)
    rewards = rng.normal(size=1000).tolist()
    agent.start(observations[0])
    took, due = np.zeros(WARM_UP + steps, np.int64), time.monotonic()
    for i in range(WARM_UP + steps):
        reward, observation = rewards[i % 1000], observations[i % 1000]
        if period:
            due += period
            time.sleep(max(0.0, due - time.monotonic()))
        began = time.perf_counter_ns()
        agent.step(reward, observation)
        took[i] = time.perf_counter_ns() - began
    percentiles = (np.percentile(took[WARM_UP:], PERCENTILES) / 1000).tolist()
    return Latency(inputs, agent.engine, percentiles, _save_time(agent))


def _save_time(agent: tracerl.OnlineAgent, times: int = 20) -> float:
    """Return the median time of saving an agent, until it is on the disk, in microseconds."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(times):
            began = time.perf_counter()
            agent.save(Path(folder) / "agent.safetensors")
            took.append(time.perf_counter() - began)
    return float(np.median(took)) * 1e6


def table(rows: Sequence[Latency]) -> list[str]:
    """Return the lines of a Markdown table."""
    heads = ["inputs", "engine", *(f"p{p:g}" for p in PERCENTILES[:-1]), "max", "save"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        numbers = [f"{number:,.1f}" for number in row.step] + [f"{row.save:,.0f}"]
        lines.append(f"| {row.inputs} | {row.engine} | {' | '.join(numbers)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and print a row for each number of inputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, nargs="+", default=[4, 100], help="numbers in an observation")
    parser.add_argument("--steps", type=int, default=100_000, help="to time, of each")
    parser.add_argument("--period", type=float, default=0.0, help="seconds from one step to the next")
    parser.add_argument("--engine", default="auto", help="torch, fused or auto")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128], help="neurons of each hidden layer")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    settings = {"engine": given.engine, "network.hidden": given.hidden}
    print(*table([measure(inputs, given.steps, settings, given.period) for inputs in given.inputs]), sep="\n")


if __name__ == "__main__":
    main()
