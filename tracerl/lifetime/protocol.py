"""The protocols between agents and their lifetimes: three methods for one lifetime, one call for many."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tracerl.config.moved import keep_names

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

Observation = np.ndarray[Any, np.dtype[Any]]
Action = Any


class StepType(IntEnum):
    """What an env step is to one lifetime of many, as dm_env names them; START and STEP are the previous names."""

    SKIP = 0  # no step: the lifetime is left as it is
    FIRST = 1  # an episode began
    MID = 2  # the last action led to a reward and an observation
    TERMINATED = 3  # the same, and the episode ended by the task's own rules
    TRUNCATED = 4  # the same, and the episode was cut off
    START = FIRST
    STEP = MID


@runtime_checkable
class AgentMethods(Protocol):
    """What the lifetime loop asks of an agent: RL-Glue's three methods (Tanner and White 2009, JMLR 10, 2133-2136).

    ``start`` comes first, then ``step`` or ``end`` after each action, and ``start`` after an ``end``. Each observation
    is passed once.
    """

    def start(self, observation: Observation) -> Action:
        """Begin an episode: take its first observation and return the first action."""
        ...

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from the reward and the next observation of the last action, and return the next action."""
        ...

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition of an episode and clear the state of the episode.

        Args:
            reward: of the last action.
            observation: the final one.
            terminated: true: the task ended, so the value of the final observation is 0. False: the episode was cut
                off, such as by a time limit, and the agent bootstraps from its estimate of that value.
        """
        ...


@runtime_checkable
class Agent(AgentMethods, Protocol):
    """What a run asks of an agent: the three methods, and diagnostics.

    ``tracerl.agents`` holds the agents; a new one is a class with these methods and a yaml. One whose attribute
    ``critic`` is None learns from rewards alone: a run warns where the first 1,000 of them are equal.
    """

    def diagnostics(self) -> dict[str, float]:
        """Return the numbers to plot by TensorBoard tag, averaged since the last call."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """What a checkpoint asks of an agent of one lifetime or of many. An agent without it is not resumed."""

    def capture(self) -> dict[str, "Tensor"]:
        """Return the whole state of the agent by name; the tensors may share its memory."""
        ...

    def restore(self, state: Mapping[str, "Tensor"]) -> None:
        """Restore, bit-identically, the state that ``capture`` returned, into an agent built with the same settings.

        Raises:
            ValueError: naming what is missing, left over, or of another shape or dtype.
        """
        ...

    def abandon(self) -> None:
        """Clear the state of the running episodes without learning, where their envs are not resumed."""
        ...


class MadeAgent(Agent, Stateful, Protocol):
    """What ``tracerl.make_agent`` makes: an agent that can be saved in a file."""

    def save(self, path: "str | Path") -> None:
        """Write settings, spaces and state to one file, which ``tracerl.load_agent`` reads."""
        ...


@runtime_checkable
class ManyAgents(Protocol):
    """What the loop over many lifetimes asks: independent agents, each with its own lifetime, that step together.

    An agent class with this method is built once for all lifetimes. One without it is built once per lifetime
    (``tracerl.lifetime.independent_agents``).
    """

    def advance(
        self,
        step_types: np.ndarray[Any, Any],
        rewards: np.ndarray[Any, Any],
        observations: Observation,
    ) -> np.ndarray[Any, Any]:
        """Take one step per lifetime.

        Args:
            step_types: of each lifetime, int8, [lifetimes]; see ``StepType``.
            rewards: of the last actions, float64, [lifetimes]; not read where an episode began.
            observations: [lifetimes, ...]; not read where a lifetime is skipped.

        Returns:
            The newest action of each lifetime, [lifetimes, ...]; valid until the next call.
        """
        ...

    def diagnostics(self) -> dict[str, float]:
        """Return the numbers to plot by TensorBoard tag, averaged over the lifetimes since the last call."""
        ...


class Origin(Protocol):
    """What an agent was built from: settings, spaces and seeds, with which it is saved."""

    def write(self, agent: Any, path: "str | Path") -> None:
        """Save the agent in a file that ``tracerl.load_agent`` reads.

        Raises:
            ConfigError: one of its settings or spaces cannot be written.
            OSError: the disk is full, read-only or gone; the file is as it was.
        """
        ...

    def reduce(self, agent: Any) -> tuple[Any, ...]:
        """Return what pickle keeps of the agent, as ``__reduce__`` does."""
        ...


keep_names(globals(), Verb="StepType", Verbs="AgentMethods")
