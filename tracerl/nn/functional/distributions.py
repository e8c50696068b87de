"""The distributions that actions are drawn from: scores, log-probabilities and entropies, in closed form.

Part of ``tracerl.nn.functional``, and like all of it for one lifetime or for many at once, in float32 and float64.
"""

import math

import torch
from torch import Tensor


def categorical_score(probabilities: Tensor, action: Tensor) -> Tensor:
    """Differentiate log pi(action) by the logits: onehot(action) - pi.

    Args:
        probabilities: softmax of the logits, [*lifetimes, n_actions].
        action: int64 index, [*lifetimes].
    """
    return (-probabilities).scatter_add_(-1, action.unsqueeze(-1), torch.ones_like(probabilities[..., :1]))


def categorical_entropy(probabilities: Tensor, log_probabilities: Tensor) -> Tensor:
    """Entropy in nats, -sum pi log pi: [*lifetimes]."""
    return (probabilities * log_probabilities).sum(-1).neg_()


def categorical_entropy_gradient(probabilities: Tensor, log_probabilities: Tensor, entropy: Tensor) -> Tensor:
    """Differentiate the entropy H by the logits: -pi (log pi + H), [*lifetimes, n_actions]."""
    return (log_probabilities + entropy.unsqueeze(-1)).mul_(probabilities).neg_()


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), at any x."""
    return x.clamp(min=0.0).add_(torch.log1p(x.abs().neg_().exp_()))


def bernoulli_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Entropy of independent coins in nats, the sum of softplus(l) - p l: [*lifetimes].

    Args:
        logits: l = log p / (1-p), [*lifetimes, n].
        probabilities: p = sigmoid(l), [*lifetimes, n].
    """
    return (softplus(logits) - probabilities * logits).sum(-1)


def bernoulli_entropy_gradient(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Differentiate the entropy by the logits: -l p (1-p), [*lifetimes, n]."""
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
    """Differentiate the log-density by mu, z / sigma, and by sigma, (z^2 - 1) / sigma: each [*lifetimes, n]."""
    z = (action - mean) / std
    return z / std, z.square().sub_(1).div_(std)


def clipped_gaussian_log_probability(action: Tensor, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log-probability of independent normal numbers that are clipped, in nats, summed: [*lifetimes].

    Between the bounds it is the log-density, -z^2/2 - log sigma - log(2 pi)/2 with z = (a - mu) / sigma; at a bound,
    log of the mass beyond it, whichever number was drawn (Fujita and Maeda 2018, https://arxiv.org/abs/1802.07564).

    Args:
        action: a before it is clipped, [*lifetimes, n].
        mean: mu, [*lifetimes, n].
        std: sigma > 0, [*lifetimes, n].
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
    """Differentiate ``clipped_gaussian_log_probability`` by mu and by sigma: each [*lifetimes, n].

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
    """Differential entropy of independent normal numbers in nats, the sum of log sigma + log(2 pi e)/2:
    [*lifetimes]."""
    return std.log().sum(-1).add_(std.shape[-1] * 0.5 * (math.log(2 * math.pi) + 1))
