"""How long an evaluation takes with one episode after another and with many at once, in one run.

taskset -c 0 python scripts/bench_evaluate.py --envs CartPole LunarLander MinAtarBreakout --episodes 100

The agent learns for ``--steps`` env steps first. Both evaluations have the same results, which is checked; the time
includes copies and envs. Each is timed ``--repeats`` times in turn, and the shortest times are compared.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

import tracerl
from tracerl.lifetime.evaluation import AT_ONCE
from tracerl.runs.api import checked_maker, env_spec


class Timed(NamedTuple):
    """What was measured in one env."""

    env: str
    steps: int  # env steps of an evaluation
    seconds: list[float]  # of one episode after another, and of many at once


def measure(name: str, episodes: int, steps: int, at_once: int, repeats: int, engine: str = "fused") -> Timed:
    """Time both evaluations of an agent that has learned for ``steps`` env steps."""
    make = checked_maker(env_spec(name))
    env = make()
    agent = tracerl.make_agent(env, settings={"engine": engine})
    tracerl.live(agent, env, steps).finish()
    seconds, found = [float("inf")] * 2, []
    for _ in range(repeats):
        for i, n in enumerate((1, at_once)):
            began = time.perf_counter()
            found.append(tracerl.evaluate(agent, make, episodes, at_once=n))
            seconds[i] = min(seconds[i], time.perf_counter() - began)
    if any(each != found[0] for each in found):
        raise SystemExit(f"{name}: the results depend on how many episodes run at once")
    return Timed(name, found[0].steps, seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and print a row for each env."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="+", default=["CartPole", "LunarLander", "MinAtarBreakout"])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000, help="that the agent learns for")
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f"| env | env steps | one after another, s | {given.at_once} at once, s | ratio |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    for name in given.envs:
        row = measure(name, given.episodes, given.steps, given.at_once, given.repeats)
        one, many = row.seconds
        print(f"| {row.env} | {row.steps:,} | {one:.2f} | {many:.2f} | {one / many:.2f} |", flush=True)


if __name__ == "__main__":
    main()
