"""The protocol between an agent and its life: three verbs."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

Observation = np.ndarray[Any, np.dtype[Any]]
Action = Any


@runtime_checkable
class Agent(Protocol):
    """What the lifetime loop asks of an agent: RL-Glue's three verbs (Tanner and White 2009, JMLR 10, 2133-2136).

    A life is start, then step or end after each action, and start again after an end. Each observation is handed
    over once. ``tracerl.agents`` holds the agents; a new one is a class with these methods and a yaml.
    """

    def start(self, observation: Observation) -> Action:
        """Begin an episode: see its first observation and return the first action."""
        ...

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from the last action's reward and what it led to, and return the next action."""
        ...

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition of an episode and clear what belongs to it.

        Args:
            reward: of the last action.
            observation: the final one.
            terminated: true: the episode ended by the task's own rules and nothing follows, the value of the final
                observation is 0. False: it was cut off (a time limit) and its value is what the agent expects.
        """
        ...

    def diagnostics(self) -> dict[str, float]:
        """Return what is worth plotting, by TensorBoard tag, averaged since the last call."""
        ...
