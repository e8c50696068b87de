"""Returns of a run's frozen agents: sampled actions beside greedy ones.

python scripts/greedy_returns.py runs/study/final/reflect/HopperLong/seeds200-209 --lifetimes 0-4 --episodes 6

Where greedy actions return much more, the noise of the policy costs that much; its entropy, or the deviations of a
continuous action, are printed beside it. Each lifetime continues from the run's last checkpoint, twice, in an env reset
with one seed; running scales and membranes are still updated.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from seeds import parse_seeds

from tracerl import live, load
from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Gaussian
from tracerl.runs.command_line import errors_in_one_line
from tracerl.runs.saved_run import SavedRun


class Frozen(NamedTuple):
    """Results of a frozen agent. Beyond 1 or -1, a mean is beyond a bound."""

    returns: list[float]  # of its episodes
    entropy: float  # of its policy, in nats, mean over env steps
    means: list[float]  # of the numbers of a continuous action, in halves of their ranges, mean over env steps
    deviations: list[float]  # of the same numbers


def run_frozen(run: SavedRun, lifetime: int, episodes: int, greedy: bool) -> Frozen:
    """Run up to 100 episodes with a frozen agent of one lifetime, with sampled or greedy actions."""
    agent, env, entropies, moments = run.agent(lifetime), run.env(), [], []
    agent.freeze()
    if greedy:
        agent.act_greedily()
    head, frozen = agent.head, live(agent, env, sys.maxsize)
    while frozen.record.episodes < episodes:
        next(frozen)
        entropies.append(float(agent.entropy))
        moments.append((head.mean.tolist(), head.std.tolist()) if isinstance(head, Gaussian) else ([], []))
    env.close()
    means, deviations = ([statistics.mean(number) for number in zip(*part, strict=True)] for part in zip(*moments))
    return Frozen(list(frozen.record.returns), statistics.mean(entropies), means, deviations)


def compare(run: SavedRun, lifetimes: Sequence[int], episodes: int) -> None:
    """Print a line per lifetime."""
    for lifetime in lifetimes:
        sampled, greedy = (run_frozen(run, lifetime, episodes, each) for each in (False, True))
        earned = f"sampled {statistics.mean(sampled.returns):,.2f}, greedy {statistics.mean(greedy.returns):,.2f}"
        gaussians = zip(sampled.means, sampled.deviations, strict=True)
        spread = "".join(f", mean {mean:.2f} deviation {deviation:.2f}" for mean, deviation in gaussians)
        print(f"lifetime {lifetime}: {earned}, entropy {sampled.entropy:.3f}{spread}", flush=True)


def main() -> None:
    """Read the arguments; print a line per lifetime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run with a checkpoint")
    parser.add_argument("--lifetimes", type=parse_seeds, default=(0,), help="0-4 or 0,3,7")
    parser.add_argument("--episodes", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with errors_in_one_line(ConfigError):
        compare(load(arguments.run), arguments.lifetimes, arguments.episodes)


if __name__ == "__main__":
    main()
