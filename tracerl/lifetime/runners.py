"""Env runners: the envs of a run with their loop. Compiled envs have a runner in ``kernels``."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from tracerl.config import checks
from tracerl.config.moved import keep_names
from tracerl.lifetime import env_state
from tracerl.lifetime.divergence import DivergenceCheck
from tracerl.lifetime.loop import NOT_FAILURES, Ending, LoopState, ScheduledCallback, run_lifetime
from tracerl.lifetime.record import Record, VectorStatistics
from tracerl.lifetime.time_limit import time_limit
from tracerl.lifetime.vector_loop import run_lifetimes
from tracerl.nn.spaces import spaces_of

Plain = dict[str, Any]  # nested, of numbers, texts and NumPy arrays: the state of an env


class EnvRunner(Protocol):
    """The envs of a run, and the loop that steps them."""

    divergence: DivergenceCheck  # what is done about numbers that are not finite
    observation_space: gym.Space[Any]  # of one lifetime
    action_space: gym.Space[Any]  # of one lifetime

    def prepare(self, agent: Any) -> None:
        """Compile what the agent needs, before the run is timed; a ConfigError if the agent is not supported."""

    def run(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[ScheduledCallback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run each lifetime up to ``steps`` env steps; see ``lifetime.loop.stream``."""

    def unsupported_reason(self) -> str | None:
        """Return why the env cannot be captured; None if it can. If not, a resumed run begins a new episode."""

    def capture(self) -> Plain:
        """Return the state of loop and env for a resumed run, without that of an unsupported env."""

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore the state that ``capture`` returned, and return whether the running episodes continue.

        They do not without the state of the env, nor where the env of a lifetime was stepped past the end of it and
        there are more steps now. A state of another runner raises a ValueError.

        Args:
            state: what ``capture`` returned; beside it ``step``, of the checkpoint, and ``steps``, of each lifetime.
        """

    def statistics(self) -> list[env_state.Statistics]:
        """Return what the normalising wrappers of each lifetime's env have learned; an empty list without any."""

    def close(self) -> None:
        """Close the envs."""


def compile_steps(agent: Any) -> None:
    """Compile the kernels of an agent with a fused engine."""
    if getattr(agent, "fused", None) is not None:
        agent.fused.compile_steps()


class GymnasiumRunner:
    """One env for one lifetime, or a vector env with an env per lifetime."""

    def __init__(
        self,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
        seeds: int | Sequence[int],
        timeout: float | None = None,
    ) -> None:
        """Take the env, the seed of each first reset and the limit of ``time_limit``, seconds."""
        self._env, self._timeout, self._loop_state, self.divergence = env, timeout, LoopState(), DivergenceCheck()
        self._seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        self._warned = False
        self.observation_space, self.action_space = spaces_of(env)
        if isinstance(env, VectorEnv):  # Gymnasium seeds the samplers of spaces at random, and a checkpoint has them
            for space in (env.observation_space, env.action_space, self.observation_space, self.action_space):
                space.seed(self._seeds[0])

    def prepare(self, agent: Any) -> None:
        """Compile the kernels; see ``EnvRunner.prepare``."""
        compile_steps(agent)

    def run(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[ScheduledCallback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run the lifetimes; see ``EnvRunner.run``."""
        env, seeds, state = self._env, self._seeds, self._loop_state
        state.divergence = self.divergence
        with time_limit(env, self._timeout):
            if isinstance(env, VectorEnv):
                statistics = VectorStatistics(records)
                return run_lifetimes(agent, env, steps, seeds, statistics, callbacks, interrupted, state)
            return run_lifetime(agent, env, steps, seeds[0], records[0], callbacks, interrupted, state)

    def unsupported_reason(self) -> str | None:
        """Return the layer of the env that cannot be captured; see ``EnvRunner.unsupported_reason``."""
        return env_state.unsupported_reason(self._env)

    def capture(self) -> Plain:
        """Return the state of the env and the next action; see ``EnvRunner.capture``.

        If the env's own code does not give its state, a warning names it, once, and the state of the env is left out.
        """
        if self.unsupported_reason():
            return {"env": None, "statistics": self.statistics()}
        try:
            env = env_state.capture(self._env)
        except Exception as error:
            if not self._warned:
                problem = f"cannot save the state of the env: {checks.first_line(error)}"
                print(f"warning: {problem}; a run resumed here will begin a new episode", file=sys.stderr)
            self._warned = True
            return {"env": None, "statistics": self.statistics()}
        ended, action = self._loop_state.ended, np.asarray(self._loop_state.action)
        ended = np.asarray(ended) if isinstance(self._env, VectorEnv) else bool(ended)
        return {"env": env, "ended": ended, "action": action, "outrun": self._loop_state.outrun}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore a state; see ``EnvRunner.restore``."""
        outrun = checks.whole("world.outrun", state.get("outrun", 0), 0)  # earlier versions did not write it
        if state["env"] is None or 0 < outrun < state["steps"]:
            self._seeds = [fresh_seed(seed, state) for seed in self._seeds]
            self._restore_statistics(state)
            return False
        env_state.restore(self._env, state["env"])
        if isinstance(self._env, VectorEnv):
            ended, action = (_array(f"world.{name}", state[name], (len(self._seeds),)) for name in ("ended", "action"))
            self._loop_state.ended, self._loop_state.action = ended.astype(bool), action
        else:
            action = _array("world.action", state["action"], ())
            self._loop_state.ended = checks.flag("world.ended", state["ended"])
            self._loop_state.action = action.item() if action.ndim == 0 else action
        self._loop_state.begun = True
        return True

    def statistics(self) -> list[env_state.Statistics]:
        """Return what the wrappers have learned; see ``EnvRunner.statistics``."""
        return env_state.statistics_of(self._env)

    def _restore_statistics(self, state: Mapping[str, Any]) -> None:
        found = env_state.statistics_in(state)
        for env, each in zip(env_state.envs_of(self._env), found, strict=False):
            env_state.restore_statistics(env, each)

    def close(self) -> None:
        """Close the env or envs; of many, all of them, also where one fails to close."""
        each = self._env.envs if isinstance(self._env, SyncVectorEnv) else [self._env]
        failures = list[BaseException]()
        for env in each:
            try:
                with time_limit(env, self._timeout):
                    env.close()
            except NOT_FAILURES:
                raise
            except BaseException as failure:
                failures.append(failure)
        if isinstance(self._env, VectorEnv):
            self._env.closed = True  # else it would be closed again when it is deleted
        if failures:
            raise failures[0]


def _array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return an array whose shape begins with ``shape``; a ValueError for anything else."""
    if not isinstance(value, np.ndarray) or value.shape[: len(shape)] != shape:
        raise ValueError(f"{name} must be an array of the shape [{', '.join(map(str, shape)) or '...'}], got {value!r}")
    return value


def fresh_seed(seed: int, state: Mapping[str, Any]) -> int:
    """Return a seed for an env that continues without its state, other than the seed of the first episode."""
    return int(np.random.SeedSequence((seed, int(state["step"]))).generate_state(1)[0])


keep_names(globals(), World="EnvRunner", SingleWorld="GymnasiumRunner", VectorWorld="GymnasiumRunner")
