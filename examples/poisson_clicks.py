"""Accumulate evidence: left and right clicks, a delay, then a choice of the side with more clicks.

A slow trace of the input sums the clicks and keeps the sum over the delay (encoder.memory_decay, one of the defaults).
The reward is given once, at the end.

python examples/poisson_clicks.py [STEPS]
"""

import sys
from collections import Counter

import tracerl


def main(steps: int = 50_000) -> float:
    """Learn for that many steps, 26 per episode; return the share of correct actions in the second half."""
    env = tracerl.make_env("PoissonClicks")
    agent = tracerl.make_agent(env, seed=0)
    run = tracerl.live(agent, env, steps, seed=0)
    asked, right, difference = Counter[int](), Counter[int](), 0.0
    for step in run:
        difference += step.observation[0] - step.observation[1]  # clicks on the left, clicks on the right
        if step.last:
            if run.record.step > steps / 2:
                asked[min(6, abs(round(difference)))] += 1
                right[min(6, abs(round(difference)))] += int(step.reward)
            difference = 0.0
        if run.record.step % max(1, steps // 5) == 0:
            print(f"step {run.record.step:6,}: {run.record.mean_return(partial=True):4.0%} of the last 100 were right")
    print("\nin the second half, by how many clicks one side had more:")
    for more in sorted(asked):
        share = right[more] / asked[more]
        print(f"  {more}{'+' if more == 6 else ' '} {share:4.0%} of {asked[more]:3} {'#' * round(40 * share)}")
    return right.total() / max(1, asked.total())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
