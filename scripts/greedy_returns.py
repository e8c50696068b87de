"""What the agents of a run earn once they learn no more: sampled actions beside greedy ones.

python scripts/greedy_returns.py runs/study/final/reflect/HopperLong/seeds200-209 --lives 0-4 --episodes 6

Where greedy ones earn much more, the policy has found what to do and still draws something else: its entropy, or the
deviations of a continuous action, say how much. Each life goes on from the run's last checkpoint, frozen, twice through
the same episodes' starts; running scales and membranes go on as in the life.
"""

import argparse
import statistics
from typing import Any

import torch
from bench_rows import parse_seeds

from tracerl import load
from tracerl.runs import SavedRun


def returns_of(run: SavedRun, life: int, episodes: int, greedy: bool) -> tuple[list[float], float]:
    """Return what a life earns in each of some episodes, frozen, and the mean entropy of its policy, in nats.

    Args:
        run: with a checkpoint.
        life: number among the run's lives.
        episodes: how many.
        greedy: take the likeliest action in place of a sampled one.
    """
    agent, env, earned, entropies = run.agent(life), run.env(), [], []
    agent.freeze()
    if greedy:
        agent.act_greedily()
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        action, total, over = agent.start(observation), 0.0, False
        while not over:
            entropies.append(float(agent.entropy))
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
            if over:
                agent.end(reward, observation, terminated)
            else:
                action = agent.step(reward, observation)
        earned.append(total)
    env.close()
    return earned, statistics.mean(entropies)


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
        (sampled, entropy), (greedy, _) = (returns_of(run, life, arguments.episodes, each) for each in (False, True))
        means = f"sampled {statistics.mean(sampled):,.2f}, greedy {statistics.mean(greedy):,.2f}"
        print(f"life {life}: {means}, entropy {entropy:.3f}", flush=True)


if __name__ == "__main__":
    main()
