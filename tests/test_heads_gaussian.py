"""The head of a Box: its ranges and clipping, the score at a bound, the bound of its standard deviation."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions

from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Gaussian, HeadSettings
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream

BOX = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))


def test_finite_bounds_scale_the_action_and_only_the_env_gets_it_clipped() -> None:
    lifetimes = Lifetimes(0, torch.float64)
    head = Gaussian(BOX, lifetimes, HeadSettings())
    head.sample(torch.tensor([0.5, -0.5, -60.0, -60.0], dtype=torch.float64), UniformStream(lifetimes))
    np.testing.assert_allclose(head.chosen(), [1.0, 2.5], atol=0.02)  # half-way up from the middle, half-way down
    head.sample(torch.tensor([3.0, -9.0, -60.0, -60.0], dtype=torch.float64), UniformStream(lifetimes))
    np.testing.assert_array_equal(head.chosen(), np.array([2.0, 0.0], np.float32))
    np.testing.assert_allclose(head.action, [3.0, -9.0], atol=0.01)
    expected = distributions.Normal(head.mean, head.std).log_prob(head.action).sum()
    torch.testing.assert_close(head.log_probability(), expected)


def test_score_at_a_bound_is_the_mean_score_beyond_it_with_less_variance() -> None:
    """The theorem of clipped action policy gradients: 4,000 lifetimes sample Gaussians half outside."""
    outputs, scores = torch.tensor([0.4, -0.3, 1.0, 0.5], dtype=torch.float64), []
    lifetimes = Lifetimes([*range(4000)], torch.float64)
    for clipped in (False, True):
        head = Gaussian(BOX, lifetimes, HeadSettings(clipped_log_prob=clipped))
        head.sample(outputs.expand(4000, -1), UniformStream(lifetimes))
        scores.append(head.score())
    plain, clipped_ = scores
    outside = head.action.abs() >= 1
    assert 0.3 < outside.double().mean() < 0.7
    torch.testing.assert_close(plain[~outside.repeat(1, 2)], clipped_[~outside.repeat(1, 2)])
    for i in range(2):
        for beyond in (head.action[:, i] >= 1, head.action[:, i] <= -1):
            for output in (i, i + 2):
                assert clipped_[beyond, output].std() < 1e-9
                expected = pytest.approx(plain[beyond, output].mean().item(), abs=0.1)
                assert clipped_[beyond, output].mean().item() == expected
    assert (clipped_.var(0) < 0.95 * plain.var(0)).all()


def test_one_sided_bound_has_the_probability_of_its_tail() -> None:
    lifetimes = Lifetimes(0, torch.float64)
    head = Gaussian(spaces.Box(np.float32(0), np.float32(np.inf), (1,)), lifetimes, HeadSettings(clipped_log_prob=True))
    head.sample(torch.tensor([-1.0, -60.0], dtype=torch.float64), UniformStream(lifetimes))
    assert head.chosen() == 0 and head.log_probability() == pytest.approx(0.0)  # all probability is below
    assert head.score().abs().max() < 1e-9
    head.sample(torch.tensor([7.0, -60.0], dtype=torch.float64), UniformStream(lifetimes))
    expected = distributions.Normal(head.mean, head.std).log_prob(head.action).sum()
    torch.testing.assert_close(head.log_probability(), expected)


def test_entropy_bonus_grows_the_standard_deviation_up_to_its_bound() -> None:
    lifetimes, reached = Lifetimes(0, torch.float64), []
    for max_std in (None, 1.0):
        head, outputs = Gaussian(BOX, lifetimes, HeadSettings(max_std=max_std)), torch.zeros(4, dtype=torch.float64)
        for _ in range(400):
            head.sample(outputs, UniformStream(lifetimes))
            outputs += head.entropy_gradient()
        reached.append(head.std.sum().item())
    assert reached[0] > 30 and 0.9 < reached[1] < 1.002


def test_entropy_bonus_grows_the_standard_deviation_up_to_its_target() -> None:
    lifetimes, box = (
        Lifetimes(0, torch.float64),
        spaces.Box(*(np.array(x, np.float32) for x in ([-1, -np.inf], [3, 1]))),
    )
    head, outputs = Gaussian(box, lifetimes, HeadSettings(target_std=0.9)), torch.zeros(4, dtype=torch.float64)
    for _ in range(400):
        head.sample(outputs, UniformStream(lifetimes))
        outputs += 0.05 * head.entropy_gradient()
    assert 0.9 <= head.std[0].item() < 0.94 and head.std[1].item() > 5  # units of the second are the env's own


def test_entropy_bonus_draws_the_policy_to_the_reference() -> None:
    """Three of four numbers have a range, so that 1.2 is that of variances of .48 each; 1 is a bound of each."""
    low, high = np.array([-1, 0, 5, 2], np.float32), np.array([3, 1, np.inf, 9], np.float32)
    lifetimes = Lifetimes(0, torch.float64)
    for start in (-3.0, 3.0):
        head = Gaussian(spaces.Box(low, high), lifetimes, HeadSettings(reference_std=1.2))
        outputs = torch.tensor([start, -start, start, 0.5, *[start] * 4], dtype=torch.float64)
        for _ in range(600):
            head.sample(outputs, UniformStream(lifetimes))
            outputs += 0.1 * head.entropy_gradient()
        torch.testing.assert_close(head.std[[0, 1, 3]], torch.full((3,), 0.48**0.5).double(), rtol=1e-3, atol=0)
        bound = start / 3
        torch.testing.assert_close(head.mean, torch.tensor([bound, -bound, start, 0.5]).double(), rtol=0, atol=1e-3)
        assert head.std[2] > 5  # in the env's own units


def test_deviations_begin_at_their_share_of_the_reference() -> None:
    """Three of four numbers have a range. The last is in the env's own units and begins at softplus(0)."""
    box = spaces.Box(np.float32([-1, 0, 2, 5]), np.float32([3, 1, 9, np.inf]))
    head = Gaussian(box, Lifetimes(0, torch.float64), HeadSettings(reference_std=1.2))
    head.sample(torch.zeros(8, dtype=torch.float64), UniformStream(Lifetimes(0)))
    torch.testing.assert_close(head.std, torch.tensor([0.4, 0.4, 0.4, math.log(2)]).double() + 1e-3, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("k", "share"), [(7, 7), (8, 8), (9, 8), (17, 8)])
def test_deviations_of_many_components_begin_at_an_eighth_of_the_reference(k: int, share: int) -> None:
    head = Gaussian(spaces.Box(-1, 1, (k,)), Lifetimes(0, torch.float64), HeadSettings(reference_std=2.0))
    head.sample(torch.zeros(2 * k, dtype=torch.float64), UniformStream(Lifetimes(0)))
    torch.testing.assert_close(head.std, torch.full((k,), 2 / share).double() + 1e-3, rtol=1e-6, atol=0)


@pytest.mark.parametrize("reference_std", [0.0, -1, "wide"])
def test_invalid_reference_raises_an_error_naming_the_key(reference_std: Any) -> None:
    with pytest.raises(ConfigError, match="^reference_std must be a number above 0, got"):
        HeadSettings(reference_std=reference_std)


def test_reference_and_target_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="^reference_std must be null where target_std is not, got 0.5"):
        HeadSettings(target_std=0.6, reference_std=0.5)


@pytest.mark.parametrize(("components", "scale"), [(None, 1), (3.0, 1), (1.5, 0.75), (1, 0.5)])
def test_entropy_bonus_of_an_action_is_at_most_that_of_so_many_components(
    components: float | None, scale: float
) -> None:
    assert Gaussian(BOX, Lifetimes(0), HeadSettings(bonus_components=components)).bonus_scale == scale


@pytest.mark.parametrize("target_std", [0.0, -1, "wide"])
def test_invalid_target_raises_an_error_naming_the_key(target_std: Any) -> None:
    with pytest.raises(ConfigError, match="^target_std must be a number above 0, got"):
        HeadSettings(target_std=target_std)


def test_entropy_bound_is_over_all_bounded_components() -> None:
    lifetimes, most = Lifetimes(0, torch.float64), 60.0
    for low, high, expected in (([-1], [3], 1.5), ([-1, -2, -3, 0], [1] * 4, 0.375), ([0, -np.inf], [1, 1], 1.5)):
        head = Gaussian(
            spaces.Box(np.array(low, np.float32), np.array(high, np.float32)), lifetimes, HeadSettings(max_std=1.5)
        )
        head.sample(torch.full((2 * len(low),), most, dtype=torch.float64), UniformStream(lifetimes))
        assert head.std[0].item() == pytest.approx(expected, abs=2e-3)


def test_mean_is_clamped_a_number_of_deviations_beyond_each_bound() -> None:
    low, high = np.array([-2, 0, 0, -np.inf, -np.inf], np.float32), np.array([2, 10, np.inf, 4, np.inf], np.float32)
    lifetimes = Lifetimes(0, torch.float64)
    head, scales = Gaussian(spaces.Box(low, high), lifetimes, HeadSettings(mean_margin=2)), [0.0, 1.0, -1.0, 0.5, 2.0]
    for side in (-50.0, 0.25, 50.0):
        outputs = torch.tensor([side] * 5 + scales, dtype=torch.float64)
        head.sample(outputs, UniformStream(lifetimes))
        margin = 2 * head.std
        least = torch.tensor([-1, -1, 0, -np.inf, -np.inf]) - margin
        most = torch.tensor([1, 1, np.inf, 4, np.inf]) + margin
        torch.testing.assert_close(head.mean, torch.full_like(least, side).clamp(least, most))


@pytest.mark.parametrize("mean_margin", [None, 2.0])
def test_gaussian_beyond_its_bound_returns_only_with_a_clamped_mean(mean_margin: float | None) -> None:
    """1,000 lifetimes with rewards for numbers near the middle, by REFLECT without a trace: score times reward."""
    lifetimes = Lifetimes([*range(1000)], torch.float64)
    head = Gaussian(BOX, lifetimes, HeadSettings(max_std=1.0, clipped_log_prob=True, mean_margin=mean_margin))
    stream, outputs = UniformStream(lifetimes), torch.tensor([20.0, -20.0, 0.0, 0.0], dtype=torch.float64)
    for _ in range(300):
        head.sample(outputs.expand(1000, -1), stream)
        paid = -head.action.clamp(-1, 1).abs()
        outputs += 5 * ((paid - paid.mean(0)).repeat(1, 2) * head.score()).mean(0)
    assert (outputs[:2].abs() == 20 if mean_margin is None else outputs[:2].abs() < 5).all()


def test_entropy_bonus_moves_an_output_back_to_the_clamped_mean() -> None:
    lifetimes = Lifetimes(0, torch.float64)
    head = Gaussian(BOX, lifetimes, HeadSettings(max_std=1.0, clipped_log_prob=True, mean_margin=3))
    outputs = torch.tensor([9.0, -40.0, 0.0, 0.0], dtype=torch.float64)
    beyond = []
    for _ in range(400):
        head.sample(outputs, UniformStream(lifetimes))
        assert head.excess is not None
        torch.testing.assert_close(head.excess, outputs[:2] - head.mean)
        beyond.append(head.excess.abs().clone())
        outputs += 0.02 * head.entropy_gradient()
    assert (beyond[0] > 7).all() and (beyond[-1] < 0.01).all() and (outputs[:2].abs() > 1).all()


@pytest.mark.parametrize("mean_margin", [-0.1, "far", True])
def test_invalid_margin_raises_an_error_naming_the_key(mean_margin: Any) -> None:
    with pytest.raises(ConfigError, match="^mean_margin must be a number of 0 or above, got"):
        HeadSettings(mean_margin=mean_margin)


@pytest.mark.parametrize("max_std", [0.0, -1, "wide"])
def test_invalid_bound_raises_an_error_naming_the_key(max_std: Any) -> None:
    with pytest.raises(ConfigError, match="^max_std must be a number above 0, got"):
        HeadSettings(max_std=max_std)
    with pytest.raises(ConfigError, match="^clipped_log_prob must be true or false, got 1"):
        HeadSettings(clipped_log_prob=1)  # type: ignore[arg-type]


def test_components_without_two_bounds_are_not_scaled() -> None:
    largest = np.finfo(np.float32).max
    low, high = np.array([-np.inf, 0, -largest], np.float32), np.array([np.inf, np.inf, largest], np.float32)
    lifetimes = Lifetimes(0, torch.float64)
    head = Gaussian(spaces.Box(low, high), lifetimes, HeadSettings())
    head.sample(torch.tensor([70.0, -70.0, 5.0, -60.0, -60.0, -60.0], dtype=torch.float64), UniformStream(lifetimes))
    np.testing.assert_allclose(head.chosen(), [70.0, 0.0, 5.0], atol=0.01)
    # scaled by half a range, which these lack
    bounded = Gaussian(spaces.Box(low, high), lifetimes, HeadSettings(max_std=0.1))
    bounded.sample(torch.tensor([0.0, 0.0, 0.0, 5.0, 5.0, 5.0], dtype=torch.float64), UniformStream(lifetimes))
    assert (bounded.std > 5).all() and (bounded.std_gain > 0.9).all()
