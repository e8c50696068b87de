"""A lifetime of ten million steps has constant memory use and complete records."""

import resource
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import tests.toy_envs  # noqa: F401  registers Null
from tests.helpers import make_agent
from tracerl.lifetime.loop import run_lifetime
from tracerl.lifetime.record import Marker, Record
from tracerl.runs.logging.episodes import EpisodeLog
from tracerl.runs.logging.tensorboard import LoggedRun, TensorBoard

STEPS = 10_000_000


class Memory:
    """A callback that records the peak memory of the process, in MiB."""

    every = STEPS // 10

    def __init__(self) -> None:
        self.seen: list[float] = []

    def call(self, records: object, agent: object) -> None:
        self.seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


@pytest.mark.slow
def test_ten_million_steps_use_constant_memory(tmp_path: Path) -> None:
    env = gym.make("Null-v0", disable_env_checker=True)
    agent, episodes, memory = make_agent(env, "engine=fused"), EpisodeLog(tmp_path), Memory()
    record = Record(keep=episodes.keep)
    log = TensorBoard(every=100_000).open(LoggedRun(tmp_path))
    assert run_lifetime(agent, env, STEPS, 0, record, [Marker(), log, memory]) == "finished"
    episodes.close()
    log.close(success=True)
    assert memory.seen[-1] - memory.seen[0] < 8
    assert (record.step, record.episodes, record.mean_return(), record.reward_rate()) == (STEPS, STEPS // 100, 100, 1)
    assert record.earned == STEPS
    with np.load(tmp_path / "returns.npz") as found:
        assert len(found["step"]) == STEPS // 100 and found["step"][-1] == STEPS and np.all(found["return"] == 100)
    assert all(tensor.isfinite().all() for tensor in agent.capture().values() if tensor.is_floating_point())
    count = agent.encoder.normalizer.moments.count
    assert float(count) == STEPS + STEPS // 100  # every observation, and the first of every episode
