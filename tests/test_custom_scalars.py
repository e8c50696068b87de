"""The page of charts shows exactly the diagnostics of an agent."""

import re

import gymnasium as gym
import pytest

import tracerl
from tracerl.lifetime.loop import run_lifetime
from tracerl.lifetime.record import Record
from tracerl.runs.logging.custom_scalars import CHARTS, GUIDE, SPREAD, charts_of

QUICK = {"network.hidden": [4], "engine": "torch"}


def titles(tags: list[str]) -> list[str]:
    return list(charts_of(tags))


def test_only_charts_with_tags_are_declared() -> None:
    assert charts_of([]) == charts_of(["time/fps"]) == {}
    assert titles(["rollout/reward_rate"]) == ["returns"]
    assert len(charts_of(["spikes/late_3_silent"])["spikes"]) == 1
    assert not charts_of(SPREAD[:2])
    assert [chart.band for chart in charts_of(SPREAD)["returns"]] == [SPREAD]


@pytest.mark.parametrize("agent", ["reflect", "eprop", "rstdp", "reflect_classic", "stream_ac", "random"])
def test_every_diagnostic_of_an_agent_is_in_one_chart(agent: str) -> None:
    env = gym.make("CartPole-v1")
    settings = QUICK if agent in ("reflect", "eprop") else {"engine": "torch"}
    made = tracerl.make_agent(env, agent, settings)
    run_lifetime(made, env, 30, 0, Record())
    tags = list(made.diagnostics())
    shown = [chart.tags for charts in charts_of(tags).values() for chart in charts]
    for tag in tags:
        assert sum(re.match(pattern, tag) is not None for pattern in shown) == 1, tag
    for pattern in shown:
        assert any(re.match(pattern, tag) for tag in tags), pattern


def test_the_guide_names_every_group_of_tags() -> None:
    groups = {chart.tags[1:].split("/")[0] for charts in CHARTS.values() for chart in charts}
    assert all(f"`{group}/`" in GUIDE for group in groups)
