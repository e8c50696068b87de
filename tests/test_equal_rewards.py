"""A warning where every reward is equal and the agent has no critic."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import tests.worlds  # noqa: F401 - registers envs
import tracerl
from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.equal_rewards import PATIENCE, EqualRewards, reward_check
from tracerl.lifetime.record import Record

SMALL: dict[str, Any] = {"reflect": {"network.hidden": [4]}, "reflect_classic": {"agent.network.hidden": [4]}}
WITHOUT_CRITIC = [("reflect", "reward"), ("reflect", "advantage"), ("rstdp", "reward"), ("reflect_classic", None)]


def lived(env_id: str, agent: str, signal: str | None, **more: Any) -> None:
    env = tracerl.make_env(env_id)
    made = tracerl.make_agent(env, agent, SMALL.get(agent, {}) | ({} if signal is None else {"agent.signal": signal}))
    tracerl.live(made, env, PATIENCE + 100, **more).finish()


@pytest.mark.parametrize(("agent", "signal"), WITHOUT_CRITIC)
def test_an_agent_without_a_critic_is_warned_of_once(agent: str, signal: str | None) -> None:
    with pytest.warns(ConfigWarning, match=r"first 1,000 rewards were all 1, .* nothing to learn") as caught:
        lived("CartPole", agent, signal)
    assert len(caught) == 1


@pytest.mark.parametrize(("env_id", "signal"), [("CartPole", "td"), ("Bandit-v0", "reward")])
def test_a_critic_or_other_rewards_raise_no_warning(env_id: str, signal: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lived(env_id, "reflect", signal)


def looked(*rewards: list[float]) -> tuple[int, EqualRewards]:
    """Let a callback look at lifetimes with these rewards, in one episode each; return how often it did."""
    callback, records, looks = EqualRewards(), [Record(lifetime=i) for i in range(len(rewards))], 0
    due = callback.next_call(0)
    for step, row in enumerate(zip(*rewards, strict=True), 1):
        for record, reward in zip(records, row, strict=True):
            record.add(reward)
        if step >= due:
            callback.call(records, object())  # type: ignore[arg-type]
            due, looks = callback.next_call(step), looks + 1
    return looks, callback


def test_sums_that_round_are_of_equal_rewards_and_the_last_reward_counts() -> None:
    with pytest.warns(ConfigWarning, match="first 1,000 rewards were all -0.1,"):
        assert looked([-0.1] * 1200)[0] == 1000
    assert looked([0.0] * 999 + [0.001] + [0.0] * 200)[0] == 1000
    assert looked([1.0, 2.0] * 600)[0] == 2


def test_many_lifetimes_are_warned_of_where_none_saw_another_reward() -> None:
    with pytest.warns(ConfigWarning, match="first 1,000 rewards were all 2,"):
        looked([2.0] * 1100, [3.0] * 1100)
    assert looked([2.0] * 1100, [3.0] * 10 + [4.0] * 1090)[0] == 11


def test_an_agent_that_says_nothing_of_a_critic_is_not_checked() -> None:
    assert not reward_check(object())


@pytest.mark.parametrize("where", [(), ("lifetimes=2", "env.backend=compiled")])
def test_the_command_line_shows_the_warning_in_one_line(where: tuple[str, ...], tmp_path: Path) -> None:
    agent = ("agent.signal=advantage",) if where else ("agent=reflect_classic", "agent.network.hidden=[8]")
    command = [sys.executable, "-m", "tracerl.run", "env=CartPole", *agent, "steps=1100", "logger=none", *where]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (line,) = [line for line in result.stderr.splitlines() if "arning" in line]
    assert line.startswith("warning: the first 1,000 rewards were all 1,")
