"""Balance a pole: the default agent, from its first step to a solved task.

python examples/cartpole.py [STEPS]
"""

import sys
from typing import Any

import tracerl


def report(record: tracerl.Record, agent: Any) -> None:
    """Print how long the last episodes lasted."""
    up = record.mean_return(20, partial=True)
    print(f"step {record.step:7,}: {record.episodes:4} episodes, the last 20 of {up:5.1f} steps")


def main(steps: int = 60_000) -> float:
    """Learn for that many env steps; return the mean return of its last 20 episodes (at best 500)."""
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, seed=0)
    callbacks = [tracerl.Every(max(1, steps // 10), report)]
    run = tracerl.live(agent, env, steps, seed=0, callbacks=callbacks, milestones=["w20>=195", "w20>=475"])
    record = run.finish()
    for milestone in record.milestones:
        reached = "not reached" if milestone.reached_at is None else f"at step {milestone.reached_at:,}"
        print(f"the mean of 20 episodes first came to {milestone.threshold:.0f}: {reached}")
    return record.mean_return(20, partial=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
