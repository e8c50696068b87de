"""The discount whose horizon is a share of the age of a lifetime."""

import copy

import numpy as np
import pytest
import torch

from tests.engines import pair
from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn import functional as F
from tracerl.nn.discount import GrowingDiscount
from tracerl.nn.lifetimes import Lifetimes

GROWING = "agent.discount=[0.99,0.995]", "agent.horizon_share=5"


@pytest.mark.parametrize("seeds", [0, [0, 1]])
def test_horizon_is_a_share_of_the_age_between_its_bounds(seeds: int | list[int]) -> None:
    discount = GrowingDiscount(0.9, 0.98, 8.0, Lifetimes(seeds))
    for horizon in (10, 16, 24, 32, 40, 48, 50, 50):
        gamma = discount()
        assert gamma.dtype == torch.float64
        assert gamma.reshape(-1).tolist() == pytest.approx([1 - 1 / horizon] * (1 if seeds == 0 else 2))


@pytest.mark.parametrize("agent_name", ["reflect", "stream_ac", "q_lambda"])
def test_td_error_and_scale_of_the_reward_have_the_discount_of_the_step(agent_name: str) -> None:
    agent = make_agent(Space(3, 2), f"agent={agent_name}", *GROWING, dtype=torch.float64)
    random = np.random.default_rng(0)
    agent.start(random.normal(size=3))
    for t in range(1, 60):
        before, reward = copy.deepcopy(agent), float(random.normal())
        agent.step(reward, random.normal(size=3))
        gamma = 1 - 1 / min(max(100, 5 * t), 200)
        scaler = before.reward_scaler
        scaled = scaler(torch.tensor(reward, dtype=torch.float64), torch.tensor(gamma, dtype=torch.float64))
        torch.testing.assert_close(agent.reward_scaler.discounted, scaler.discounted)
        if agent_name == "reflect":  # in the others, V or Q of s is computed again or at another action
            expected = F.td_error(scaled, before.value, agent.value, gamma, torch.ones(()))
            torch.testing.assert_close(agent.signal, expected)


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_until_the_horizon_grows_the_agent_is_that_of_a_constant_discount(engine: str) -> None:
    later = "agent.discount=[0.99,0.995]", "agent.horizon_share=1"  # from step 100 on
    constant, other = (make_agent(Space(3, 2), f"engine={engine}", *settings) for settings in ((), later))
    random = np.random.default_rng(0)
    first = random.normal(size=3)
    assert constant.start(first) == other.start(first)
    for _ in range(100):
        reward, observation = float(random.normal()), random.normal(size=3)
        assert constant.step(reward, observation) == other.step(reward, observation)
    torch.testing.assert_close(constant.policy.network.flat, other.policy.network.flat)
    if engine == "fused":
        assert torch.equal(constant.policy.network.flat, other.policy.network.flat)


def test_age_is_kept_when_an_episode_ends() -> None:
    for agent in pair(4, 3, "network.hidden=[5]", *GROWING):
        agent.start(np.zeros(4))
        agent.step(1.0, np.ones(4))
        agent.end(1.0, np.ones(4), True)
        agent.start(np.zeros(4))
        agent.step(1.0, np.ones(4))
        assert agent.growing_discount is not None and agent.growing_discount.age.item() == 3


def test_trace_decays_by_the_first_discount() -> None:
    assert checks.discounts([0.9, 1], 1) == (0.9, 1)
    with pytest.raises(ConfigError, match="trace_decay must be below 1 if discount is 1"):
        checks.discounts(1, 1)
