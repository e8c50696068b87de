"""Long lifetimes: ``python -m pytest -m slow``. Seconds each in the fused engine, minutes in the torch engine."""

import resource
from pathlib import Path

import gymnasium as gym
import pytest

import tests.toy_envs  # noqa: F401  registers Null
from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime
from tracerl.lifetime.loop import run_lifetime
from tracerl.lifetime.record import Record
from tracerl.runs.logging.episodes import EpisodeLog
from tracerl.runs.logging.tensorboard import LoggedRun, TensorBoard

pytestmark = pytest.mark.slow


def test_four_of_five_lifetimes_learn_acrobot_with_the_same_settings() -> None:
    returns = [run_one_lifetime("Acrobot-v1", 60_000, "engine=fused", seed=seed)[1].mean_return() for seed in range(5)]
    assert sum(value >= -130 for value in returns) >= 4, returns


def test_forty_lifetimes_learn_cartpole_in_one_process() -> None:
    """In compiled envs; the lifetimes equal those of ``engine=fused`` in Gymnasium, seed by seed."""
    options = {"backend": "compiled", "milestones": ["w100>=475"]}
    _, records = run_many_lifetimes("CartPole-v1", 120_000, "engine=fused", seeds=list(range(40)), **options)
    assert sum(record.milestones[0].reached_at is not None for record in records) >= 37
    assert sum(record.mean_return() >= 450 for record in records) >= 33  # and kept until the end
    alone = run_one_lifetime("CartPole-v1", 120_000, "engine=fused", seed=7)[1]
    assert alone.returns == records[7].returns


def test_two_hidden_layers_learn_cartpole() -> None:
    _, record = run_one_lifetime("CartPole-v1", 60_000, "engine=fused", "network.hidden=[64,64]", seed=0)
    assert record.mean_return(20) >= 195


@pytest.mark.parametrize("network", ["recurrent", "alif"])
def test_recurrent_networks_learn_both_tasks(network: str) -> None:
    for env_id, steps, least in (("CartPole-v1", 80_000, 400), ("Acrobot-v1", 60_000, -130)):
        together = run_many_lifetimes(
            env_id, steps, "engine=fused", f"network={network}", seeds=[0, 1, 2, 3], backend="compiled"
        )
        returns = [record.mean_return() for record in together[1]]
        assert sum(value >= least for value in returns) >= 3, (env_id, returns)


def test_eprop_learns_cartpole() -> None:
    _, records = run_many_lifetimes("CartPole-v1", 20_000, "agent=eprop", "network.hidden=[64]", seeds=list(range(4)))
    assert sum(record.mean_return(20) >= 150 for record in records) >= 3


def test_torch_engine_learns_cartpole() -> None:
    _, record = run_one_lifetime("CartPole-v1", 120_000, seed=0)
    assert record.mean_return() >= 450


def test_long_lifetime_uses_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """Resident memory after 100,000 and after five million steps, with all logging and checkpoints."""
    env = gym.make("Null-v0", disable_env_checker=True)
    agent = make_agent(env, "engine=fused", "network.hidden=[8]", "optimizer=obgd")
    episodes, log = EpisodeLog(tmp_path), TensorBoard(2000).open(LoggedRun(tmp_path))
    record = Record(keep=episodes.keep)

    def resident_after(steps: int) -> float:
        run_lifetime(agent, env, steps, 0, record, [log])
        return resident_memory()

    resident_after(50_000)
    early = resident_after(100_000)
    assert resident_after(5_000_000) - early < 1.0  # MiB
    log.close(success=True)
    episodes.close()


def resident_memory() -> float:
    """Return the resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
