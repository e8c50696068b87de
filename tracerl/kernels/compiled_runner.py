"""Run lifetimes in compiled classic-control envs, without Python between two callbacks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.config.moved import keep_names
from tracerl.kernels.engine import CompiledRuns
from tracerl.kernels.envs.dispatch import COMPILED_ENVS, ELAPSED, env_rows, max_episode_steps
from tracerl.kernels.lifetimes import ENDED_FIELDS, LIFETIME_WORDS, NEXT_STEP_TYPE, RETURN, STEPS
from tracerl.kernels.step_types import FIRST
from tracerl.lifetime.divergence import Diverged, DivergenceCheck
from tracerl.lifetime.env_state import Statistics
from tracerl.lifetime.loop import Ending, Schedule, ScheduledCallback
from tracerl.lifetime.record import Record, steps_of_all

_AT_ONCE = 2**18  # env steps over all lifetimes per kernel call: about a second, which delays Ctrl-C
_STATE = {"rows": "envs", "lived": "lifetimes", "seen": "observations"}  # names in a checkpoint and attribute names


class CompiledEnvRunner:
    """A runner of lifetimes in a compiled env.

    Attributes:
        runs: the state of the envs and lifetimes, without that of the agents.
        divergence: check for numbers that are not finite.
    """

    def __init__(self, env_id: str, seeds: Sequence[int]) -> None:
        """Seed one env per lifetime.

        Raises:
            ConfigError: the env is not compiled.
        """
        if env_id not in COMPILED_ENVS:
            compiled = ", ".join(COMPILED_ENVS)
            raise ConfigError("backend", f"must be gymnasium for {env_id}: compiled ones are {compiled}")
        with gym.make(env_id) as env:
            self.observation_space, self.action_space = env.observation_space, env.action_space
        compiled_env, n = COMPILED_ENVS[env_id], len(seeds)
        self._most = max(1, _AT_ONCE // n)
        self.runs = CompiledRuns(
            kind=compiled_env.kind,
            limit=max_episode_steps(env_id),
            envs=env_rows(seeds),
            lifetimes=np.zeros((n, LIFETIME_WORDS), np.int64),
            observations=np.zeros((n, compiled_env.n_observed)),
            ended=np.zeros((n, 0, ENDED_FIELDS)),
            n_ended=np.zeros(n, np.int64),
        )
        self.runs.lifetimes[:, NEXT_STEP_TYPE] = FIRST
        self.divergence = DivergenceCheck()

    def prepare(self, agent: Any) -> None:
        """Compile the loop; see ``EnvRunner.prepare``."""
        if getattr(agent, "fused", None) is None:
            engine = getattr(agent, "engine", None)
            reason = getattr(agent, "engine_reason", None) or f"the engine is {engine}"
            problem = reason if engine else "this agent has no kernels"
            raise ConfigError("backend", f"must be gymnasium without the fused engine: {problem}")
        agent.fused.compile_runs(self.runs)

    def run(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        callbacks: Sequence[ScheduledCallback],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Run the lifetimes of a fused agent; see ``EnvRunner.run``."""
        step, runs = steps_of_all(records), self.runs
        schedule = Schedule(callbacks, step)
        if 0 < step < steps and (runs.lifetimes[:, NEXT_STEP_TYPE] == FIRST).any():
            agent.fused.run(runs, step, steps)  # begins the episodes, without an env step
            schedule.call_after_reset(records, agent)
        while step < steps:
            until = int(min(schedule.next, steps, step + self._most))
            least = steps_of_all(records)  # a re-initialised lifetime is behind
            if runs.ended.shape[1] < until - least:
                runs.ended = np.zeros((len(records), until - least, ENDED_FIELDS))
            agent.fused.run(runs, until, steps)
            self._update(records)
            if agent.faults.any():  # the kernel stopped these lifetimes
                for i in self.divergence.examine(agent, [record.step for record in records]):
                    records[i].frozen = True
            step = until if until < steps else steps_of_all(records)  # the last call leaves none behind
            if steps_of_all(records) == least:
                raise Diverged(f"{next(iter(self.divergence.problems.values()))}, again once it is re-initialised")
            if schedule.by_episode and runs.n_ended.any():
                schedule.call_after_episodes(records, agent)
            if step >= schedule.next:
                schedule.call(step, records, agent)
            if interrupted():
                break
        schedule.call_at_end(records, agent)
        return "finished" if step >= steps else "interrupted"

    def _update(self, records: Sequence[Record]) -> None:
        """Update the records of the lifetimes, with episodes in the order of their ends."""
        runs, indices = self.runs, range(len(records))
        ended = [(at, i, *rest) for i in indices for at, *rest in runs.ended[i, : runs.n_ended[i]].tolist()]
        for at, i, episode_return, length in sorted(ended):
            record = records[i]
            record.step, record.episode_return, record.episode_length = int(at), episode_return, int(length)
            record.end_episode()
        for i, record in enumerate(records):
            record.step = int(runs.lifetimes[i, STEPS])
            record.episode_return = float(runs.lifetimes[i].view(np.float64)[RETURN])
            record.episode_length = int(runs.envs[i, ELAPSED])

    def unsupported_reason(self) -> None:
        """Return None: the state of a compiled env can always be saved; see ``EnvRunner.unsupported_reason``."""

    def capture(self) -> dict[str, Any]:
        """Return the state of the envs and lifetimes; see ``EnvRunner.capture``."""
        return {name: getattr(self.runs, attribute) for name, attribute in _STATE.items()}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Restore the state of ``capture``; see ``EnvRunner.restore``."""
        for name, mine in self.capture().items():
            theirs = state[name]
            if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
                raise ValueError(f"{name} must be {mine.dtype} {mine.shape}, got {theirs.dtype} {theirs.shape}")
            mine[:] = theirs
        return True

    def statistics(self) -> list[Statistics]:
        """Return an empty list, because compiled envs have no wrappers."""
        return []

    def close(self) -> None:
        """Do nothing, because no resource is open."""


keep_names(globals(), CompiledWorld="CompiledEnvRunner")
