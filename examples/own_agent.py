"""An agent of your own: three methods. This one keeps a table of action values.

python examples/own_agent.py [STEPS]
"""

import sys
from typing import Any

import numpy as np

import tracerl


class Table:
    """Sarsa (Sutton and Barto 2018, section 6.4) with a table, for one-hot observations."""

    def __init__(self, n_states: int, n_actions: int, seed: int = 0) -> None:
        """Start with all values 0."""
        self.values = np.zeros((n_states, n_actions))
        self.random = np.random.default_rng(seed)

    def start(self, observation: np.ndarray[Any, Any]) -> int:
        """Start an episode: store the state and act."""
        self.state, self.action = int(observation.argmax()), 0
        if self.random.random() < 0.05 or not self.values[self.state].any():
            self.action = int(self.random.integers(self.values.shape[1]))
        else:
            self.action = int(self.values[self.state].argmax())
        return self.action

    def step(self, reward: float, observation: np.ndarray[Any, Any]) -> int:
        """Learn from the last step, then act on the new state."""
        state, action = self.state, self.action
        self.start(observation)
        self._learn(state, action, reward + 0.99 * float(self.values[self.state, self.action]))
        return self.action

    def end(self, reward: float, observation: np.ndarray[Any, Any], terminated: bool) -> None:
        """Learn from the last step of an episode; bootstrap if it was truncated."""
        beyond = 0.0 if terminated else 0.99 * float(self.values[int(observation.argmax())].max())
        self._learn(self.state, self.action, reward + beyond)

    def _learn(self, state: int, action: int, target: float) -> None:
        self.values[state, action] += 0.2 * (target - self.values[state, action])


def main(steps: int = 20_000) -> float:
    """Learn FrozenLake for that many steps; return the share of the last 100 episodes at the goal (at best 1)."""
    env = tracerl.make_env("FrozenLake-v1", {"env.kwargs.is_slippery": False})
    mine = Table(n_states=16, n_actions=4)
    crossed = 0.0
    agents: dict[str, tracerl.AgentMethods] = {"the default agent": tracerl.make_agent(env), "the table": mine}
    for name, agent in agents.items():
        record = tracerl.live(agent, env, steps, milestones=["w100>=0.9"]).finish()
        crossed, first = record.mean_return(partial=True), record.milestones[0].reached_at
        print(f"{name}: {crossed:.0%} of the last 100 episodes reached the goal; nine in ten by step {first}")
    print(mine.values.max(-1).reshape(4, 4).round(2))
    return crossed


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
