"""The protocols of agents: three methods for one lifetime, one method for many."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from tracerl.config.moved import current_method, keep_names

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

Observation = np.ndarray[Any, np.dtype[Any]]
Action = Any


class StepType(IntEnum):
    """The kind of an env step, for one lifetime of many, as in dm_env. START and STEP are the previous names."""

    SKIP = 0  # no step: the lifetime does not change
    FIRST = 1  # an episode began
    MID = 2  # the last action led to a reward and an observation
    TERMINATED = 3  # like MID, and the episode ended by the task's own rules
    TRUNCATED = 4  # like MID, and the episode was cut off
    START = FIRST
    STEP = MID


@runtime_checkable
class AgentMethods(Protocol):
    """The methods of an agent that the lifetime loop calls, as in RL-Glue (Tanner and White 2009, JMLR 10, 2133-2136).

    ``start`` comes first, then ``step`` or ``end`` after each action, and ``start`` after an ``end``. Each observation
    is passed once.
    """

    def start(self, observation: Observation) -> Action:
        """Begin an episode: take its first observation and return the first action."""

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from the reward and the next observation of the last action, and return the next action."""

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition of an episode and clear the state of the episode.

        Args:
            reward: reward of the last action.
            observation: final observation.
            terminated: True: the task ended, so the value of the final observation is 0. False: the episode was cut
                off, such as by a time limit, and the agent bootstraps from its estimate of that value.
        """


@runtime_checkable
class Agent(AgentMethods, Protocol):
    """An agent of a run: the three methods, and diagnostics, which may be left out.

    ``tracerl.agents`` has the agents. A new one is a class with these methods and a yaml. An agent whose attribute
    ``critic`` is None learns from rewards alone: a run warns if the first 1,000 of them are equal.
    """

    def diagnostics(self) -> dict[str, float]:
        """Return the numbers to plot by TensorBoard tag, averaged since the last call."""


STATE_METHODS = ("capture", "restore", "reset_episode")  # of ``Stateful``


@runtime_checkable
class Stateful(Protocol):
    """An agent, of one lifetime or of many, with checkpoints. An agent without these methods is not resumed."""

    def capture(self) -> dict[str, "Tensor"]:
        """Return the whole state of the agent by name; the tensors may share its memory."""

    def restore(self, state: Mapping[str, "Tensor"]) -> None:
        """Restore, bit-identically, the state that ``capture`` returned, in an agent built with the same settings.

        Raises:
            ValueError: naming an entry that is missing, unknown, or of another shape or dtype.
        """

    def reset_episode(self) -> None:
        """Clear the state of the running episodes without learning, for envs that are not resumed."""


@runtime_checkable
class _PreviousStateful(Protocol):
    """``Stateful`` with the previous name of ``reset_episode``."""

    def capture(self) -> dict[str, "Tensor"]: ...
    def restore(self, state: Mapping[str, "Tensor"]) -> None: ...
    def abandon(self) -> None: ...


def agents_of(agent: Any) -> list[Any]:
    """Return the agents that an ``IndependentAgents`` holds, one per lifetime; of any other agent a list of itself."""
    found: list[Any] = getattr(agent, "agents", [agent])
    return found


def is_stateful(agent: object) -> TypeGuard[Stateful]:
    """Return whether an agent has the methods of ``Stateful``, with ``abandon`` as ``reset_episode`` if need be."""
    return isinstance(agent, (Stateful, _PreviousStateful))


def missing_methods(agent: object) -> list[str]:
    """Return the names of the methods of ``Stateful`` that an agent does not have."""
    return [name for name in STATE_METHODS if not callable(getattr(agent, name, None))]


def reset_episode(agent: Stateful) -> None:
    """Clear the state of the running episodes of an agent; with a warning if it only has ``abandon`` for it."""
    current_method(agent, "reset_episode", "abandon")()


class MadeAgent(Agent, Stateful, Protocol):
    """An agent that ``tracerl.make_agent`` makes, which can be saved in a file."""

    def save(self, path: "str | Path") -> None:
        """Write settings, spaces and state to one file, which ``tracerl.load_agent`` reads."""


@runtime_checkable
class ManyAgents(Protocol):
    """Independent agents, each with its own lifetime, that step together.

    An agent class with this method is built once for all lifetimes. Another class is built once per lifetime
    (``tracerl.lifetime.independent_agents``).
    """

    def advance(
        self, step_types: np.ndarray[Any, Any], rewards: np.ndarray[Any, Any], observations: Observation
    ) -> np.ndarray[Any, Any]:
        """Take one step per lifetime.

        Args:
            step_types: step type of each lifetime, int8, [lifetimes]; see ``StepType``.
            rewards: rewards of the last actions, float64, [lifetimes]; not read at the start of an episode.
            observations: [lifetimes, ...]; not read for a skipped lifetime.

        Returns:
            The newest action of each lifetime, [lifetimes, ...]; valid until the next call.
        """

    def diagnostics(self) -> dict[str, float]:
        """Return the numbers to plot by TensorBoard tag, averaged over the lifetimes since the last call."""


class AgentOrigin(Protocol):
    """The settings, spaces and seeds of an agent, with which it is saved."""

    def write(self, agent: Any, path: "str | Path") -> None:
        """Save the agent in a file that ``tracerl.load_agent`` reads.

        Raises:
            ConfigError: a setting or space cannot be written.
            OSError: the disk is full, read-only or gone; the file is unchanged.
        """

    def copies(self, agent: Any, n: int) -> Any:
        """Build an agent of ``n`` lifetimes, each with the state of an agent of one lifetime."""

    def reduce(self, agent: Any) -> tuple[Any, ...]:
        """Return the pickled form of the agent, as ``__reduce__`` does."""


keep_names(globals(), Verb="StepType", Verbs="AgentMethods", Origin="AgentOrigin")
