"""Run whole episodes with frozen agents, several at once, each from the same state with random numbers of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from tracerl.lifetime.independent_agents import take_step
from tracerl.lifetime.loop import Schedule, reset_env, step_env
from tracerl.lifetime.protocol import Action, AgentMethods, ManyAgents, StepType
from tracerl.lifetime.record import Record
from tracerl.nn.operations import Counted, OperationCounter, Operations
from tracerl.nn.packed_state import PackedState
from tracerl.nn.random import UniformStream

Array = np.ndarray[Any, Any]


def seeds_of(seed: int, episode: int) -> tuple[int, int]:
    """Return the seed of the env's reset and the 64 bits, as an int64, that set the random numbers of an episode."""
    words = np.random.SeedSequence((seed, episode)).generate_state(2, np.uint64)
    return int(words[0] >> np.uint64(32)), int(words[1].astype(np.int64))


class Copies(Protocol):
    """Frozen copies of an agent, one per env."""

    agent: Any

    def advance(self, step_types: Array, rewards: Array, observations: Sequence[Any]) -> Sequence[Action]:
        """Take a step with each copy; see ``ManyAgents.advance``. Returns the newest action of each."""


class OneCopy:
    """The only copy, an agent of one lifetime."""

    def __init__(self, agent: AgentMethods) -> None:
        self.agent = agent
        self._action: Action = None

    def advance(self, step_types: Array, rewards: Array, observations: Sequence[Any]) -> Sequence[Action]:
        """Take a step; see ``Copies.advance``."""
        came = int(step_types[0]), float(rewards[0]), observations[0]
        self._action = take_step(self.agent, *came, self._action)
        return [self._action]


class ManyCopies:
    """Copies that are the lifetimes of one agent."""

    def __init__(self, agent: ManyAgents) -> None:
        self.agent = agent

    def advance(self, step_types: Array, rewards: Array, observations: Sequence[Any]) -> Sequence[Action]:
        """Take a step with each copy; see ``Copies.advance``."""
        actions = self.agent.advance(step_types, rewards, np.stack(observations))
        return actions.tolist() if actions.ndim == 1 else list(actions)


class InitialState:
    """The packed state of the copies before an episode; nothing for agents without one, which go on as they are."""

    def __init__(self, agent: Any) -> None:
        memory = getattr(agent, "memory", None)
        self._rows = []
        if isinstance(memory, PackedState):
            both = [tensor.reshape(-1, tensor.shape[-1]) for tensor in (memory.real, memory.wide)]
            self._rows = [(rows, rows[0].clone()) for rows in both]
            streams = [module for module in agent.modules() if isinstance(module, UniformStream)]
            self._counters = [stream.counter.reshape(-1) for stream in streams]

    def restore(self, copy: int, word: int) -> None:
        """Set a copy to the initial state, with random numbers that depend on ``word``, an int64."""
        for rows, initial in self._rows:
            rows[copy] = initial
        for counter in self._counters if self._rows else ():
            counter[copy] ^= word


@dataclass
class EvaluationEpisode:
    """An episode, running or ended.

    Attributes:
        index: its number, from 0.
        earned: undiscounted return so far.
        length: env steps so far.
        counted: its spikes and operations, once it has ended.
    """

    index: int
    earned: float = 0.0
    length: int = 0
    counted: Counted | None = None


class Episodes:
    """Episodes 0 to n - 1, of which as many run at once as there are envs.

    Attributes:
        ended: the episodes that ended, by index.
        record: env steps and episodes so far, of all copies.
    """

    def __init__(self, copies: Copies, envs: Sequence[gym.Env[Any, Any]], n: int, seed: int, steps: int) -> None:
        """Take the copies, an env for each, and the limit of env steps; see ``evaluation.evaluate``."""
        self._copies, self._envs, self._n, self._seed, self._limit = copies, envs, n, seed, steps
        self._counter = OperationCounter(copies.agent, len(envs))
        self._initial = InitialState(copies.agent)  # after the counter has set the rates to zero
        self._running: list[EvaluationEpisode | None] = [None] * len(envs)
        self._observations: list[Any] = [None] * len(envs)
        self._actions: Sequence[Action] = []
        self._begun, self.ended, self.record = 0, dict[int, EvaluationEpisode](), Record()
        self.first: Counted | None = None  # operations of the first episode, if it has not ended

    def run(self, callbacks: Sequence[Any], interrupted: Callable[[], bool]) -> None:
        """Run until all episodes have ended, the limit of env steps is reached or the evaluation is interrupted."""
        schedule = Schedule(callbacks, 0)
        self._begin(range(len(self._envs)))
        while any(each is not None for each in self._running):
            self._begin(self._step())
            if self.record.step >= schedule.next:
                schedule.call(self.record.step, [self.record], self._copies.agent)
            if interrupted():
                break
        self._keep_first()  # of an evaluation that was interrupted
        schedule.call_at_end([self.record], self._copies.agent)

    def reported(self) -> list[EvaluationEpisode]:
        """Return the first episodes without a gap, as many as end within the limit of env steps."""
        found, steps = list[EvaluationEpisode](), 0
        while (episode := self.ended.get(len(found))) is not None and steps + episode.length <= self._limit:
            found.append(episode)
            steps += episode.length
        return found

    def counted(self) -> dict[str, Operations]:
        """Return the cost of a decision in the reported episodes; without any, in what ran of the first."""
        found = [each.counted for each in self.reported() if each.counted is not None]
        return self._counter.per_decision(found or ([] if self.first is None else [self.first]))

    def _begin(self, copies: Sequence[int]) -> None:
        """Begin the next episodes in these copies, while there are any."""
        step_types = np.zeros(len(self._envs), np.int8)
        for copy in copies:
            self._running[copy] = None
            if self._begun >= self._n or self.record.step >= self._limit:
                continue
            env_seed, word = seeds_of(self._seed, self._begun)
            self._initial.restore(copy, word)
            shape = self._envs[copy].observation_space.shape or None
            self._observations[copy] = reset_env(self._envs[copy], env_seed, self.record, shape)
            self._running[copy], step_types[copy] = EvaluationEpisode(self._begun), StepType.FIRST
            self._begun += 1
        if step_types.any():
            self._advance(step_types, np.zeros(len(step_types)))

    def _step(self) -> list[int]:
        """Take an env step in every running episode, and return the copies whose episode ended."""
        step_types, rewards = np.zeros(len(self._envs), np.int8), np.zeros(len(self._envs))
        for copy, episode in enumerate(self._running):
            if episode is None:
                continue
            env = self._envs[copy]
            shape = env.observation_space.shape or None
            found = step_env(env, self._actions[copy], self.record, shape)
            self._observations[copy], rewards[copy], terminated, truncated = found
            step_types[copy] = StepType.TERMINATED if terminated else StepType.TRUNCATED if truncated else StepType.MID
            self.record.add(found[1])
            episode.earned += found[1]
            episode.length += 1
        self._advance(step_types, rewards)
        ended = np.flatnonzero(step_types >= StepType.TERMINATED).tolist()
        for copy in ended:
            self._end(copy)
        return ended + self._cut()

    def _advance(self, step_types: Array, rewards: Array) -> None:
        """Advance the copies, and count the decisions."""
        blank = next(each for each in self._observations if each is not None)
        observations = [blank if each is None else each for each in self._observations]  # of copies without an episode
        self._actions = self._copies.advance(step_types, rewards, observations)
        self._counter.count((step_types == StepType.FIRST) | (step_types == StepType.MID))

    def _end(self, copy: int) -> None:
        """Keep an episode that has ended."""
        episode = self._running[copy]
        assert episode is not None
        episode.counted = self._counter.take(copy)
        self.ended[episode.index] = episode
        self.record.episodes += 1
        self._running[copy] = None

    def _cut(self) -> list[int]:
        """Return the copies whose episodes the limit of env steps excludes: one that is running, and all after it."""
        if self.record.step < self._limit:
            return []
        running = {each.index: each for each in self._running if each is not None}
        steps = 0
        for index, episode in sorted({**self.ended, **running}.items()):
            steps += episode.length
            if steps >= self._limit and index in running:
                self._n = index
                break
        found = [copy for copy, each in enumerate(self._running) if each is not None and each.index >= self._n]
        if self._n == 0:
            self._keep_first()
        return found

    def _keep_first(self) -> None:
        """Keep the operations of the first episode, if it is running."""
        for copy, episode in enumerate(self._running):
            if episode is not None and episode.index == 0:
                self.first = self._counter.take(copy)
