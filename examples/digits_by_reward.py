"""Classify handwritten digits by reward, then held-out images. Needs ``tracerl[digits]``.

python examples/digits_by_reward.py [STEPS]
"""

import sys
from typing import Any

import tracerl


def report(record: tracerl.Record, agent: Any) -> None:
    """Print the share of correct actions in the last 100 images."""
    print(f"{record.step:6,} images shown: {record.mean_return(partial=True):4.0%} of the last 100 were named right")


def main(steps: int = 30_000) -> float:
    """Train on that many images, one per step; return the accuracy on held-out images."""
    env = tracerl.make_env("Digits")
    agent = tracerl.make_agent(env, seed=0)
    tracerl.live(agent, env, steps, seed=0, callbacks=[tracerl.Every(max(1, steps // 10), report)]).finish()

    # The same agent in the readable engine, which can stop learning and take the most probable action.
    tested = tracerl.make_agent(env, settings={"engine": "torch"}, seed=0)
    tested.restore(agent.capture())
    tested.freeze()
    tested.act_greedily()
    held_out = tracerl.make_env("Digits", {"env.kwargs.split": "held_out"})
    right = [step.reward for step in tracerl.live(tested, held_out, min(steps, 500), seed=0)]
    share = sum(right) / len(right)
    print(f"of {len(right)} draws from held-out images: {share:.0%}")
    return share


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
