"""An env of your own, catch, and a view of the agent's state. Any Gymnasium env will do.

python examples/own_env.py [STEPS]
"""

import sys
from typing import Any

import gymnasium as gym
import numpy as np

import tracerl
from tracerl.nn.views import view

WIDTH, HEIGHT = 5, 6


class Catch(gym.Env[np.ndarray[Any, Any], np.int64]):
    """A ball falls one row per step. Actions move the paddle or keep it. The reward is 1 for a catch, -1 for a miss."""

    observation_space = gym.spaces.Box(0, 1, (2 * WIDTH + 1,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Drop a ball in a random column."""
        super().reset(seed=seed)
        self.ball, self.paddle, self.row = int(self.np_random.integers(WIDTH)), WIDTH // 2, 0
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        """Move the paddle and let the ball fall."""
        self.paddle = min(WIDTH - 1, max(0, self.paddle + int(action) - 1))
        self.row += 1
        over = self.row == HEIGHT
        reward = 0.0 if not over else 1.0 if self.paddle == self.ball else -1.0
        return self._seen(), reward, over, False, {}

    def _seen(self) -> np.ndarray[Any, Any]:
        columns = np.eye(WIDTH, dtype=np.float32)
        height = np.array([self.row / HEIGHT], np.float32)
        return np.concatenate([columns[self.ball], columns[self.paddle], height])


def main(steps: int = 20_000) -> float:
    """Learn for that many steps; return the mean return of the last 100 episodes (at best 1, by chance about -.5)."""
    env = tracerl.make_env(Catch())
    agent = tracerl.make_agent(env, seed=0)
    run = tracerl.live(agent, env, steps, seed=0, milestones=["w100>=0.9"])
    for step in run:
        if run.record.step % max(1, steps // 5) == 0:
            now = view(agent)
            spiking = now.layers[0].spikes.mean()
            caught = f"mean return {run.record.mean_return(partial=True):5.2f}"
            print(f"step {run.record.step:6,}: {caught}; {spiking:3.0%} of neurons spike; V = {now.value:.2f}")
    print(f"nine in ten caught by step {run.record.milestones[0].reached_at}")
    return run.record.mean_return(partial=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
