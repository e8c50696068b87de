"""The fused engine of an agent: its memory as NumPy arrays, and one kernel call per verb or for all lives at once."""

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from tracerl.kernels import lives, verbs
from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.calls import address_of
from tracerl.kernels.describe import Plan
from tracerl.kernels.jit import prepare
from tracerl.lifetime.arguments import as_numbers
from tracerl.lifetime.protocol import Action, Observation

if TYPE_CHECKING:
    from tracerl.agents.common.actor_critic import ActorCritic
    from tracerl.kernels.compiled_runner import CompiledWorld

Array = np.ndarray[Any, Any]
_WORTH_A_THREAD = 16  # lives in one step: with fewer, threads that wait for each other on busy cores take all the time


class FusedEngine:
    """Kernels over the memory of an actor-critic.

    The agent's tensors stay where ``state_dict``, logging and the torch engine expect them: they are views of the
    arrays that the kernels work on.
    """

    def __init__(self, agent: "ActorCritic", advance_life: Any, threads: int) -> None:
        """Write the plan of an agent whose memory is packed; kernels are compiled where they are first called.

        Args:
            agent: on the CPU.
            advance_life: the compiled verbs of its kind; see ``reflect.advance_life``.
            threads: at most this many at a time; the results do not depend on it.
        """
        self._memory, self._advance_life = agent.memory, advance_life
        self._plan = Plan(agent)
        self._head = agent.head
        self._shares = min(threads, len(agent.lives.seeds))
        self._bind()

    def _bind(self) -> None:
        """Look at the memory as NumPy arrays, a row per life, and make what every call works on."""
        real, wide = (memory.reshape(-1, memory.shape[-1]).numpy() for memory in (self._memory.real, self._memory.wide))
        tables = self._plan.tables
        self._n_observed = int(tables[P.N_OBSERVED])
        self._arrived = np.zeros((len(real), lives.OBSERVATION + self._n_observed))
        self._observation = np.zeros(self._n_observed)
        self._address: int | None = None
        scratch = np.zeros((self._shares, self._plan.scratch_rows, self._plan.scratch_width), real.dtype)
        scratch[:, [S.LIVE, S.ONES]] = 1
        many = self._shares > 1 and len(real) >= _WORTH_A_THREAD * self._shares
        self._advance = lives.advance_all if many else lives.advance_in_turn
        self._one = real[0], wide[0], tables, scratch[0]
        self._all = real, wide, tables, scratch
        self._use_threads(self._shares)

    def switch(self, frozen: bool, greedy: bool) -> None:
        """Say whether the steps from now on leave learning out and whether they take the likeliest action."""
        self._plan.tables[[P.FROZEN, P.GREEDY]] = frozen, greedy

    @staticmethod
    def _use_threads(n: int) -> None:
        numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]

    def compile_verbs(self) -> None:
        """Compile, or load, what the verbs call, by skipping every life: a life's clock can start after it."""
        self._arrived[:, lives.VERB] = verbs.SKIP
        agent = self._agent()
        if self._memory.real.dim() > 1:
            self._advance(agent, *self._all, self._arrived)

    def _agent(self) -> int:
        """Return the address of the agent's machine code, compiling it before the first time."""
        if self._address is None:
            skip = (*self._one, verbs.SKIP, 0.0, self._observation)
            prepare(self._advance_life, *skip)
            self._advance_life(*skip)
            self._address = address_of(self._advance_life, *skip)
        return self._address

    def __getstate__(self) -> dict[str, Any]:
        """Leave arrays out of copies: a copy's arrays are views of the copied memory."""
        return {name: self.__dict__[name] for name in ("_memory", "_plan", "_head", "_shares", "_advance_life")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy."""
        self.__dict__.update(state)
        self._bind()

    def carry_out(self, verb: int, reward: float, observation: Observation) -> Action | None:
        """Carry out a ``Verb``, as an int, for the only life; see ``OnlineAgent._carry_out``."""
        try:
            if observation.size != self._n_observed:
                raise ValueError
            self._observation[:] = observation if observation.ndim == 1 else observation.ravel()
        except (AttributeError, TypeError, ValueError):  # a list, a tensor, another size
            self._observation[:] = as_numbers(observation, self._n_observed)
        action = self._advance_life(*self._one, verb, float(reward), self._observation)
        if action != action and self._is_stopped(reward):  # NaN
            return None
        return self._head.chosen()

    def _is_stopped(self, reward: float) -> bool:
        """Return whether the only life has diverged or has just been handed a number that is not finite."""
        finite = math.isfinite(reward) and bool(np.isfinite(self._observation).all())
        return not finite or bool(self._one[1][self._plan.tables[P.FAULT]])

    def advance(self, verbs: Array, rewards: Array, observations: Observation) -> Array | None:
        """Carry out one verb per life; see ``OnlineAgent._advance``."""
        arrived, size = self._arrived, self._n_observed * len(self._arrived)
        if observations.size != size:
            observations = as_numbers(observations, size)
        arrived[:, lives.VERB] = verbs
        arrived[:, lives.REWARD] = rewards
        arrived[:, lives.OBSERVATION :] = observations.reshape(len(arrived), -1)
        if not self._advance(self._agent(), *self._all, arrived):
            return None
        newest: Array = self._head.chosen()
        return newest

    def live(self, world: "CompiledWorld", until: int, steps: int) -> None:
        """Live every life up to an env step; see ``kernels.lives.live``."""
        per_life = world.rows, world.lived, world.seen, world.ended, world.n_ended
        ahead = until - int(world.lived[:, lives.LIVED].min())
        many = ahead * len(world.lived) >= _WORTH_A_THREAD * self._shares
        self._use_threads(self._shares if many else 1)
        lives.live(self._agent(), *self._all, *per_life, world.twin.kind, world.limit, until, steps)

    def compile_lives(self, world: "CompiledWorld") -> None:
        """Compile, or load, what ``live`` calls, by living no life."""
        nobody = (array[:0] for array in (world.rows, world.lived, world.seen, world.ended, world.n_ended))
        real, wide, tables, scratch = self._all
        arguments: Any = (self._agent(), real[:0], wide[:0], tables, scratch, *nobody, 0, 0, 0, 0)
        lives.live(*arguments)
