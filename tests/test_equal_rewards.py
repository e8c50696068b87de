"""A warning if every reward is equal and the agent has no critic."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import tests.toy_envs  # noqa: F401 - registers envs
import tracerl
from tests.forks import run
from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.equal_rewards import PATIENCE, EqualRewards, reward_check
from tracerl.lifetime.record import Record

SMALL: dict[str, Any] = {"reflect": {"network.hidden": [4]}, "reflect_classic": {"agent.network.hidden": [4]}}
WITHOUT_CRITIC = [("reflect", "reward"), ("reflect", "advantage"), ("rstdp", "reward"), ("reflect_classic", None)]


def run_agent(env_id: str, agent: str, signal: str | None, **more: Any) -> None:
    env = tracerl.make_env(env_id)
    made = tracerl.make_agent(env, agent, SMALL.get(agent, {}) | ({} if signal is None else {"agent.signal": signal}))
    tracerl.live(made, env, PATIENCE + 100, **more).finish()


@pytest.mark.parametrize(("agent", "signal"), WITHOUT_CRITIC)
def test_agent_without_a_critic_raises_one_warning(agent: str, signal: str | None) -> None:
    with pytest.warns(ConfigWarning, match=r"first 1,000 rewards were all 1, .* nothing to learn") as caught:
        run_agent("CartPole", agent, signal)
    assert len(caught) == 1


@pytest.mark.parametrize(("env_id", "signal"), [("CartPole", "td"), ("Bandit-v0", "reward")])
def test_a_critic_or_other_rewards_raise_no_warning(env_id: str, signal: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_agent(env_id, "reflect", signal)


@pytest.mark.parametrize(
    ("agent", "settings"), [("reflect", {"agent.trunk": "shared"}), ("q_lambda", {}), ("stream_ac", {})]
)
def test_agent_with_a_value_is_not_checked(agent: str, settings: dict[str, Any]) -> None:
    assert reward_check(tracerl.make_agent(tracerl.make_env("CartPole"), agent, settings)) == []


def count_calls(*rewards: list[float]) -> tuple[int, EqualRewards]:
    """Call a callback on lifetimes with these rewards, one episode each; return the number of calls."""
    callback, records, calls = EqualRewards(), [Record(lifetime=i) for i in range(len(rewards))], 0
    due = callback.next_call(0)
    for step, row in enumerate(zip(*rewards, strict=True), 1):
        for record, reward in zip(records, row, strict=True):
            record.add(reward)
        if step >= due:
            callback.call(records, object())  # type: ignore[arg-type]
            due, calls = callback.next_call(step), calls + 1
    return calls, callback


def test_equal_rewards_with_rounded_sums_warn_and_a_different_last_reward_does_not() -> None:
    with pytest.warns(ConfigWarning, match="first 1,000 rewards were all -0.1,"):
        assert count_calls([-0.1] * 1200)[0] == 1000
    assert count_calls([0.0] * 999 + [0.001] + [0.0] * 200)[0] == 1000
    assert count_calls([1.0, 2.0] * 600)[0] == 2


def test_many_lifetimes_warn_only_if_all_rewards_of_all_lifetimes_are_equal() -> None:
    with pytest.warns(ConfigWarning, match="first 1,000 rewards were all 2,"):
        count_calls([2.0] * 1100, [3.0] * 1100)
    assert count_calls([2.0] * 1100, [3.0] * 10 + [4.0] * 1090)[0] == 11


def test_agent_without_a_critic_attribute_is_not_checked() -> None:
    assert not reward_check(object())


@pytest.mark.parametrize("where", [(), ("lifetimes=2", "env.backend=compiled")])
def test_command_line_prints_the_warning_in_one_line(where: tuple[str, ...], tmp_path: Path) -> None:
    agent = ("agent.signal=advantage",) if where else ("agent=reflect_classic", "agent.network.hidden=[8]")
    result = run(tmp_path, "env=CartPole", *agent, "steps=1100", "logger=none", *where)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "arning" in line]
    assert line.startswith("warning: the first 1,000 rewards were all 1,")
