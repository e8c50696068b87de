"""Lives in compiled twins of Gymnasium's classic control: no Python between two looks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.kernels.envs.dispatch import ELAPSED, TWINS, max_episode_steps, world_rows
from tracerl.kernels.lives import ENDED_FIELDS, LIFE_WORDS, LIVED, NEXT_VERB, RETURN
from tracerl.kernels.verbs import START
from tracerl.lifetime.divergence import Guard
from tracerl.lifetime.loop import Ending, Monitor, Schedule
from tracerl.lifetime.record import Record, lived_by_all

_AT_ONCE = 2**18  # env steps of all lives together in one kernel call: about a second, in which Ctrl-C has to wait


class CompiledWorld:
    """The twins of an env, one per life, and what each life remembers beside its agent.

    Attributes:
        rows: the worlds, int64, [lives, WORLD_WORDS].
        lived: int64, [lives, LIFE_WORDS].
        seen: the newest observations, float64, [lives, n_observed].
        ended: episodes that ended in the last call, float64, [lives, ..., ENDED_FIELDS].
        n_ended: how many did, int64, [lives].
        guard: deals with numbers that are not finite.
    """

    def __init__(self, env_id: str, seeds: Sequence[int]) -> None:
        """Seed one twin per life.

        Raises:
            ConfigError: the env has no twin.
        """
        if env_id not in TWINS:
            raise ConfigError("backend", f"must be gymnasium for {env_id}: compiled ones are {', '.join(TWINS)}")
        self.twin, self.limit = TWINS[env_id], max_episode_steps(env_id)
        with gym.make(env_id) as env:
            self.observation_space, self.action_space = env.observation_space, env.action_space
        n = len(seeds)
        self._most = max(1, _AT_ONCE // n)
        self.rows, self.lived = world_rows(seeds), np.zeros((n, LIFE_WORDS), np.int64)
        self.lived[:, NEXT_VERB] = START
        self.seen, self.n_ended = np.zeros((n, self.twin.n_observed)), np.zeros(n, np.int64)
        self.ended = np.zeros((n, 0, ENDED_FIELDS))
        self.guard = Guard()

    def prepare(self, agent: Any) -> None:
        """Compile whole lives; see ``World.prepare``."""
        if getattr(agent, "fused", None) is None:
            engine = getattr(agent, "engine", None)
            reason = getattr(agent, "engine_reason", None) or f"the engine is {engine}"
            problem = reason if engine else "this agent has no kernels"
            raise ConfigError("backend", f"must be gymnasium where the engine is not fused: {problem}")
        agent.fused.compile_lives(self)

    def live(
        self,
        agent: Any,
        steps: int,
        records: Sequence[Record],
        monitors: Sequence[Monitor],
        interrupted: Callable[[], bool],
    ) -> Ending:
        """Live the lives of a fused agent; see ``World.live``."""
        step = lived_by_all(records)
        schedule = Schedule(monitors, step)
        while step < steps:
            until = int(min(schedule.next, steps, step + self._most))
            behind = until - int(self.lived[:, LIVED].min())  # a life that was born anew has steps to catch up
            if self.ended.shape[1] < behind:
                self.ended = np.zeros((len(records), behind, ENDED_FIELDS))
            agent.fused.live(self, until, steps)
            step = until
            self._tell(records)
            if agent.faults.any():  # the kernel left each such life where it noticed
                for life in self.guard.examine(agent, [record.step for record in records]):
                    records[life].frozen = True
            if step >= schedule.next:
                schedule.look(step, records, agent)
            if interrupted():
                break
        schedule.look_at_last(records, agent)
        return "finished" if step >= steps else "interrupted"

    def _tell(self, records: Sequence[Record]) -> None:
        """Bring the records up to date with the lives, episodes in the order in which they ended."""
        lives = range(len(records))
        ended = [(at, i, *rest) for i in lives for at, *rest in self.ended[i, : self.n_ended[i]].tolist()]
        for at, i, episode_return, length in sorted(ended):
            record = records[i]
            record.step, record.episode_return, record.episode_length = int(at), episode_return, int(length)
            record.end_episode()
        for i, record in enumerate(records):
            record.step = int(self.lived[i, LIVED])
            record.episode_return = float(self.lived[i].view(np.float64)[RETURN])
            record.episode_length = int(self.rows[i, ELAPSED])

    def obstacle(self) -> None:
        """Nothing stands in the way of keeping a twin's state; see ``World.obstacle``."""

    def capture(self) -> dict[str, Any]:
        """Return the worlds and what each life remembers; see ``World.capture``."""
        return {"rows": self.rows, "lived": self.lived, "seen": self.seen}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Go on where ``capture`` was called; see ``World.restore``."""
        for name in ("rows", "lived", "seen"):
            mine, theirs = getattr(self, name), state[name]
            if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
                raise ValueError(f"{name} must be {mine.dtype} {mine.shape}, got {theirs.dtype} {theirs.shape}")
            mine[:] = theirs
        return True

    def close(self) -> None:
        """Nothing is held that must be let go."""
