"""Distributions of actions: score functions, log-probabilities and entropies in closed form.

Part of ``tracerl.nn.functional``: every function supports one lifetime and many, in float32 and float64. A score
function is the derivative of log pi(a) by the parameters of pi, the characteristic eligibility of REINFORCE (Williams
1992, https://doi.org/10.1007/BF00992696).
"""

import math

import torch
from torch import Tensor


def categorical_score(probabilities: Tensor, action: Tensor) -> Tensor:
    """Differentiate log pi(action) with respect to the logits: onehot(action) - pi.

    The score function (Williams 1992, https://doi.org/10.1007/BF00992696) of a softmax.

    Args:
        probabilities: softmax of the logits, [*lifetimes, n_actions].
        action: int64 index, [*lifetimes].
    """
    return (-probabilities).scatter_add_(-1, action.unsqueeze(-1), torch.ones_like(probabilities[..., :1]))


def categorical_entropy(probabilities: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return the entropy in nats, -sum pi log pi: [*lifetimes]."""
    return (probabilities * log_probabilities).sum(-1).neg_()


def categorical_entropy_gradient(probabilities: Tensor, log_probabilities: Tensor, entropy: Tensor) -> Tensor:
    """Differentiate the entropy H with respect to the logits: -pi (log pi + H), [*lifetimes, n_actions]."""
    return (log_probabilities + entropy.unsqueeze(-1)).mul_(probabilities).neg_()


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)) without overflow, in the shape of x."""
    return x.clamp(min=0.0).add_(torch.log1p(x.abs().neg_().exp_()))


def bernoulli_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Return the entropy of independent Bernoulli variables in nats, the sum of softplus(l) - p l: [*lifetimes].

    Args:
        logits: l = log p / (1-p), [*lifetimes, n].
        probabilities: p = sigmoid(l), [*lifetimes, n].
    """
    return (softplus(logits) - probabilities * logits).sum(-1)


def bernoulli_entropy_gradient(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Differentiate the entropy with respect to the logits: -l p (1-p), [*lifetimes, n]."""
    return logits * probabilities * (probabilities - 1)


def box_muller(uniform: Tensor) -> Tensor:
    """Convert each pair of uniform numbers to a standard normal number: sqrt(-2 log(1-u)) cos(2 pi u'), [..., n].

    The first half of Box and Muller 1958 (https://doi.org/10.1214/aoms/1177706645). Their second number, with the sine,
    is left out so that every draw is independent of the others.

    Args:
        uniform: (u, u') in [0, 1), [..., n, 2].
    """
    first, second = uniform.unbind(-1)
    radius = torch.log1p(-first).mul_(-2).sqrt_()
    return (second * (2 * math.pi)).cos_().mul_(radius)


def gaussian_score(action: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate the log-density by mu, z / sigma, and by sigma, (z^2 - 1) / sigma: each [*lifetimes, n].

    The score function (Williams 1992, https://doi.org/10.1007/BF00992696) of a normal number, z = (a - mu) / sigma.
    """
    z = (action - mean) / std
    return z / std, z.square().sub_(1).div_(std)


def clipped_gaussian_log_probability(action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the summed log-probability of independent clipped normal numbers, in nats: [*lifetimes].

    Between the bounds it is the log-density, -z^2/2 - log sigma - log(2 pi)/2 with z = (a - mu) / sigma. At a bound it
    is the log of the mass beyond the bound, for every a there (Fujita and Maeda 2018,
    https://arxiv.org/abs/1802.07564).

    Args:
        action: a before clipping, [*lifetimes, n].
        mean: mu, [*lifetimes, n].
        std: sigma > 0, [*lifetimes, n].
        low: lower bound or -inf, in the dtype of the others, [n].
        high: upper bound or inf, in the dtype of the others, [n].
    """
    side, distance = _beyond(action, mean, std, low, high)
    z = (action - mean) / std
    within = z.square().mul_(-0.5) - std.log() - 0.5 * math.log(2 * math.pi)
    return torch.where(side == 0, within, torch.special.log_ndtr(-distance)).sum(-1)


def clipped_gaussian_score(
    action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Differentiate ``clipped_gaussian_log_probability`` by mu and by sigma: each [*lifetimes, n].

    Between the bounds this is ``gaussian_score``. At a bound b, with the distance d = +-(b - mu) / sigma and m(d) =
    phi(d) / (1 - Phi(d)), it is +-m(d) / sigma and d m(d) / sigma. This is the mean of ``gaussian_score`` over all
    numbers beyond the bound, so that the gradient of the return has the same expectation and less variance (Fujita and
    Maeda 2018, https://arxiv.org/abs/1802.07564).
    """
    side, distance = _beyond(action, mean, std, low, high)
    log_density = distance.square().mul_(-0.5).sub_(0.5 * math.log(2 * math.pi))
    hazard = log_density.sub_(torch.special.log_ndtr(-distance)).exp_().div_(std)
    by_mean, by_std = gaussian_score(action, mean, std)
    return torch.where(side == 0, by_mean, side * hazard), torch.where(side == 0, by_std, distance * hazard)


def _beyond(action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bound that a number reaches (-1, 1 or 0: none) and the signed distance of that bound from mu."""
    side = (action >= high).to(mean.dtype) - (action <= low).to(mean.dtype)
    bound = torch.where(side > 0, high, torch.where(side < 0, low, mean))
    return side, side * (bound - mean) / std


def gaussian_entropy(std: Tensor) -> Tensor:
    """Return the differential entropy of independent normal numbers in nats: [*lifetimes].

    The entropy is the sum of log sigma + log(2 pi e)/2.
    """
    return std.log().sum(-1).add_(std.shape[-1] * 0.5 * (math.log(2 * math.pi) + 1))


def relative_entropy_by_log_std(std: Tensor, reference_std: float) -> Tensor:
    """Return the derivative by log sigma of -KL(N(mu, sigma^2) | N(m, s^2)), 1 - (sigma / s)^2: the shape of ``std``.

    The relative entropy of two normal numbers is log(s / sigma) + (sigma^2 + (mu - m)^2) / (2 s^2) - 1/2. As an entropy
    bonus it is tracerl's own (docs/research/relative-entropy.md).

    Args:
        std: sigma.
        reference_std: s.
    """
    return 1 - (std / reference_std).square()


def relative_entropy_by_mean(mean: Tensor, low: Tensor, high: Tensor, reference_std: float) -> Tensor:
    """Return the derivative by mu of -KL(N(mu, sigma^2) | N(m, s^2)), -(mu - m) / s^2: the shape of ``mean``.

    See ``relative_entropy_by_log_std``. m follows mu within the bounds, where the derivative is zero.

    Args:
        mean: mu.
        low: lower bound of m, which is the nearest to mu within the bounds.
        high: upper bound of m.
        reference_std: s.
    """
    return (mean.clamp(low, high) - mean) / (reference_std * reference_std)
