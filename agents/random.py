"""The random agent: it learns nothing and is the lower reference for the other agents."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config.moved import previous_method
from tracerl.lifetime.arguments import check_state, origin_of
from tracerl.lifetime.protocol import Action, AgentOrigin, Observation
from tracerl.nn.generators import generators, set_words, words
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.state_dict import check_names

_PURPOSE = 1  # makes the sampler independent of the env, which the same seed initialises


class RandomAgent:
    """Sample every action from the action space, of any kind.

    Attributes:
        built_from: settings, spaces and seeds, for an agent that ``tracerl.make_agent`` or a run made.
    """

    built_from: AgentOrigin | None = None

    def __init__(self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes) -> None:
        """Seed the agent's own sampler.

        Args:
            observation_space: not used.
            action_space: any Gymnasium space.
            lifetimes: a single lifetime; its seed initialises the sampler.
        """
        self._space = deepcopy(action_space)  # the copy has its own sampler
        # Not the lifetime's seed itself: the env uses that one, and equal draws would correlate with its contexts.
        self._space.seed(int(np.random.SeedSequence((lifetimes.seeds[0], _PURPOSE)).generate_state(1)[0]))

    def start(self, observation: Observation) -> Action:
        """Return a random action."""
        return self._space.sample()

    def step(self, reward: float, observation: Observation) -> Action:
        """Return a random action."""
        return self._space.sample()

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Do nothing."""

    def capture(self) -> dict[str, Tensor]:
        """Return the states of the sampler's generators; see ``Stateful.capture``."""
        return {f"sampler.{i}": torch.from_numpy(words(each)) for i, each in enumerate(generators(self._space))}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the states that ``capture`` returned; see ``Stateful.restore``."""
        check_state(state)
        samplers = {f"sampler.{i}": generator for i, generator in enumerate(generators(self._space))}
        check_names(samplers, state)
        for name, generator in samplers.items():
            set_words(generator, state[name].numpy())

    def save(self, path: str | Path) -> None:
        """Write settings, spaces and state to one file; see ``PackedAgent.save``."""
        origin_of(self).write(self, path)

    def reset_episode(self) -> None:
        """Do nothing: the agent has no state of an episode; see ``Stateful.reset_episode``."""

    abandon = previous_method("abandon", "reset_episode")

    def diagnostics(self) -> dict[str, float]:
        """Return an empty mapping: the agent has no quantities to log."""
        return {}
