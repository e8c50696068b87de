"""What lives are lived in: one env, an env per life, or compiled twins; each with the loop that goes with it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gymnasium as gym
from gymnasium.vector import VectorEnv

from tracerl.agent import Agent, ManyAgents
from tracerl.lifetime import Ending, Monitor, live
from tracerl.lifetimes import live_many
from tracerl.stats import Record, Tally


class World(Protocol):
    """Where the lives of a run take place.

    Attributes:
        observation_space: of one life.
        action_space: of one life.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    def prepare(self, agent: Any) -> None:
        """Let the agent compile what it will need here, before a clock runs.

        Raises:
            ConfigError: the agent cannot live here.
        """
        ...

    def live(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        monitors: Sequence[Monitor],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Live ``steps`` env steps in each life; see ``lifetime.live``."""
        ...

    def close(self) -> None:
        """Let go of the envs."""
        ...


def compile_verbs(agent: Any) -> None:
    """Let an agent with a fused engine compile what its verbs call."""
    if getattr(agent, "fused", None) is not None:
        agent.fused.compile_verbs()


class SingleWorld:
    """One env, for one life."""

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Take an env and the seed of its first reset."""
        self._env, self._seed = env, seed
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def prepare(self, agent: Agent) -> None:
        """Compile the verbs; see ``World.prepare``."""
        compile_verbs(agent)

    def live(
        self,
        agent: Agent,
        steps: int,
        records: Sequence[Record],
        monitors: Sequence[Monitor],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Live the life; see ``World.live``."""
        return live(agent, self._env, steps, self._seed, records[0], monitors, interrupted)

    def close(self) -> None:
        """Close the env."""
        self._env.close()


class VectorWorld:
    """An env per life, in one vector env."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], seeds: Sequence[int]) -> None:
        """Take the envs and the seeds of their first resets."""
        self._envs, self._seeds = envs, seeds
        self.observation_space, self.action_space = envs.single_observation_space, envs.single_action_space

    def prepare(self, agent: ManyAgents) -> None:
        """Compile the verbs; see ``World.prepare``."""
        compile_verbs(agent)

    def live(
        self,
        agent: ManyAgents,
        steps: int,
        records: Sequence[Record],
        monitors: Sequence[Monitor],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Live the lives together; see ``World.live``."""
        return live_many(agent, self._envs, steps, self._seeds, Tally(records), monitors, interrupted)

    def close(self) -> None:
        """Close the envs."""
        try:
            self._envs.close()
        finally:
            self._envs.closed = True  # or they would try again when they are deleted
