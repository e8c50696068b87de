"""The agent that learns nothing: the floor every other one is compared with."""

from copy import deepcopy
from typing import Any

from gymnasium import Space

from tracerl.agent import Action, Observation
from tracerl.lives import Lives


class RandomAgent:
    """Sample every action from the action space, whatever it is."""

    def __init__(self, observation_space: Space[Any], action_space: Space[Any], lives: Lives) -> None:
        """Seed a sampler of its own.

        Args:
            observation_space: not used.
            action_space: any Gymnasium space.
            lives: whose (one) seed starts the sampler.
        """
        self._space = deepcopy(action_space)  # its sampler is this agent's own
        self._space.seed(lives.seeds[0])

    def start(self, observation: Observation) -> Action:
        """Return a random action."""
        return self._space.sample()

    def step(self, reward: float, observation: Observation) -> Action:
        """Return a random action."""
        return self._space.sample()

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Do nothing."""

    def diagnostics(self) -> dict[str, float]:
        """Return nothing: there is nothing to watch."""
        return {}
