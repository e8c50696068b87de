"""What the agents of a run earn once they learn no more: sampled actions beside greedy ones.

python scripts/greedy_returns.py runs/study/final/reflect/HopperLong/seeds200-209 --lives 0-4 --episodes 6

Where greedy ones earn much more, the policy has found what to do and still draws something else: its entropy, or the
deviations of a continuous action, say how much. Each life goes on from the run's last checkpoint, frozen, once so and
once so, its env begun with one seed; running scales and membranes go on as in the life.
"""

import argparse
import statistics
import sys
from typing import Any, NamedTuple

import torch
from seeds import parse_seeds

from tracerl import live, load
from tracerl.nn.heads import Gaussian
from tracerl.runs.saved_run import SavedRun


class Frozen(NamedTuple):
    """What a life did once it learned no more.

    Attributes:
        returns: of its episodes.
        entropy: of its policy, in nats, a mean over env steps.
        means: of the numbers of a continuous action, from the middle of their ranges in halves of them, likewise; of
            other actions none. Beyond 1 the middle of a bell is beyond a bound.
        deviations: of the same numbers.
    """

    returns: list[float]
    entropy: float
    means: list[float]
    deviations: list[float]


def live_frozen(run: SavedRun, life: int, episodes: int, greedy: bool) -> Frozen:
    """Let a life go on through some episodes, frozen.

    Args:
        run: with a checkpoint.
        life: number among the run's lives.
        episodes: how many, 100 at most.
        greedy: take the likeliest action in place of a sampled one.
    """
    agent, env, entropies, bells = run.agent(life), run.env(), [], []
    agent.freeze()
    if greedy:
        agent.act_greedily()
    head, frozen = agent.head, live(agent, env, sys.maxsize)
    while frozen.record.episodes < episodes:
        next(frozen)
        entropies.append(float(agent.entropy))
        bells.append((head.mean.tolist(), head.std.tolist()) if isinstance(head, Gaussian) else ([], []))
    env.close()
    means, deviations = ([statistics.mean(number) for number in zip(*part, strict=True)] for part in zip(*bells))
    return Frozen(list(frozen.record.returns), statistics.mean(entropies), means, deviations)


def main() -> None:
    """Read the arguments; print a line per life."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run with a checkpoint")
    parser.add_argument("--lives", type=parse_seeds, default=(0,), help="0-4 or 0,3,7")
    parser.add_argument("--episodes", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run: Any = load(arguments.run)
    for life in arguments.lives:
        sampled, greedy = (live_frozen(run, life, arguments.episodes, each) for each in (False, True))
        earned = f"sampled {statistics.mean(sampled.returns):,.2f}, greedy {statistics.mean(greedy.returns):,.2f}"
        bells = zip(sampled.means, sampled.deviations, strict=True)
        spread = "".join(f", mean {mean:.2f} deviation {deviation:.2f}" for mean, deviation in bells)
        print(f"life {life}: {earned}, entropy {sampled.entropy:.3f}{spread}", flush=True)


if __name__ == "__main__":
    main()
