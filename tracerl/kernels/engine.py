"""The fused engine of an agent: NumPy views of its packed state, and one kernel call per step or for all lifetimes."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch

from tracerl.kernels import lifetimes, step_types
from tracerl.kernels.actor_critic import advance
from tracerl.kernels.calls import address_of
from tracerl.kernels.describe import AgentParts, Layout
from tracerl.kernels.jit import prepare
from tracerl.kernels.scratch import ACTIVE, N_ROWS, N_SUMS, ONES
from tracerl.lifetime.arguments import as_numbers
from tracerl.lifetime.env_outputs import REAL_KINDS
from tracerl.lifetime.protocol import Action, Observation

Array = np.ndarray[Any, Any]
_WORTH_A_THREAD = 16  # smallest number of lifetimes per thread and step: with fewer, threads mostly wait


@dataclass
class CompiledRuns:
    """The arrays of lifetimes in a compiled env, for ``lifetimes.run_all``.

    Attributes:
        kind: kind of the compiled env.
        limit: env steps after which an episode is truncated.
        envs: state of the envs, int64, [lifetimes, ENV_WORDS].
        lifetimes: int64, [lifetimes, LIFETIME_WORDS].
        observations: the newest ones, float64, [lifetimes, n_observed].
        ended: episodes that ended in the last call, float64, [lifetimes, ..., ENDED_FIELDS].
        n_ended: number of these episodes, int64, [lifetimes].
    """

    kind: int
    limit: int
    envs: Array
    lifetimes: Array
    observations: Array
    ended: Array
    n_ended: Array

    @property
    def rows(self) -> tuple[Array, ...]:
        """The arrays with a row per lifetime."""
        return self.envs, self.lifetimes, self.observations, self.ended, self.n_ended


@functools.cache
def _start_threads() -> None:
    """Start numba's threads without a change of torch's number: the first call sets OpenMP's, which torch shares."""
    of_torch = torch.get_num_threads()
    numba.set_num_threads(numba.get_num_threads())
    torch.set_num_threads(of_torch)


class FusedEngine:
    """Kernels over the packed state of an actor-critic.

    The tensors of the agent are views of the arrays that the kernels update, so ``state_dict``, logging and the torch
    engine use the same state.
    """

    def __init__(self, parts: AgentParts, threads: int) -> None:
        """Create the engine of an agent with packed state. Kernels are compiled at their first call.

        Args:
            parts: parts of the agent, on the CPU.
            threads: largest number of threads. The results do not depend on it.
        """
        self._state, self._layout, self._head = parts.state, Layout(parts), parts.head
        self._n_observed, self._threads, self._divisor = parts.n_observed, threads, parts.encoder.divisor
        self._bind()

    def _bind(self) -> None:
        """Create the NumPy views of the state, a row per lifetime, and the buffers of every call."""
        state, layout = self._state, self._layout
        memory, words = (tensor.reshape(-1, tensor.shape[-1]).numpy() for tensor in (state.real, state.wide))
        self._shares = min(self._threads, len(memory))
        self._inputs = np.zeros((len(memory), lifetimes.OBSERVATION + self._n_observed))
        self._observation = np.zeros(self._n_observed)
        self._address: int | None = None
        scratch = np.zeros((self._shares, N_ROWS, max(N_SUMS, layout.width)), memory.dtype)
        scratch[:, [ACTIVE, ONES]] = 1
        many = self._shares > 1 and len(memory) >= _WORTH_A_THREAD * self._shares
        self._advance_many = lifetimes.advance_all if many else lifetimes.advance_sequentially
        records = layout.agent, layout.layers, layout.constants
        self._one = memory[0], words[0], *records, scratch[0]
        self._all = memory, words, *records, scratch
        self._use_threads(self._shares)

    def switch(self, frozen: bool, greedy: bool) -> None:
        """Set whether later steps skip learning, and whether they take the most probable action."""
        agents = self._layout.agent
        agents["frozen"], agents["adapts"], agents["greedy"] = [frozen, True], not frozen, greedy

    def count_spikes(self) -> None:
        """Make ``rate`` of every spiking layer the number of its spikes."""
        self._layout.layers["rate_decay"] = 1

    @staticmethod
    def _use_threads(n: int) -> None:
        _start_threads()
        numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]

    def compile_steps(self) -> None:
        """Compile or load the kernels of ``advance`` with a step that skips every lifetime, before a timed run."""
        self._inputs[:, lifetimes.STEP_TYPE] = step_types.SKIP
        address = self._compiled()
        if self._state.real.dim() > 1:
            self._advance_many(address, *self._all, self._inputs)

    def _compiled(self) -> int:
        """Return the address of the agent's machine code, compiling it before the first time."""
        if self._address is None:
            skip = (*self._one, step_types.SKIP, 0.0, self._observation)
            prepare(advance, *skip)
            advance(*skip)
            self._address = address_of(advance, *skip)
        return self._address

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without arrays, because the arrays of a copy are views of the copied state."""
        kept = ("_state", "_layout", "_n_observed", "_head", "_threads", "_divisor")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy."""
        self.__dict__.update(state)
        self._bind()

    def advance_one(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Advance the only lifetime by a step type, an int; see ``OnlineAgent._step_one``.

        Returns:
            The newest action. None: the lifetime has diverged or, with nothing changed, an input is not finite.
        """
        try:
            if observation.size != self._n_observed or observation.dtype.kind not in REAL_KINDS:
                raise ValueError
            self._observation[:] = observation if observation.ndim == 1 else observation.ravel()
        except (AttributeError, TypeError, ValueError):  # a list, a tensor, another size
            self._observation[:] = as_numbers(observation, self._n_observed)
        if self._divisor != 1:
            self._observation /= self._divisor
        action = advance(*self._one, step_type, reward, self._observation)
        if action != action and self._is_stopped(reward):  # NaN
            return None
        return self._head.chosen_by_kernel(action)

    def _is_stopped(self, reward: float) -> bool:
        """Return whether the only lifetime has diverged or has just received a number that is not finite."""
        finite = math.isfinite(reward) and bool(np.isfinite(self._observation).all())
        return not finite or bool(self._one[1][self._layout.agent["fault"][0]])

    def advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Advance every lifetime by its step type; see ``OnlineAgent._advance``.

        Args:
            step_types: int, [lifetimes].
            rewards: [lifetimes].
            observations: [lifetimes, ...].

        Returns:
            The newest actions, [lifetimes, ...]. None: a lifetime has diverged or, with nothing changed, an input is
            not finite.
        """
        inputs, size = self._inputs, self._n_observed * len(self._inputs)
        if observations.size != size:
            observations = as_numbers(observations, size)
        inputs[:, lifetimes.STEP_TYPE] = step_types
        inputs[:, lifetimes.REWARD] = rewards
        inputs[:, lifetimes.OBSERVATION :] = observations.reshape(len(inputs), -1)
        if self._divisor != 1:
            inputs[:, lifetimes.OBSERVATION :] /= self._divisor
        if not self._advance_many(self._compiled(), *self._all, inputs):
            return None
        newest: Array = self._head.chosen()
        return newest

    def run(self, runs: CompiledRuns, until: int, steps: int) -> None:
        """Run every lifetime up to an env step; see ``lifetimes.run_all``."""
        ahead = until - int(runs.lifetimes[:, lifetimes.STEPS].min())
        many = ahead * len(runs.lifetimes) >= _WORTH_A_THREAD * self._shares
        self._use_threads(self._shares if many else 1)
        arguments: Any = (self._compiled(), *self._all, *runs.rows, runs.kind, runs.limit, until, steps)
        lifetimes.run_all(*arguments)

    def compile_runs(self, runs: CompiledRuns) -> None:
        """Compile or load the kernels of ``run`` with a call for zero lifetimes."""
        memory, words, *shared = self._all
        none = (array[:0] for array in runs.rows)
        arguments: Any = (self._compiled(), memory[:0], words[:0], *shared, *none, 0, 0, 0, 0)
        lifetimes.run_all(*arguments)
