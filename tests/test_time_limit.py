"""A time limit on the calls of an env."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tracerl.agents.random import RandomAgent

import tests.toy_envs  # noqa: F401 - registers envs
from tests.helpers import command
from tracerl.config.checks import ConfigError
from tracerl.lifetime.independent_agents import IndependentAgents
from tracerl.lifetime.loop import EnvFailed
from tracerl.lifetime.record import Record
from tracerl.lifetime.runners import GymnasiumRunner
from tracerl.lifetime.time_limit import time_limit
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.execute import describe

ROOT = Path(__file__).parents[1]
SECONDS = 0.2


def broken(how: str) -> gym.Env[Any, Any]:
    return gym.make("Broken-v0", disable_env_checker=True, how=how)


@pytest.mark.parametrize(("how", "steps"), [("hang", 49), ("stubborn", 49), ("stall", 50)])
@pytest.mark.parametrize("lifetimes", [1, 2])
def test_env_that_does_not_return_ends_the_lifetime(how: str, steps: int, lifetimes: int) -> None:
    before, records = signal.getsignal(signal.SIGALRM), [Record(lifetime=i) for i in range(lifetimes)]
    agents = [
        RandomAgent(broken(how).observation_space, broken(how).action_space, Lifetimes(i)) for i in range(lifetimes)
    ]
    envs = SyncVectorEnv([lambda: broken(how)] * 2, autoreset_mode=AutoresetMode.DISABLED)
    single = GymnasiumRunner(broken(how), 0, SECONDS)
    runner: Any = single if lifetimes == 1 else GymnasiumRunner(envs, [0, 1], SECONDS)
    with pytest.raises(EnvFailed) as caught:
        runner.run(agents[0] if lifetimes == 1 else IndependentAgents(agents), 100, records, [], lambda: False)
    name = "reset" if how == "stall" else "step"
    assert describe(caught.value).endswith(f"TimeoutError: {name} did not return within 0.2 s (env.timeout)")
    assert [record.step for record in records] == [steps] * lifetimes
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    runner.close()


def test_env_that_returns_in_time_is_unaffected() -> None:
    env = broken("well")
    before = dict(vars(env))
    with time_limit(env, 5.0):
        env.reset()
        env.step(0)
    assert vars(env).keys() == before.keys()
    with time_limit(env, None):
        assert vars(env).keys() == before.keys()


def test_no_timer_is_left_by_calls_that_end_near_the_limit() -> None:
    env, late = gym.make("CartPole-v1"), 0
    env.step = lambda action: time.sleep(action)  # type: ignore[method-assign]
    with time_limit(env, 0.001):
        for i in range(300):
            try:
                env.step(0.0008 + 0.000001 * i)
            except TimeoutError:
                late += 1
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert late > 0
    time.sleep(0.15)  # nothing interrupts any more


def test_time_limit_in_another_thread_raises_an_error() -> None:
    found: list[ConfigError] = []

    def limited() -> None:
        try:
            with time_limit(broken("well"), 1.0):
                pass
        except ConfigError as error:
            found.append(error)

    thread = threading.Thread(target=limited)
    thread.start()
    thread.join()
    assert [error.key for error in found] == ["timeout"]


def test_env_that_blocks_python_ends_the_process_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    code = (
        "import tracerl.lifetime.time_limit, tracerl.run; tracerl.lifetime.time_limit.GRACE = 0.3; tracerl.run.main()"
    )
    env = ("env=tests.toy_envs:Broken-v0", "env.kwargs.how=deaf", f"env.timeout={SECONDS}")
    run = ("engine=torch", "network.hidden=[4]", "steps=100", "logger=none", "checkpoint.every=20")
    command = [sys.executable, "-c", code, *env, *run, f"hydra.run.dir={tmp_path / 'run'}"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "Timeout (0:00:00.5" in result.stderr and "_hang" in result.stderr
    assert not (tmp_path / "run" / "summary.json").exists()
    assert list((tmp_path / "run" / "checkpoints").glob("*40"))


def test_timed_out_run_fails_with_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    env = ("env=tests.toy_envs:Broken-v0", "env.kwargs.how=hang", f"env.timeout={SECONDS}", "agent=random")
    assert command([*env, "steps=100", "logger=none", f"hydra.run.dir={tmp_path / 'run'}"], monkeypatch, tmp_path) == 1
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("failed", 49)
    assert "step did not return within 0.2 s (env.timeout)" in summary["error"]
