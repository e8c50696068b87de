"""The fused engine of one agent: its memory as NumPy arrays, and one kernel call per verb."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tracerl.kernels import reflect
from tracerl.kernels.compile import announce
from tracerl.kernels.describe import Plan
from tracerl.kernels.plan import N_OBSERVED, Arena

if TYPE_CHECKING:
    from tracerl.agents.reflect import ReflectAgent


class FusedEngine:
    """Kernels over the memory of a reflect agent with one life.

    The agent's tensors stay where ``state_dict``, logging and the torch engine expect them: they are views of the
    arrays that the kernels work on.
    """

    def __init__(self, agent: "ReflectAgent") -> None:
        """Pack the agent's memory and write its plan."""
        self.arena = Arena(agent, agent.lives)
        self._plan = Plan(agent)
        dtype = torch.zeros((), dtype=agent.lives.dtype).numpy().dtype
        self._first_action: int = agent.first_action
        self._scratch = np.zeros((self._plan.scratch_rows, self._plan.scratch_width), dtype)
        self._n_observed = int(self._plan.ints[N_OBSERVED])
        self._bind()
        self._warm_up()

    def _warm_up(self) -> None:
        """Compile, or load what is compiled, by one call on a copy of the memory: a life's clock starts after it."""
        announce()
        advance: Any = reflect.advance
        advance(*(array.copy() for array in self._arguments), reflect.START, 0.0, np.zeros(self._n_observed))

    def _bind(self) -> None:
        """Look at the memory as NumPy arrays."""
        arena = self.arena
        self._arguments = (
            arena.real.numpy(),
            arena.double.numpy(),
            arena.whole.numpy(),
            self._plan.ints,
            self._plan.floats,
            self._scratch,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arrays out of copies: a copy's arrays are views of the copied memory."""
        return {name: value for name, value in self.__dict__.items() if name != "_arguments"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy."""
        self.__dict__.update(state)
        self._bind()

    def start(self, observation: np.ndarray[Any, Any]) -> int:
        """Begin an episode; see ``Agent.start``."""
        return self._first_action + self._advance(reflect.START, 0.0, observation)

    def step(self, reward: float, observation: np.ndarray[Any, Any]) -> int:
        """Learn and act; see ``Agent.step``."""
        return self._first_action + self._advance(reflect.STEP, reward, observation)

    def end(self, reward: float, observation: np.ndarray[Any, Any], terminated: bool) -> None:
        """Learn from the last transition and clear the episode; see ``Agent.end``."""
        self._advance(reflect.TERMINATED if terminated else reflect.TRUNCATED, reward, observation)

    def _advance(self, verb: int, reward: float, observation: np.ndarray[Any, Any]) -> int:
        flat = observation.astype(np.float64).ravel()
        if flat.size != self._n_observed:
            raise ValueError(f"observation must hold {self._n_observed} numbers, got {flat.size}")
        action: int = reflect.advance(*self._arguments, verb, float(reward), flat)
        return action
