"""Running scales against NumPy over the whole history."""

import numpy as np
import pytest
import torch

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.normalizers import ObservationNormalizer, RewardScaler


def test_observations_are_standardised_by_the_whole_history() -> None:
    rng = np.random.default_rng(0)
    history = rng.normal([5.0, -100.0, 0.01], [1.0, 30.0, 1e-3], (500, 3))
    normalizer = ObservationNormalizer(3, 10.0, Lifetimes(0))
    for t, observation in enumerate(history):
        found = normalizer(torch.from_numpy(observation)).numpy()
        past = history[: t + 1]
        variance = past.var(0, ddof=1) if t else np.ones(3)
        expected = np.clip((observation - past.mean(0)) / np.sqrt(variance + 1e-8), -10, 10)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_observations_are_clipped_and_constant_ones_are_zero() -> None:
    normalizer = ObservationNormalizer(2, 1.5, Lifetimes(0))
    for value in (0.0, 0.1, -0.1, 1e6):
        found = normalizer(torch.tensor([7.0, value], dtype=torch.float64))
    assert found.tolist() == [0.0, pytest.approx(1.5, abs=0.01)]
    normalizer = ObservationNormalizer(1, 0.5, Lifetimes(0))
    for value in (0.0, 1.0, -9.0):
        found = normalizer(torch.tensor([value], dtype=torch.float64))
    assert found.tolist() == [-0.5]


def test_rewards_are_scaled_by_the_history_of_their_discounted_sum() -> None:
    rng = np.random.default_rng(0)
    scaler, sums, u = RewardScaler(0.9, Lifetimes(0)), [], 0.0
    for t in range(400):
        reward, ended = rng.normal(2.0, 3.0), rng.random() < 0.05
        u = 0.9 * u + reward
        sums.append(u)
        variance = np.var(sums, ddof=1) if t else u * u
        floor = np.mean(np.square(sums)) / 100
        found = float(scaler(torch.tensor(reward, dtype=torch.float64)))
        assert found == pytest.approx(reward / np.sqrt(max(variance, floor) + 1e-8), rel=1e-9)
        if ended:
            u = 0.0
            scaler.end_episode()


def test_equal_rewards_are_not_magnified() -> None:
    scaler = RewardScaler(0.99, Lifetimes(0))
    for _ in range(1000):
        scaled = float(scaler(torch.tensor(3.0, dtype=torch.float64)))
        scaler.end_episode()
        assert abs(scaled) <= 10.0


def test_one_reward_counts_at_most_as_the_root_of_the_squares_before_it() -> None:
    scaler, squares, u = RewardScaler(0.9, Lifetimes(0)), 0.0, 0.0

    def scaled(reward: float) -> float:
        nonlocal squares, u
        u = 0.9 * u + reward
        squares += u * u
        return float(scaler(torch.tensor(reward, dtype=torch.float64)))

    for _ in range(1000):
        scaled(0.1)
    limit, u = -(squares**0.5), float(scaler.discounted)
    wrong = float(scaler(torch.tensor(-1e6, dtype=torch.float64)))
    assert float(scaler.discounted) == pytest.approx(0.9 * u + limit, rel=1e-9)
    assert wrong == pytest.approx(limit / float(scaler._scale()), rel=1e-9)


def test_the_first_reward_that_is_not_zero_is_not_bounded() -> None:
    scaler = RewardScaler(0.9, Lifetimes(0))
    for _ in range(2000):
        assert float(scaler(torch.tensor(0.0, dtype=torch.float64))) == 0
    scaler(torch.tensor(1e6, dtype=torch.float64))
    assert float(scaler.discounted) == 1e6


def test_each_lifetime_has_its_own_history() -> None:
    together = RewardScaler(0.9, Lifetimes([0, 1]))
    alone = RewardScaler(0.9, Lifetimes(1))
    rng = np.random.default_rng(1)
    for t in range(50):
        rewards = torch.from_numpy(rng.normal(size=2))
        assert float(together(rewards)[1]) == float(alone(rewards[1]))
        if t % 7 == 0:
            together.end_episode(torch.tensor([False, True]))
            alone.end_episode()
