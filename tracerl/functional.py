"""The equations of tracerl, each a function of one time step.

Every function works for one life (shapes as written, without ``*lives``) and for many lives at once (a leading
``*lives`` axis on every tensor), in float32 and float64. Time is in the names: ``membrane_tm1`` is the membrane at
t-1. Functions that end in ``_`` update their first argument in place; the others return new tensors.

The network these equations describe is, for one hidden layer,

    u_t = m v_{t-1} + (1-m)(W x_t + b)      z_t = [u_t >= theta]      v_t = reset(u_t, z_t)
    zbar_t = k zbar_{t-1} + (1-k) z_t       y_t = V zbar_t + c

with ``psi_t`` standing in for the derivative of the step z by u (the surrogate gradient of Neftci, Mostafa and
Zenke 2019, https://arxiv.org/abs/1901.09948). What follows from that choice is exact: the eligibilities below equal
backpropagation through time of this network, with weights held fixed.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Surrogate = Literal["triangle", "arctan"]
Reset = Literal["soft", "hard"]


class LIFStep(NamedTuple):
    """What one tick of a layer of leaky integrate-and-fire neurons yields, each [*lives, n].

    ``reset_gain`` is d v_t / d u_t and ``reset_drive`` the direct part of d v_t / d theta; both include the path
    through the spike.
    """

    spikes: Tensor
    membrane: Tensor
    surrogate: Tensor
    reset_gain: Tensor
    reset_drive: Tensor


def affine(weight: Tensor, inputs: Tensor) -> Tensor:
    """Multiply one matrix per life by one vector per life.

    Args:
        weight: [*lives, n_out, n_in].
        inputs: [*lives, n_in].

    Returns:
        [*lives, n_out].
    """
    if weight.dim() == 2:
        return torch.mv(weight, inputs)
    return torch.matmul(weight, inputs.unsqueeze(-1)).squeeze(-1)


def affine_transposed(weight: Tensor, signal: Tensor) -> Tensor:
    """Carry a signal at the outputs of a matrix back to its inputs: weight^T signal.

    Args:
        weight: [*lives, n_out, n_in].
        signal: [*lives, n_out].

    Returns:
        [*lives, n_in].
    """
    return affine(weight.transpose(-1, -2), signal)


def surrogate_derivative(distance: Tensor, slope: float, kind: Surrogate) -> Tensor:
    """Stand in for the derivative of the spike by the membrane.

    ``triangle``: slope max(0, 1 - slope |u - theta|), after Esser et al. 2016 (https://arxiv.org/abs/1603.08270).
    ``arctan``: slope / (1 + (pi/2 slope (u - theta))^2), after Fang et al. 2021 (https://arxiv.org/abs/2007.05785).

    Args:
        distance: u - theta, [*lives, n].
        slope: height of the surrogate at the threshold, per unit of membrane.
        kind: which of the two.
    """
    if kind == "triangle":
        return (distance.abs() * (-slope * slope) + slope).clamp_(min=0.0)
    square = (math.pi / 2) ** 2 * slope
    return torch.addcmul(torch.full_like(distance, 1 / slope), distance, distance, value=square).reciprocal_()


def surrogate_integral(distance: Tensor, slope: float, kind: Surrogate) -> Tensor:
    """Return the odd function whose derivative ``surrogate_derivative`` is: what a neuron without a step hands on.

    ``arctan``: 2/pi arctan(pi/2 slope (u - theta)), between -1 and 1. ``triangle``: slope x (1 - slope |x| / 2) for
    |x| = |u - theta| below 1/slope, -1/2 or 1/2 beyond.

    Args:
        distance: u - theta, [*lives, n].
        slope: at the threshold, per unit of membrane.
        kind: which of the two.
    """
    if kind == "triangle":
        x = (distance * slope).clamp_(-1.0, 1.0)
        return x * (1 - x.abs() / 2)
    return (distance * (math.pi / 2 * slope)).atan_().mul_(2 / math.pi)


def lif_potential(current: Tensor, membrane_tm1: Tensor, membrane_decay: Tensor) -> Tensor:
    """Integrate: u_t = m v_{t-1} + (1-m) I_t; a constant current I settles at v = I.

    Args:
        current: I_t = W x_t + b, [*lives, n].
        membrane_tm1: v_{t-1}, [*lives, n].
        membrane_decay: m in [0, 1) per tick, [*lives, n] or [*lives, 1].
    """
    return torch.lerp(current, membrane_tm1, membrane_decay)


def lif_fire(
    potential: Tensor,
    threshold: Tensor,
    slope: float,
    surrogate: Surrogate,
    reset: Reset,
    detach_reset: bool = False,
) -> LIFStep:
    """Fire and reset.

    Soft reset: v = u - theta z. Hard reset: v = u (1 - z). With dz = psi (du - dtheta) their derivatives are

        soft: dv/du = 1 - theta psi         dv/dtheta = -z + theta psi
        hard: dv/du = 1 - z - u psi         dv/dtheta = u psi

    ``detach_reset`` takes the spike in the reset as a constant (psi = 0 in the four terms above). A hard reset needs
    it in long lives: below the threshold u psi is negative, so dv/du exceeds 1 and a sensitivity can grow without
    bound.

    Args:
        potential: u_t, [*lives, n].
        threshold: theta > 0, [*lives, n] or [*lives, 1].
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


def graded_fire(potential: Tensor, threshold: Tensor, slope: float, surrogate: Surrogate) -> LIFStep:
    """Hand on a graded potential in place of spikes, without a reset: z = integral of the surrogate, v = u.

    What stands in for the derivative of a spike is the derivative here: nothing is surrogate. dv/du = 1, dv/dtheta = 0.

    Args:
        potential: u_t, [*lives, n].
        threshold: theta, where z is 0 and steepest, [*lives, n] or [*lives, 1].
        slope: of z there.
        surrogate: ``triangle`` or ``arctan``.
    """
    distance = potential - threshold
    psi = surrogate_derivative(distance, slope, surrogate)
    graded = surrogate_integral(distance, slope, surrogate)
    return LIFStep(graded, potential, psi, torch.ones_like(psi), torch.zeros_like(psi))


def carry_sensitivity_(sensitivity: Tensor, leak: Tensor, drive: Tensor) -> Tensor:
    """Advance d u_t / d parameter, in place: s_t = leak s_{t-1} + drive.

    This is forward-mode differentiation of the membrane with the layer's own recurrence (the membrane and its reset)
    and no other; the eligibility vector of e-prop (Bellec et al. 2020, eq. 14) with the reset kept.

    Args:
        sensitivity: [*lives, rows, n], one row per parameter that each of the n neurons has; overwritten.
        leak: d u_t / d u_{t-1} = m dv_{t-1}/du_{t-1}, [*lives, n].
        drive: the direct dependence, [*lives, rows, n]: (1-m) x for a weight, v_{t-1} - I_t for m,
            m dv_{t-1}/dtheta for theta.
    """
    return torch.addcmul(drive, sensitivity, leak.unsqueeze(-2), out=sensitivity)


def low_pass_(trace: Tensor, decay: Tensor | float, value: Tensor) -> Tensor:
    """Average with exponential forgetting, in place: trace = decay trace + (1 - decay) value."""
    if isinstance(decay, Tensor):
        return torch.lerp(value, trace, decay, out=trace)
    return trace.lerp_(value, 1.0 - decay)


def accumulate_(trace: Tensor, decay: float, value: Tensor) -> Tensor:
    """Add to a decaying sum, in place: trace = decay trace + value."""
    return torch.add(value, trace, alpha=decay, out=trace)


def categorical_score(probabilities: Tensor, action: Tensor) -> Tensor:
    """Differentiate log pi(action) by the logits: onehot(action) - pi.

    Args:
        probabilities: softmax of the logits, [*lives, n_actions].
        action: int64 index, [*lives].
    """
    return (-probabilities).scatter_add_(-1, action.unsqueeze(-1), torch.ones_like(probabilities[..., :1]))


def categorical_entropy(probabilities: Tensor, log_probabilities: Tensor) -> Tensor:
    """Entropy in nats, -sum pi log pi: [*lives]."""
    return (probabilities * log_probabilities).sum(-1).neg_()


def categorical_entropy_gradient(probabilities: Tensor, log_probabilities: Tensor, entropy: Tensor) -> Tensor:
    """Differentiate the entropy H by the logits: -pi (log pi + H), [*lives, n_actions]."""
    return (log_probabilities + entropy.unsqueeze(-1)).mul_(probabilities).neg_()


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), at any x."""
    return x.clamp(min=0.0).add_(torch.log1p(x.abs().neg_().exp_()))


def bernoulli_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Entropy of independent coins in nats, the sum of softplus(l) - p l: [*lives].

    Args:
        logits: l = log p / (1-p), [*lives, n].
        probabilities: p = sigmoid(l), [*lives, n].
    """
    return (softplus(logits) - probabilities * logits).sum(-1)


def bernoulli_entropy_gradient(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Differentiate the entropy by the logits: -l p (1-p), [*lives, n]."""
    return logits * probabilities * (probabilities - 1)


def box_muller(uniform: Tensor) -> Tensor:
    """Make a standard normal number of each pair of uniform ones: sqrt(-2 log(1-u)) cos(2 pi u').

    The first half of Box and Muller 1958 (https://doi.org/10.1214/aoms/1177706645): their sine would be a second
    number, which is left out for a draw to stand by itself.

    Args:
        uniform: (u, u') in [0, 1), [..., n, 2].

    Returns:
        [..., n].
    """
    first, second = uniform.unbind(-1)
    radius = torch.log1p(-first).mul_(-2).sqrt_()
    return (second * (2 * math.pi)).cos_().mul_(radius)


def gaussian_score(action: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate the log-density by mu, z / sigma, and by sigma, (z^2 - 1) / sigma: each [*lives, n]."""
    z = (action - mean) / std
    return z / std, z.square().sub_(1).div_(std)


def clipped_gaussian_log_probability(action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log-probability of independent normal numbers that are clipped, in nats, summed: [*lives].

    Between the bounds it is the log-density, -z^2/2 - log sigma - log(2 pi)/2 with z = (a - mu) / sigma; at a bound,
    log of the mass beyond it, whichever number was drawn (Fujita and Maeda 2018, https://arxiv.org/abs/1802.07564).

    Args:
        action: a before it is clipped, [*lives, n].
        mean: mu, [*lives, n].
        std: sigma > 0, [*lives, n].
        low: least number after clipping, or -inf, in the dtype of the others, [n].
        high: largest number after clipping, or inf, likewise, [n].
    """
    side, distance = _beyond(action, mean, std, low, high)
    z = (action - mean) / std
    within = z.square().mul_(-0.5) - std.log() - 0.5 * math.log(2 * math.pi)
    return torch.where(side == 0, within, torch.special.log_ndtr(-distance)).sum(-1)


def clipped_gaussian_score(
    action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Differentiate ``clipped_gaussian_log_probability`` by mu and by sigma: each [*lives, n].

    Between the bounds ``gaussian_score``. At a bound b, with d = +-(b - mu) / sigma the distance to it and
    m(d) = phi(d) / (1 - Phi(d)), +-m(d) / sigma and d m(d) / sigma: what the scores of all numbers beyond it are on
    average, so that the gradient of the return is the same and its variance less.
    """
    side, distance = _beyond(action, mean, std, low, high)
    log_density = distance.square().mul_(-0.5).sub_(0.5 * math.log(2 * math.pi))
    hazard = log_density.sub_(torch.special.log_ndtr(-distance)).exp_().div_(std)
    by_mean, by_std = gaussian_score(action, mean, std)
    return torch.where(side == 0, by_mean, side * hazard), torch.where(side == 0, by_std, distance * hazard)


def _beyond(action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return which bound a number has reached (-1, 0: none, 1), and by how many sigma that one lies outward of mu."""
    side = (action >= high).to(mean.dtype) - (action <= low).to(mean.dtype)
    bound = torch.where(side > 0, high, torch.where(side < 0, low, mean))
    return side, side * (bound - mean) / std


def gaussian_entropy(std: Tensor) -> Tensor:
    """Differential entropy of independent normal numbers in nats, the sum of log sigma + log(2 pi e)/2: [*lives]."""
    return std.log().sum(-1).add_(std.shape[-1] * 0.5 * (math.log(2 * math.pi) + 1))


def td_error(reward: Tensor, value_t: Tensor, value_tp1: Tensor, discount: float, continues: Tensor) -> Tensor:
    """One-step temporal-difference error r + gamma V(s') [s' not terminal] - V(s) (Sutton and Barto 2018, eq. 6.5).

    Args:
        reward: [*lives].
        value_t: V(s), as computed when s was seen, [*lives].
        value_tp1: V(s'), [*lives].
        discount: gamma per env step.
        continues: 0 where the episode terminated, 1 elsewhere (also where it was truncated), [*lives].
    """
    return torch.addcmul(reward - value_t, value_tp1, continues, value=discount)
