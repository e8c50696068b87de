"""The equations, against values computed by hand."""

import math

import pytest
import torch
from torch import Tensor

from tracerl.nn import functional as F


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_membrane_converges_to_a_constant_current() -> None:
    membrane = tensor(0.0)
    for _ in range(200):
        membrane = F.lif_potential(tensor(0.8), membrane, tensor(0.9))
    assert membrane.item() == pytest.approx(0.8)


def test_soft_reset_by_hand() -> None:
    step = F.lif_fire(tensor(1.0, 0.4), tensor(0.5), slope=1.0, surrogate="triangle", reset="soft")
    assert step.spikes.tolist() == [1.0, 0.0]
    assert step.membrane.tolist() == pytest.approx([0.5, 0.4])
    assert step.surrogate.tolist() == pytest.approx([0.5, 0.9])
    assert step.reset_gain.tolist() == pytest.approx([1 - 0.5 * 0.5, 1 - 0.5 * 0.9])
    assert step.reset_drive.tolist() == pytest.approx([-1 + 0.25, 0.45])


def test_hard_reset_by_hand() -> None:
    step = F.lif_fire(tensor(1.0, 0.4), tensor(0.5), slope=1.0, surrogate="triangle", reset="hard")
    assert step.membrane.tolist() == pytest.approx([0.0, 0.4])
    assert step.reset_gain.tolist() == pytest.approx([0 - 1.0 * 0.5, 1 - 0.4 * 0.9])
    assert step.reset_drive.tolist() == pytest.approx([0.5, 0.36])


@pytest.mark.parametrize(("reset", "gain"), [("soft", [1.0, 1.0]), ("hard", [0.0, 1.0])])
def test_detached_reset_omits_the_derivative_of_the_spike(reset: F.Reset, gain: list[float]) -> None:
    step = F.lif_fire(tensor(1.0, 0.4), tensor(0.5), 1.0, "arctan", reset, detach_reset=True)
    assert step.reset_gain.tolist() == gain
    assert step.reset_drive.tolist() == ([-1.0, 0.0] if reset == "soft" else [0.0, 0.0])


def test_neuron_at_its_threshold_spikes() -> None:
    assert F.lif_fire(tensor(0.5), tensor(0.5), 1.0, "arctan", "soft").spikes.item() == 1.0


def test_ternary_spikes_by_hand() -> None:
    """Of the triangle of slope 1: at u = -.75 and theta .5 it is .75 at -theta, and 0 at theta."""
    potential, theta = tensor(-0.75, 0.25, 0.5, -0.5), tensor(0.5)
    step, phi = F.ternary_fire(potential, theta, slope=1.0, surrogate="triangle", reset="soft")
    assert step.spikes.tolist() == [-1.0, 0.0, 1.0, -1.0]
    assert step.membrane.tolist() == pytest.approx([-0.25, 0.25, 0.0, 0.0])
    assert step.surrogate.tolist() == pytest.approx([0.75, 0.75 + 0.25, 1.0, 1.0])
    assert phi.tolist() == pytest.approx([-0.75, 0.75 - 0.25, 1.0, -1.0])
    assert step.reset_gain.tolist() == pytest.approx([0.625, 0.5, 0.5, 0.5])
    assert step.reset_drive.tolist() == pytest.approx([1 - 0.375, 0.25, -0.5, 0.5])
    hard, _ = F.ternary_fire(potential, theta, slope=1.0, surrogate="triangle", reset="hard")
    assert hard.membrane.tolist() == [0.0, 0.25, 0.0, 0.0]
    assert hard.reset_gain.tolist() == pytest.approx([-0.5625, 1 - 0.125, -0.5, -0.5])
    assert hard.reset_drive.tolist() == pytest.approx([-0.5625, 0.25, 0.5, -0.5])


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_surrogates_peak_at_the_threshold_with_height_slope(slope: float) -> None:
    distance = torch.linspace(-3, 3, 601, dtype=torch.float64)
    triangle = F.surrogate_derivative(distance, slope, "triangle")
    arctan = F.surrogate_derivative(distance, slope, "arctan")
    torch.testing.assert_close(triangle, slope * torch.relu(1 - slope * distance.abs()))
    torch.testing.assert_close(arctan, slope / (1 + (math.pi / 2 * slope * distance) ** 2))
    assert triangle.max().item() == pytest.approx(slope)
    assert arctan.max().item() == pytest.approx(slope)


@pytest.mark.parametrize(("kind", "bound"), [("triangle", 0.5), ("arctan", 1.0), ("rectifier", None)])
def test_derivative_of_a_graded_potential_is_the_surrogate(kind: F.Surrogate, bound: float | None) -> None:
    potential = torch.linspace(-3, 3, 601, dtype=torch.float64, requires_grad=True)
    step = F.graded_fire(potential, tensor(0.25), 1.7, kind)
    (slope,) = torch.autograd.grad(F.surrogate_integral(potential - 0.25, 1.7, kind).sum(), potential)
    torch.testing.assert_close(step.surrogate, slope)
    assert step.membrane is potential and step.spikes[325].item() == pytest.approx(0.0)
    assert (step.reset_gain == 1).all() and (step.reset_drive == 0).all()
    far = F.surrogate_integral(tensor(-1e9, 1e9), 1.7, kind)
    assert far.tolist() == pytest.approx([-1.7e7, 1.7e9] if bound is None else [-bound, bound])


def test_centered_rectifier_is_the_rectifier_less_its_mean() -> None:
    shares = (torch.arange(10000, dtype=torch.float64) + 0.5) / 10000
    x = torch.distributions.Normal(0.0, 1.0).icdf(shares)
    plain, centered = (F.surrogate_integral(x, 1.7, kind) for kind in F.RECTIFIERS)
    torch.testing.assert_close(centered, plain - 1.7 * F.RECTIFIER_MEAN)
    assert centered.mean().item() == pytest.approx(0.0, abs=0.01 * 1.7)
    slopes = [F.surrogate_derivative(x, 1.7, kind) for kind in F.RECTIFIERS]
    torch.testing.assert_close(*slopes)


def test_traces_by_hand() -> None:
    trace = tensor(2.0)
    F.accumulate_(trace, 0.5, tensor(3.0))
    assert trace.item() == 4.0
    F.low_pass_(trace, 0.75, tensor(8.0))
    assert trace.item() == 5.0
    F.low_pass_(trace, tensor(0.2), tensor(10.0))
    assert trace.item() == pytest.approx(9.0)


def test_carry_sensitivity_by_hand() -> None:
    sensitivity = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    F.carry_sensitivity_(sensitivity, torch.tensor([0.5, 0.0]), torch.tensor([[10.0], [20.0]]))
    assert sensitivity.tolist() == [[10.5, 10.0], [21.5, 20.0]]


def test_td_error_bootstraps_only_where_the_episode_continues() -> None:
    error = F.td_error(tensor(1.0, 1.0), tensor(2.0, 2.0), tensor(3.0, 3.0), 0.9, tensor(1.0, 0.0))
    assert error.tolist() == pytest.approx([1 + 0.9 * 3 - 2, 1 - 2])


def test_affine_has_one_matrix_per_lifetime() -> None:
    weight, inputs = torch.randn(3, 5, 4), torch.randn(3, 4)
    for lifetime in range(3):
        torch.testing.assert_close(F.affine(weight, inputs)[lifetime], F.affine(weight[lifetime], inputs[lifetime]))
