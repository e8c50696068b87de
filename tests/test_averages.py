"""Averages over lifetimes, some with non-finite numbers."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from tracerl import make_agent
from tracerl.lifetime.independent_agents import IndependentAgents
from tracerl.nn.averages import Averages, finite_mean, finite_means
from tracerl.nn.lifetimes import Lifetimes


def test_mean_is_over_lifetimes_with_finite_numbers() -> None:
    assert finite_mean(np.array([1.0, np.nan, 3.0, np.inf])) == 2.0
    assert finite_mean(np.array(1.5)) == 1.5
    assert np.isnan(finite_mean(np.array([np.nan, 1.0])[:1])) and finite_mean(np.array([-np.inf])) == -np.inf
    assert np.isnan(finite_mean(np.array([np.inf, -np.inf])))


def test_sums_are_weighted_by_steps_without_non_finite_numbers() -> None:
    sums = np.array([[6.0, np.nan, np.inf, 3.0], [2.0, 5.0, np.nan, 1.0]])
    np.testing.assert_array_equal(finite_means(sums), [2.0, 5.0, np.nan])
    np.testing.assert_array_equal(finite_means(np.zeros((2, 4))), [0.0] * 3)


def test_averages_of_many_lifetimes_omit_the_diverged_one() -> None:
    averages = Averages(["a", "b"], Lifetimes([0, 1, 2]))
    for _ in range(2):
        averages.add(torch.tensor([1.0, torch.nan, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert averages.means() == {"a": 2.0, "b": 2.0}
    assert averages.means() == {"a": 0.0, "b": 0.0}


def test_averages_are_exact_after_more_steps_than_float32_can_count() -> None:
    averages = Averages(["a"], Lifetimes(0))
    averages.sums.copy_(torch.tensor([2.0**24, 2.0**24]))
    for _ in range(100):
        averages.add(torch.tensor(1.5))
    assert averages.sums.tolist() == [2.0**24 + 150, 2.0**24 + 100]


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("agent", ["reflect", "stream_ac", "q_lambda"])
def test_diagnostics_are_exact_after_more_steps_than_float32_can_count(agent: str, engine: str) -> None:
    found = make_agent(gym.make("CartPole-v1"), agent, settings={"engine": engine})
    found.start(np.zeros(4))
    found.sums.fill_(2.0**24)
    for _ in range(10):
        found.step(0.0, np.zeros(4))
    assert float(found.sums[-1]) == 2.0**24 + 10


@pytest.mark.parametrize("agent", ["reflect", "eprop"])
def test_state_with_sums_in_float32_is_restored(agent: str) -> None:
    found = make_agent(gym.make("CartPole-v1"), agent)
    found.start(np.zeros(4))
    found.step(1.0, np.zeros(4))
    state = {name: part.float() if name.endswith("sums") else part for name, part in found.capture().items()}
    found.restore(state)
    assert found.diagnostics()["learn/entropy"] == pytest.approx(np.log(2), abs=0.1)


class Agent:
    def __init__(self, value: float) -> None:
        self.value = value

    def diagnostics(self) -> dict[str, float]:
        return {"learn/x": self.value}


def test_averages_of_single_lifetime_agents_omit_the_diverged_one() -> None:
    assert IndependentAgents([Agent(1.0), Agent(float("nan")), Agent(3.0)]).diagnostics() == {"learn/x": 2.0}  # type: ignore[list-item]
