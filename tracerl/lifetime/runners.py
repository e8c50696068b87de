"""Env runners: one env, or an env per lifetime, each with its loop. Compiled envs have a runner in ``kernels``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from tracerl.config import checks
from tracerl.config.moved import keep_names
from tracerl.lifetime.divergence import DivergenceCheck
from tracerl.lifetime.loop import Callback, Ending, LoopState, run_lifetime
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, VectorStatistics
from tracerl.lifetime.time_limit import time_limit
from tracerl.lifetime.vector_loop import run_lifetimes

Plain = dict[str, Any]  # nested, of numbers, texts and NumPy arrays: the state of an env


class EnvRunner(Protocol):
    """The envs of a run, and the loop that steps them.

    Attributes:
        observation_space: of one lifetime.
        action_space: of one lifetime.
        divergence: what is done about numbers that are not finite.
    """

    divergence: DivergenceCheck
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    def prepare(self, agent: Any) -> None:
        """Compile what the agent needs, before the run is timed.

        Raises:
            ConfigError: the runner does not support the agent.
        """
        ...

    def run(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[Callback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run each lifetime up to ``steps`` env steps; see ``lifetime.loop.stream``."""
        ...

    def unsupported_reason(self) -> str | None:
        """Return why the env's state cannot be captured; None where it can. A resumed run then begins a new episode."""
        ...

    def capture(self) -> Plain:
        """Return the state of loop and env, which a resumed run needs; without that of an unsupported env."""
        ...

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore the state that ``capture`` returned.

        Returns:
            False where it has no state of the env, so that a new episode begins.

        Raises:
            ValueError: it is not a state of such a runner.
        """
        ...

    def close(self) -> None:
        """Close the envs."""
        ...


def compile_steps(agent: Any) -> None:
    """Compile the kernels of an agent with a fused engine."""
    if getattr(agent, "fused", None) is not None:
        agent.fused.compile_steps()


class SingleEnvRunner:
    """One env, for one lifetime."""

    def __init__(self, env: gym.Env[Any, Any], seed: int, timeout: float | None = None) -> None:
        """Take an env, the seed of its first reset and the limit of ``time_limit``, seconds."""
        self._timeout = timeout
        self._env, self._seed, self._loop_state, self.divergence = env, seed, LoopState(), DivergenceCheck()
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def prepare(self, agent: Agent) -> None:
        """Compile the kernels; see ``EnvRunner.prepare``."""
        compile_steps(agent)

    def run(
        self,
        agent: Agent,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[Callback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run the lifetime; see ``EnvRunner.run``."""
        self._loop_state.divergence = self.divergence
        with time_limit(self._env, self._timeout):
            return run_lifetime(
                agent, self._env, steps, self._seed, records[0], callbacks, interrupted, self._loop_state
            )

    def unsupported_reason(self) -> str | None:
        """Name the layer of the env whose state cannot be captured; see ``EnvRunner.unsupported_reason``."""
        from tracerl.lifetime import env_state

        found: str | None = env_state.unsupported_reason(self._env)
        return found

    def capture(self) -> Plain:
        """Return the env's state and the next action; see ``EnvRunner.capture``."""
        from tracerl.lifetime import env_state

        if env_state.unsupported_reason(self._env):
            return {"env": None}
        action = np.asarray(self._loop_state.action)
        return {"env": env_state.capture(self._env), "ended": bool(self._loop_state.ended), "action": action}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore a state; see ``EnvRunner.restore``."""
        from tracerl.lifetime import env_state

        if state["env"] is None:
            self._seed = fresh_seed(self._seed, state)
            return False
        env_state.restore(self._env, state["env"])
        checks.flag("world.ended", state["ended"])
        action = _array("world.action", state["action"], ())
        action = action.item() if action.ndim == 0 else action
        self._loop_state.begun, self._loop_state.ended, self._loop_state.action = True, state["ended"], action
        return True

    def close(self) -> None:
        """Close the env."""
        with time_limit(self._env, self._timeout):
            self._env.close()


class VectorEnvRunner:
    """An env per lifetime, in one vector env."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], seeds: Sequence[int], timeout: float | None = None) -> None:
        """Take the envs, the seeds of their first resets and the limit of ``time_limit`` for all, seconds."""
        self._timeout = timeout
        self._envs, self._seeds, self._loop_state, self.divergence = envs, list(seeds), LoopState(), DivergenceCheck()
        self.observation_space, self.action_space = envs.single_observation_space, envs.single_action_space
        for space in (envs.observation_space, envs.action_space, self.observation_space, self.action_space):
            space.seed(self._seeds[0])  # Gymnasium seeds their samplers at random, and a checkpoint holds them

    def prepare(self, agent: ManyAgents) -> None:
        """Compile the kernels; see ``EnvRunner.prepare``."""
        compile_steps(agent)

    def run(
        self,
        agent: ManyAgents,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[Callback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run the lifetimes in step; see ``EnvRunner.run``."""
        statistics, self._loop_state.divergence = VectorStatistics(records), self.divergence
        with time_limit(self._envs, self._timeout):
            return run_lifetimes(
                agent, self._envs, steps, self._seeds, statistics, callbacks, interrupted, self._loop_state
            )

    def unsupported_reason(self) -> str | None:
        """Name what cannot be captured; see ``EnvRunner.unsupported_reason``."""
        from tracerl.lifetime import env_state

        found: str | None = env_state.unsupported_reason(self._envs)
        return found

    def capture(self) -> Plain:
        """Return the envs' states and the next actions; see ``EnvRunner.capture``."""
        from tracerl.lifetime import env_state

        if env_state.unsupported_reason(self._envs):
            return {"env": None}
        ended, action = np.asarray(self._loop_state.ended), np.asarray(self._loop_state.action)
        return {"env": env_state.capture_many(self._envs), "ended": ended, "action": action}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore a state; see ``EnvRunner.restore``."""
        from tracerl.lifetime import env_state

        if state["env"] is None:
            self._seeds = [fresh_seed(seed, state) for seed in self._seeds]
            return False
        env_state.restore_many(self._envs, state["env"])
        ended, action = (_array(f"world.{name}", state[name], (len(self._seeds),)) for name in ("ended", "action"))
        self._loop_state.begun, self._loop_state.ended, self._loop_state.action = True, ended.astype(bool), action
        return True

    def close(self) -> None:
        """Close the envs."""
        try:
            with time_limit(self._envs, self._timeout):
                self._envs.close()
        finally:
            self._envs.closed = True  # or they would try again when they are deleted


def _array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return an array whose shape begins with ``shape``.

    Raises:
        ValueError: it is no such array.
    """
    if not isinstance(value, np.ndarray) or value.shape[: len(shape)] != shape:
        raise ValueError(f"{name} must be an array of the shape [{', '.join(map(str, shape)) or '...'}], got {value!r}")
    return value


def fresh_seed(seed: int, state: Mapping[str, Any]) -> int:
    """Return a seed for an env that continues without its state, other than that of the first episode."""
    return int(np.random.SeedSequence((seed, int(state["step"]))).generate_state(1)[0])


keep_names(globals(), World="EnvRunner", SingleWorld="SingleEnvRunner", VectorWorld="VectorEnvRunner")
