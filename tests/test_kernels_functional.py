"""The equations in the kernels against ``tracerl.nn.functional``, function by function, in float64."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch

from tracerl.kernels import functional as K
from tracerl.kernels.layout import ARCTAN, CENTERED_RECTIFIER, HARD, RECTIFIER, SOFT, TRIANGLE
from tracerl.kernels.steps import bounded_step_size
from tracerl.nn import functional as F
from tracerl.optim.obgd import bounded_step_size_

LOW, HIGH = -0.5, 0.8


def of_obgd(norm: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    step_size = torch.empty_like(norm)
    bounded_step_size_(step_size, norm.abs(), signal, 0.9, 2.0)
    return step_size


def clipped(action: torch.Tensor, mean: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
    """Return log pi of one number each, where the function of torch sums over the last axis."""
    low, high = (torch.tensor([bound], dtype=torch.float64) for bound in (LOW, HIGH))
    numbers = (x.unsqueeze(-1) for x in (action, mean, rho.exp()))
    return F.clipped_gaussian_log_probability(*numbers, low, high)


def of_ternary(potential: torch.Tensor, theta: torch.Tensor, *kinds: Any) -> tuple[torch.Tensor, ...]:
    step, phi = F.ternary_fire(potential, theta, 1.3, *kinds)
    return (*step, phi)


# By name: the kernel and the function of torch, both on numbers from N(0, 1).
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "surrogate_derivative, arctan": (
        lambda x: K.surrogate_derivative(x, 0.7, ARCTAN),
        lambda x: F.surrogate_derivative(x, 0.7, "arctan"),
    ),
    "surrogate_derivative, triangle": (
        lambda x: K.surrogate_derivative(x, 0.7, TRIANGLE),
        lambda x: F.surrogate_derivative(x, 0.7, "triangle"),
    ),
    "surrogate_derivative, rectifier": (
        lambda x: K.surrogate_derivative(x, 0.7, RECTIFIER),
        lambda x: F.surrogate_derivative(x, 0.7, "rectifier"),
    ),
    "surrogate_derivative, centered rectifier": (
        lambda x: K.surrogate_derivative(x, 0.7, CENTERED_RECTIFIER),
        lambda x: F.surrogate_derivative(x, 0.7, "centered_rectifier"),
    ),
    "surrogate_integral, arctan": (
        lambda x: K.surrogate_integral(x, 0.7, ARCTAN),
        lambda x: F.surrogate_integral(x, 0.7, "arctan"),
    ),
    "surrogate_integral, triangle": (
        lambda x: K.surrogate_integral(x, 0.7, TRIANGLE),
        lambda x: F.surrogate_integral(x, 0.7, "triangle"),
    ),
    "surrogate_integral, rectifier": (
        lambda x: K.surrogate_integral(x, 0.7, RECTIFIER),
        lambda x: F.surrogate_integral(x, 0.7, "rectifier"),
    ),
    "surrogate_integral, centered rectifier": (
        lambda x: K.surrogate_integral(x, 0.7, CENTERED_RECTIFIER),
        lambda x: F.surrogate_integral(x, 0.7, "centered_rectifier"),
    ),
    "lif_potential": (lambda x, v, m: K.lif_potential(x, v, m, 1 - m), F.lif_potential),
    "lif_fire, soft": (
        lambda u, theta: K.lif_fire(u, theta, 1.3, ARCTAN, SOFT, False),
        lambda u, theta: F.lif_fire(u, theta, 1.3, "arctan", "soft"),
    ),
    "lif_fire, hard": (
        lambda u, theta: K.lif_fire(u, theta, 1.3, TRIANGLE, HARD, False),
        lambda u, theta: F.lif_fire(u, theta, 1.3, "triangle", "hard"),
    ),
    "lif_fire, detached": (
        lambda u, theta: K.lif_fire(u, theta, 1.3, ARCTAN, HARD, True),
        lambda u, theta: F.lif_fire(u, theta, 1.3, "arctan", "hard", detach_reset=True),
    ),
    "ternary_fire, soft": (
        lambda u, theta: K.ternary_fire(u, theta, 1.3, ARCTAN, SOFT, False),
        lambda u, theta: of_ternary(u, theta, "arctan", "soft"),
    ),
    "ternary_fire, hard": (
        lambda u, theta: K.ternary_fire(u, theta, 1.3, TRIANGLE, HARD, False),
        lambda u, theta: of_ternary(u, theta, "triangle", "hard"),
    ),
    "raise_threshold": (
        lambda rise, spike: K.raise_threshold(rise, spike, 0.1, 0.3),
        lambda rise, spike: F.raise_threshold_(rise, spike, 0.1, 0.3),
    ),
    "low_pass": (lambda trace, decay, x: K.low_pass(trace, decay, x), lambda trace, d, x: F.low_pass_(trace, d, x)),
    "accumulate": (lambda trace, x: K.accumulate(trace, 0.9, x), lambda trace, x: F.accumulate_(trace, 0.9, x)),
    "carry_sensitivity": (
        lambda s, leak, drive: K.carry_sensitivity(s, leak, drive),
        lambda s, leak, drive: F.carry_sensitivity_(s.unsqueeze(-2), leak, drive.unsqueeze(-2)),
    ),
    "softplus": (lambda x: K.softplus(9 * x), lambda x: F.softplus(9 * x)),
    "sigmoid": (lambda x: K.sigmoid(9 * x), lambda x: torch.sigmoid(9 * x)),
    "categorical_entropy_gradient": (
        lambda p, log_p, h: K.categorical_entropy_gradient(p, log_p, h),
        lambda p, log_p, h: F.categorical_entropy_gradient(p.unsqueeze(-1), log_p.unsqueeze(-1), h),
    ),
    "bernoulli_entropy": (
        lambda logit, p: K.bernoulli_entropy(logit, p),
        lambda logit, p: F.bernoulli_entropy(logit.unsqueeze(-1), p.unsqueeze(-1)),
    ),
    "bernoulli_entropy_gradient": (
        lambda logit, p: K.bernoulli_entropy_gradient(logit, p),
        F.bernoulli_entropy_gradient,
    ),
    "box_muller": (
        lambda x, y: K.box_muller(K.sigmoid(x), K.sigmoid(y)),
        lambda x, y: F.box_muller(torch.stack([x, y], -1).sigmoid()),
    ),
    "clipped_gaussian_log_probability": (
        lambda a, mean, rho: K.clipped_gaussian_log_probability(a, mean, np.exp(rho), LOW, HIGH),
        clipped,
    ),
    "hazard": (
        lambda x: K.hazard(x),
        lambda x: torch.exp(torch.distributions.Normal(0.0, 1.0).log_prob(x) - torch.special.log_ndtr(-x)),
    ),
    "relative_entropy_by_log_std": (
        lambda rho: K.relative_entropy_by_log_std(np.exp(rho), 0.5),
        lambda rho: F.relative_entropy_by_log_std(rho.exp(), 0.5),
    ),
    "relative_entropy_by_mean": (
        lambda mean: K.relative_entropy_by_mean(mean, LOW, HIGH, 0.5),
        lambda mean: F.relative_entropy_by_mean(mean, mean.new_tensor(LOW), mean.new_tensor(HIGH), 0.5),
    ),
    "gaussian_entropy": (
        lambda rho: K.gaussian_entropy(np.exp(rho)),
        lambda rho: F.gaussian_entropy(rho.exp().unsqueeze(-1)),
    ),
    "bounded_step_size": (lambda norm, signal: bounded_step_size(0.9, 2.0, abs(norm), signal), of_obgd),
}


@pytest.mark.parametrize("case", CASES)
def test_kernel_equals_the_function_of_its_name(case: str) -> None:
    kernel, function = CASES[case]
    compiled = numba.njit(kernel)
    numbers = np.random.default_rng(0).normal(size=(kernel.__code__.co_argcount, 60))
    found = np.array([compiled(*row) for row in numbers.T])  # [60] or, of several results, [60, results]
    expected = function(*torch.from_numpy(numbers.copy()))
    if not isinstance(expected, torch.Tensor):
        expected = torch.stack(list(expected), -1)
    np.testing.assert_allclose(found, expected.numpy().reshape(found.shape), rtol=1e-12, atol=1e-13)


def test_entropy_of_a_vector_equals_that_of_torch() -> None:
    compiled = numba.njit(lambda p, log_p: K.categorical_entropy(p, log_p))
    log_p = torch.from_numpy(np.random.default_rng(0).normal(size=9)).log_softmax(-1)
    expected = F.categorical_entropy(log_p.exp(), log_p).item()
    assert compiled(log_p.exp().numpy(), log_p.numpy()) == pytest.approx(expected, rel=1e-12)


def test_arc_tangent_of_single_precision_is_within_two_units_in_the_last_place() -> None:
    numbers = np.concatenate([np.linspace(-4, 4, 4001), np.geomspace(1e-30, 1e30, 2001), [0, np.inf, -np.inf, np.nan]])
    numbers = numbers.astype(np.float32)
    compiled = numba.njit(lambda x: K.arctan(x))
    found = np.array([compiled(x) for x in numbers], np.float32)
    expected = np.arctan(numbers.astype(np.float64)).astype(np.float32)
    assert [signature.return_type for signature in compiled.nopython_signatures] == [numba.float32]
    np.testing.assert_array_max_ulp(found[:-1], expected[:-1], maxulp=2)
    assert np.isnan(found[-1])
