"""The fused engine of an agent: its memory as NumPy arrays, and one kernel call per verb or for all lives at once."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tracerl.agent import Observation
from tracerl.kernels import lives, reflect
from tracerl.kernels import plan as P
from tracerl.kernels.compile import announce
from tracerl.kernels.describe import Plan
from tracerl.kernels.team import Team

if TYPE_CHECKING:
    from tracerl.agents.reflect import ReflectAgent
    from tracerl.compiled import CompiledWorld

Array = np.ndarray[Any, Any]


class FusedEngine:
    """Kernels over the memory of a reflect agent.

    The agent's tensors stay where ``state_dict``, logging and the torch engine expect them: they are views of the
    arrays that the kernels work on.
    """

    def __init__(self, agent: "ReflectAgent", threads: int) -> None:
        """Write the plan of an agent whose memory is packed, and compile.

        Args:
            agent: on the CPU.
            threads: at most this many at a time; the results do not depend on it.
        """
        self._memory = agent.memory
        self._plan = Plan(agent)
        self._first_action: int = agent.first_action
        self._threads = threads
        self._bind()
        self._warm_up()

    def _bind(self) -> None:
        """Look at the memory as NumPy arrays, a row per life, and make what every call works on."""
        self._real, self._wide = (
            memory.reshape(-1, memory.shape[-1]).numpy() for memory in (self._memory.real, self._memory.wide)
        )
        n_lives, tables = len(self._real), self._plan.tables
        self._n_observed = int(tables[P.N_OBSERVED])
        self._actions = self._wide[:, tables[P.ACTION]]
        self._arrived = np.zeros((n_lives, reflect.OBSERVATION + self._n_observed))
        self._row = self._arrived[0]
        self._observation = self._row[reflect.OBSERVATION :]
        self._team = Team(n_lives, self._threads)
        self._scratch = [self._new_scratch() for _ in self._team.shares]
        self._arguments = (self._real, self._wide, tables, self._scratch[0], self._arrived, 0, 1)

    def _new_scratch(self) -> Array:
        return np.zeros((self._plan.scratch_rows, self._plan.scratch_width), self._real.dtype)

    def _warm_up(self) -> None:
        """Compile, or load what is compiled, by a call that skips every life: a life's clock starts after it."""
        announce()
        self._share(0, 0, len(self._real))

    def __getstate__(self) -> dict[str, Any]:
        """Leave arrays and threads out of copies: a copy's arrays are views of the copied memory."""
        return {name: self.__dict__[name] for name in ("_memory", "_plan", "_first_action", "_threads")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy."""
        self.__dict__.update(state)
        self._bind()

    def start(self, observation: Observation) -> int:
        """Begin an episode; see ``Agent.start``."""
        return self._one(reflect.START, 0.0, observation)

    def step(self, reward: float, observation: Observation) -> int:
        """Learn and act; see ``Agent.step``."""
        return self._one(reflect.STEP, reward, observation)

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition and clear the episode; see ``Agent.end``."""
        self._one(reflect.TERMINATED if terminated else reflect.TRUNCATED, reward, observation)

    def _one(self, verb: int, reward: float, observation: Observation) -> int:
        """Carry out a verb for the only life and return its newest action."""
        if observation.size != self._n_observed:
            raise ValueError(f"observation must hold {self._n_observed} numbers, got {observation.size}")
        self._row[0] = verb
        self._row[1] = reward
        self._observation[:] = observation if observation.ndim == 1 else observation.ravel()
        action: int = reflect.advance(*self._arguments)
        return self._first_action + action

    def advance(self, verbs: Array, rewards: Array, observations: Observation) -> Array:
        """Carry out one verb per life; see ``ManyAgents.advance``."""
        self._arrived[:, reflect.VERB] = verbs
        self._arrived[:, reflect.REWARD] = rewards
        self._arrived[:, reflect.OBSERVATION :] = observations.reshape(len(verbs), -1)
        self._team(self._share)
        newest: Array = self._actions + self._first_action
        return newest

    def live(self, world: "CompiledWorld", until: int, steps: int) -> None:
        """Live every life up to an env step; see ``kernels.lives.live``."""
        per_life = world.rows, world.lived, world.seen, world.ended, world.n_ended
        times = world.twin.kind, world.limit, until, steps

        def share(thread: int, first: int, last: int) -> None:
            memory = self._real, self._wide, self._plan.tables, self._scratch[thread]
            lives.live(*memory, *per_life, *times, first, last)

        self._team(share)

    def compile_lives(self, world: "CompiledWorld") -> None:
        """Compile, or load, what ``live`` calls, by living no life."""
        memory = self._real, self._wide, self._plan.tables, self._scratch[0]
        lives.live(*memory, world.rows, world.lived, world.seen, world.ended, world.n_ended, 0, 0, 0, 0, 0, 0)

    def _share(self, thread: int, first: int, last: int) -> None:
        """Advance one thread's share of the lives."""
        reflect.advance(self._real, self._wide, self._plan.tables, self._scratch[thread], self._arrived, first, last)
