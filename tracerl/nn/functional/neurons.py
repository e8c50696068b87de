"""One time step of neurons: affine currents, surrogate derivatives, leaky integration and firing."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Surrogate = Literal["triangle", "arctan", "rectifier", "centered_rectifier"]
Reset = Literal["soft", "hard"]
RECTIFIERS = "rectifier", "centered_rectifier"
RECTIFIER_LEAK = 0.01  # slope of the rectifier below zero, relative to that above
RECTIFIER_MEAN = 0.4  # its mean output for standard normal input, 0.99 / sqrt(2 pi), rounded


class LIFStep(NamedTuple):
    """The results of one tick of a layer of leaky integrate-and-fire neurons, each [*lifetimes, n].

    ``reset_gain`` is d v_t / d u_t and ``reset_drive`` the direct part of d v_t / d theta; both include the path
    through the spike.
    """

    spikes: Tensor
    membrane: Tensor
    surrogate: Tensor
    reset_gain: Tensor
    reset_drive: Tensor


def affine(weight: Tensor, inputs: Tensor) -> Tensor:
    """Multiply one matrix per lifetime by one vector per lifetime: [*lifetimes, n_out].

    Args:
        weight: [*lifetimes, n_out, n_in].
        inputs: [*lifetimes, n_in].
    """
    if weight.dim() == 2:
        return torch.mv(weight, inputs)
    return torch.matmul(weight, inputs.unsqueeze(-1)).squeeze(-1)


def affine_transposed(weight: Tensor, signal: Tensor) -> Tensor:
    """Multiply the transpose of one matrix per lifetime by a vector per lifetime, weight^T signal: [*lifetimes, n_in].

    Args:
        weight: [*lifetimes, n_out, n_in].
        signal: [*lifetimes, n_out].
    """
    return affine(weight.transpose(-1, -2), signal)


def surrogate_derivative(distance: Tensor, slope: float, kind: Surrogate) -> Tensor:
    """Return the surrogate derivative of the spike with respect to the membrane potential, [*lifetimes, n].

    ``triangle``: slope max(0, 1 - slope |u - theta|), after Esser et al. 2016 (https://arxiv.org/abs/1603.08270).
    ``arctan``: slope / (1 + (pi/2 slope (u - theta))^2), after Fang et al. 2021 (https://arxiv.org/abs/2007.05785).
    ``rectifier`` and ``centered_rectifier``: slope above theta, 0.01 slope below, for graded neurons only.

    Args:
        distance: u - theta, [*lifetimes, n].
        slope: height of the surrogate at the threshold, per unit of membrane.
        kind: which of the four.
    """
    if kind in RECTIFIERS:
        return torch.full_like(distance, slope * RECTIFIER_LEAK).masked_fill_(distance > 0, slope)
    if kind == "triangle":
        return (distance.abs() * (-slope * slope) + slope).clamp_(min=0.0)
    square = (math.pi / 2) ** 2 * slope
    return torch.addcmul(torch.full_like(distance, 1 / slope), distance, distance, value=square).reciprocal_()


def surrogate_integral(distance: Tensor, slope: float, kind: Surrogate) -> Tensor:
    """Return the antiderivative of ``surrogate_derivative``, the output of a graded neuron, [*lifetimes, n].

    ``arctan``: 2/pi arctan(pi/2 slope (u - theta)), between -1 and 1. ``triangle``: slope x (1 - slope |x| / 2) for
    |x| = |u - theta| below 1/slope, -1/2 or 1/2 beyond. ``rectifier``: slope x above 0, 0.01 slope x below.
    ``centered_rectifier``: 0.4 slope less, which is the mean of the former for x of the standard normal distribution.

    Args:
        distance: u - theta, [*lifetimes, n].
        slope: at the threshold, per unit of membrane.
        kind: which of the four.
    """
    if kind in RECTIFIERS:
        rectified = nn.functional.leaky_relu(distance, RECTIFIER_LEAK)
        return (rectified - RECTIFIER_MEAN if kind == "centered_rectifier" else rectified) * slope
    if kind == "triangle":
        x = (distance * slope).clamp_(-1.0, 1.0)
        return x * (1 - x.abs() / 2)
    return (distance * (math.pi / 2 * slope)).atan_().mul_(2 / math.pi)


def lif_potential(current: Tensor, membrane_tm1: Tensor, membrane_decay: Tensor) -> Tensor:
    """Integrate: u_t = m v_{t-1} + (1-m) I_t; for a constant current I, v converges to I.

    The leaky integrate-and-fire neuron in discrete time (Neftci et al. 2019, https://arxiv.org/abs/1901.09948), with
    the factor 1-m of the current.

    Args:
        current: I_t = W x_t + b, [*lifetimes, n].
        membrane_tm1: v_{t-1}, [*lifetimes, n].
        membrane_decay: m in [0, 1) per tick, [*lifetimes, n] or [*lifetimes, 1].
    """
    return torch.lerp(current, membrane_tm1, membrane_decay)


def lif_fire(
    potential: Tensor, threshold: Tensor, slope: float, surrogate: Surrogate, reset: Reset, detach_reset: bool = False
) -> LIFStep:
    """Fire and reset, with a surrogate derivative of the spike (Neftci et al. 2019, https://arxiv.org/abs/1901.09948).

    Soft reset: v = u - theta z. Hard reset: v = u (1 - z). With dz = psi (du - dtheta) their derivatives are

        soft: dv/du = 1 - theta psi         dv/dtheta = -z + theta psi
        hard: dv/du = 1 - z - u psi         dv/dtheta = u psi

    ``detach_reset`` treats the spike in the reset as a constant (psi = 0 in the four terms above). A hard reset needs
    this in long lifetimes: for negative u, u psi is negative, so that dv/du exceeds 1 and a sensitivity can grow
    without bound.

    Args:
        potential: u_t, [*lifetimes, n].
        threshold: theta > 0, [*lifetimes, n] or [*lifetimes, 1].
        slope: of the surrogate.
        surrogate: ``triangle`` or ``arctan``.
        reset: ``soft`` or ``hard``.
        detach_reset: leave out the derivative of the spike in the reset.
    """
    spikes = torch.ge(potential, threshold, out=torch.empty_like(potential))
    psi = surrogate_derivative(potential - threshold, slope, surrogate)
    through_reset = torch.zeros_like(psi) if detach_reset else psi
    if reset == "soft":
        membrane = torch.addcmul(potential, threshold, spikes, value=-1)
        drive = threshold * through_reset
        return LIFStep(spikes, membrane, psi, 1 - drive, drive.sub_(spikes))
    silent = 1 - spikes
    drive = potential * through_reset
    return LIFStep(spikes, potential * silent, psi, silent - drive, drive)


def raise_threshold_(rise: Tensor, spikes: Tensor, rate_target: float, step: float) -> Tensor:
    """Move thresholds towards those at which neurons fire at a rate, in place: c = max(0, c + step (z - r)).

    This is the stochastic approximation (Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586) of the
    threshold theta + c at which a neuron fires in a share r of the ticks. Where it fires less often at theta itself, c
    is 0. In nervous systems such homeostasis is one of the intrinsic plasticities (Desai, Rutherford and Turrigiano
    1999, https://doi.org/10.1038/9165); Diehl and Cook 2015 (https://doi.org/10.3389/fncom.2015.00099, section 2.2)
    raise the threshold by a constant per spike and let it decay.

    Args:
        rise: c, above theta, in units of the membrane, [*lifetimes, n]; overwritten.
        spikes: z_t, 0 or 1, [*lifetimes, n].
        rate_target: r, spikes per neuron and tick.
        step: per tick, in units of the membrane.
    """
    return rise.add_(spikes - rate_target, alpha=step).clamp_(min=0.0)


def ternary_fire(
    potential: Tensor, threshold: Tensor, slope: float, surrogate: Surrogate, reset: Reset, detach_reset: bool = False
) -> tuple[LIFStep, Tensor]:
    """Fire 1 at theta and -1 at -theta, and reset by the signed spike.

    z = [u >= theta] - [u <= -theta], the ternary spike of Guo et al. 2024 (https://arxiv.org/abs/2312.06372), and
    traceTorch's LIT with equal thresholds. Soft reset: v = u - theta z. Hard reset: v = u (1 - |z|). With psi+ and psi-
    the surrogate derivatives at theta and at -theta, psi = psi+ + psi- and phi = psi+ - psi-,
    dz = psi du - phi dtheta and d|z| = phi du - psi dtheta, so that

        soft: dv/du = 1 - theta psi         dv/dtheta = -z + theta phi
        hard: dv/du = 1 - |z| - u phi       dv/dtheta = u psi

    Args:
        potential: u_t, [*lifetimes, n].
        threshold: theta > 0, [*lifetimes, n] or [*lifetimes, 1].
        slope: of the surrogate.
        surrogate: ``triangle`` or ``arctan``.
        reset: ``soft`` or ``hard``.
        detach_reset: leave out the derivative of the spike in the reset, see ``lif_fire``.

    Returns:
        The step with spikes in {-1, 0, 1} and psi as ``surrogate``, and phi, [*lifetimes, n].
    """
    spikes = torch.ge(potential, threshold).to(potential.dtype) - torch.le(potential, -threshold).to(potential.dtype)
    above = surrogate_derivative(potential - threshold, slope, surrogate)
    below = surrogate_derivative(potential + threshold, slope, surrogate)
    psi, phi = above + below, above - below
    kept = 0.0 if detach_reset else 1.0
    if reset == "soft":
        membrane = torch.addcmul(potential, threshold, spikes, value=-1)
        gain, drive = 1 - threshold * psi * kept, threshold * phi * kept - spikes
        return LIFStep(spikes, membrane, psi, gain, drive), phi
    silent = 1 - spikes.abs()
    gain, drive = silent - potential * phi * kept, potential * psi * kept
    return LIFStep(spikes, potential * silent, psi, gain, drive), phi


def graded_fire(potential: Tensor, threshold: Tensor, slope: float, surrogate: Surrogate) -> LIFStep:
    """Return a graded output in place of spikes, without a reset: z = integral of the surrogate, v = u.

    A neuron without impulses (Roberts and Bush 1981, Neurones without impulses). The surrogate derivative is here the
    exact derivative of z. dv/du = 1, dv/dtheta = 0.

    Args:
        potential: u_t, [*lifetimes, n].
        threshold: theta, where z is 0 and steepest, [*lifetimes, n] or [*lifetimes, 1].
        slope: of z at theta.
        surrogate: ``triangle``, ``arctan``, ``rectifier`` or ``centered_rectifier``.
    """
    distance = potential - threshold
    psi = surrogate_derivative(distance, slope, surrogate)
    graded = surrogate_integral(distance, slope, surrogate)
    return LIFStep(graded, potential, psi, torch.ones_like(psi), torch.zeros_like(psi))
