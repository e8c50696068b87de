"""Independent Gaussian distributions for the numbers of a Box."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn import functional as F
from tracerl.nn.heads.base import Head
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream
from tracerl.nn.spaces import bounds_of, units_of

LEAST_STD = 1e-3  # added to every standard deviation; keeps the gradient of log pi finite
_MOST_SHARES = 8  # largest number of components over which reference_std is divided at the start


@dataclass(frozen=True, kw_only=True)
class GaussianSettings:
    """Settings of a Gaussian head; see ``Gaussian``.

    Attributes:
        max_std: bound of the standard deviations, summed over all numbers of the action with a finite range, in units
            of half the range; None: no bound.
        target_std: the entropy bonus widens a number of the action with a finite range up to this standard deviation,
            in units of half the range; None: any number, always.
        reference_std: the entropy bonus is minus the KL divergence from a Gaussian whose mean is the nearest within the
            bounds and whose variances sum to the square of this, over all numbers of the action with a finite range, in
            units of half the range; None: it is the entropy. Deviations begin at it over the count of these numbers,
            of 8 at most. Not with ``target_std``.
        clipped_log_prob: log pi is that of the clipped action: at a bound, of the mass beyond it.
        mean_margin: largest distance of the mean beyond a bound, in standard deviations; None: no bound.
        bonus_components: the entropy bonus of an action weighs at most as much as that of so many numbers, however many
            it has; None: as much as that of all its numbers.
    """

    max_std: float | None = None
    target_std: float | None = None
    reference_std: float | None = None
    clipped_log_prob: bool = False
    mean_margin: float | None = None
    bonus_components: float | None = None

    def __post_init__(self) -> None:
        if self.max_std is not None:
            checks.positive("max_std", self.max_std)
        if self.target_std is not None:
            checks.positive("target_std", self.target_std)
        if self.reference_std is not None:
            checks.positive("reference_std", self.reference_std)
            if self.target_std is not None:
                raise ConfigError("reference_std", f"must be null where target_std is not, got {self.reference_std!r}")
        checks.flag("clipped_log_prob", self.clipped_log_prob)
        if self.mean_margin is not None:
            checks.non_negative("mean_margin", self.mean_margin)
        if self.bonus_components is not None:
            checks.positive("bonus_components", self.bonus_components)


class Gaussian(Head):
    """An independent normal distribution for each number of a Box; mean and deviation are network outputs.

        (mu, rho) = outputs        sigma = softplus(rho) + 0.001        a ~ N(mu, sigma^2)
                                   sigma = reference_std / (min(k, 8) ln 2) softplus(rho) + 0.001 under reference_std
                                   sigma = max_std / k sigmoid(rho) + 0.001 under max_std, for k finite ranges

    Units: where a number of the Box has two finite bounds, a in [-1, 1] is mapped to them, so that mean and deviation
    are in units of half the range. Elsewhere a is in the env's own units. The env receives a clipped to its bounds.

    ``max_std``: the entropy of a Gaussian is unbounded, so that an entropy bonus increases sigma without limit, until
    the policy is mostly noise at the bounds of the Box. Under ``max_std`` the gradient of the entropy vanishes as sigma
    approaches its bound, as it does for a categorical head near the uniform distribution, and the same bonus weight
    suits both heads. The bound applies to the sum of all sigma, because the noise of each component is noise in the td
    error of all the others.

    ``target_std``, sigma*: the entropy H_i of number i is replaced in the bonus by min(H_i, H(sigma*)), so that the
    bonus vanishes where sigma has reached sigma*. A bonus without it has no equilibrium in between where the noise of
    the action causes most of the td error, to whose size its weight is proportional: it widens sigma to its bound, or
    is too weak at every sigma.

    ``reference_std``: the bonus of number i is

        -KL(N(mu, sigma^2) | N(m, s^2))        s = reference_std / sqrt(k)        m = mu clipped to the bounds

    and up to a constant log sigma - (sigma / s)^2 / 2 - ((mu - m) / s)^2 / 2, k the number of finite ranges. The bonus
    draws sigma to s from both sides. At s its gradient vanishes, while that of log pi does not, as it does near
    ``max_std``. The variances s^2 sum to reference_std^2, because those of independent components add up in the td
    error. A mean beyond a bound is drawn back to it, so that samples within the bounds keep occurring; ``mean_margin``
    is then not needed. At rho = 0, near which a network begins, sigma is reference_std / min(k, 8): a single component
    needs much noise to find a distant goal, and a body of many components learns little while it falls at once
    (docs/research/deviation-start.md).

    ``bonus_components``, b: of an action of n numbers, the bonus is min(1, b / n) times that of all. The noise of each
    number is noise in the td error of all the others, and under b the sum of the bonuses does not grow with n.

    ``clipped_log_prob``: log pi and its gradient are those of a itself or, under this setting, of the clipped action:
    at a bound, of the mass beyond it. Both gradients are unbiased. The second has less variance, since it does not
    distinguish actions that are equal for the env (https://arxiv.org/abs/1802.07564). The entropy is that of a.

    ``mean_margin``: where almost the whole Gaussian lies beyond a bound, the action is deterministic, the second
    gradient vanishes, and no reward can change the policy. Under this setting mu is its output o clipped to so many
    sigma beyond a bound, so that samples within the bounds, and a gradient, keep occurring. The gradient with respect
    to mu is applied to o unchanged (straight-through estimator, https://arxiv.org/abs/1308.3432), since the derivative
    of the clipping is zero. The penalty ((o - mu) / sigma)^2 / 2 is subtracted from the entropy bonus, to keep o close
    to mu.

    Attributes:
        mean: mu of the last outputs, within its margin, [*lifetimes, n].
        std: sigma, [*lifetimes, n].
        std_gain: d sigma / d rho, [*lifetimes, n].
        action: the last a, before clipping, [*lifetimes, n].
        sent: the clipped action in the env's own units, float64, [*lifetimes, n].
        low: lower bound of ``sent``, float64, [n].
        high: upper bound of ``sent``, float64, [n].
        centre: value of ``sent`` at a = 0, float64, [n].
        half_range: change of ``sent`` per unit of a, float64, [n].
        least: bound of the lower tail of log pi, in units of a, [n]; -inf where there is none.
        most: bound of the upper tail of log pi, in units of a, [n]; inf where there is none.
        target_std: sigma* of the settings.
        each_reference: s, in units of a; None: none.
        std_unit: sigma per softplus(rho) where the range is finite and ``max_std`` is None, in units of a.
        each_std: bound of each sigma where the range is finite, in units of a; None: no bound.
        mean_margin: largest distance of mu beyond a bound, in units of sigma; None: no bound.
        excess: o - mu, [*lifetimes, n]; None without ``mean_margin``.
        ends: the bounds of each number in units of a, [2, n]; -inf and inf where there are none.
    """

    mean: Tensor
    std: Tensor
    std_gain: Tensor
    excess: Tensor | None
    sent: Tensor

    def __init__(self, space: spaces.Box, lifetimes: Lifetimes, settings: GaussianSettings) -> None:
        """Initialise around the centre of the Box; numbers are in row-major order."""
        super().__init__()
        low, high, bounded = bounds_of(space)
        centre, half_range = units_of(space)
        sides = [np.where(bounded, side, bound) for side, bound in ((-1.0, low), (1.0, high))]
        least, most = sides if settings.clipped_log_prob else (np.full_like(low, -np.inf), np.full_like(high, np.inf))
        wide = (torch.from_numpy(numbers).to(lifetimes.device) for numbers in (low, high, centre, half_range))
        self.low, self.high, self.centre, self.half_range = wide
        self.ends, self.least, self.most = (
            torch.from_numpy(numbers).to(lifetimes.device, lifetimes.dtype)
            for numbers in (np.stack(sides), least, most)
        )
        self._has_range, n = torch.from_numpy(bounded).to(lifetimes.device), len(low)
        k, reference_std = max(1, int(bounded.sum())), settings.reference_std
        self.each_std = None if settings.max_std is None else settings.max_std / k
        self.each_reference = None if reference_std is None else reference_std / math.sqrt(k)
        self.std_unit = 1.0 if reference_std is None else reference_std / min(k, _MOST_SHARES) / math.log(2)
        self.target_std, self.mean_margin = settings.target_std, settings.mean_margin
        self.bonus_scale = 1.0 if settings.bonus_components is None else min(1.0, settings.bonus_components / n)
        self.n_outputs, self.n_components = 2 * n, n
        self._dtype, self._shape = space.dtype, (*lifetimes.shape, *space.shape)
        for name in ("mean", "std", "std_gain", "action"):
            self.register_buffer(name, lifetimes.zeros(n))
        self.register_buffer("excess", None if self.mean_margin is None else lifetimes.zeros(n))
        self.register_buffer("sent", lifetimes.zeros(n, dtype=torch.float64))

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Draw each component from its Gaussian, with two uniform numbers each; see ``Head.sample``."""
        mean, rho = outputs.chunk(2, -1)
        self._write_std(rho)
        self._clip_mean(mean)
        noise = F.box_muller(stream.draw_many(self.n_outputs).unflatten(-1, (-1, 2)))
        torch.addcmul(self.mean, self.std, noise.to(self.std.dtype), value=0 if self.greedy else 1, out=self.action)
        torch.addcmul(self.centre, self.action.double(), self.half_range, out=self.sent)
        torch.clamp(self.sent, self.low, self.high, out=self.sent)

    def _clip_mean(self, mean: Tensor) -> None:
        """Write mu, clipped to the margin beyond the bounds, and o - mu."""
        if self.mean_margin is None:
            self.mean.copy_(mean)
            return
        lowest, highest = self.ends
        margin = self.std * self.mean_margin
        torch.clamp(mean, lowest - margin, highest + margin, out=self.mean)
        torch.sub(mean, self.mean, out=self.excess)

    def _write_std(self, rho: Tensor) -> None:
        """Write sigma and d sigma / d rho."""
        torch.sigmoid(rho, out=self.std_gain)
        self.std.copy_(F.softplus(rho))
        if self.each_std is not None:
            bounded = self.std_gain * self.each_std
            torch.where(self._has_range, bounded, self.std, out=self.std)
            torch.where(self._has_range, bounded - self.std_gain * bounded, self.std_gain, out=self.std_gain)
        elif self.std_unit != 1:
            for numbers in (self.std, self.std_gain):
                torch.where(self._has_range, numbers * self.std_unit, numbers, out=numbers)
        self.std.add_(LEAST_STD)

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats, as a density over a: [*lifetimes]."""
        return F.clipped_gaussian_log_probability(self.action, self.mean, self.std, self.least, self.most)

    def entropy(self) -> Tensor:
        """Return the differential entropy of a, in nats, which can be negative: [*lifetimes]."""
        return F.gaussian_entropy(self.std)

    def score(self) -> Tensor:
        """Return the gradient of log pi of the action by mu (clipped or not) and rho: [*lifetimes, 2 n]."""
        by_mean, by_std = F.clipped_gaussian_score(self.action, self.mean, self.std, self.least, self.most)
        return torch.cat([by_mean, by_std.mul_(self.std_gain)], -1)

    def entropy_gradient(self) -> Tensor:
        """Return the gradient by o and rho of the entropy bonus, with all settings of it: [*lifetimes, 2 n].

        ``target_std`` limits the entropy, ``reference_std`` replaces it, ``mean_margin`` has a penalty.
        """
        back = torch.zeros_like(self.mean) if self.excess is None else -self.excess / self.std / self.std
        wider = self.std_gain / self.std
        if self.target_std is not None:
            wider.masked_fill_(self._has_range & (self.std >= self.target_std), 0.0)
        elif self.each_reference is not None:
            low, high = self.ends
            by_mean = F.relative_entropy_by_mean(self.mean, low, high, self.each_reference)
            by_log_std = F.relative_entropy_by_log_std(self.std, self.each_reference)
            back += torch.where(self._has_range, by_mean, 0.0)
            wider = torch.where(self._has_range, wider * by_log_std, wider)
        return torch.cat([back, wider], -1)

    def chosen(self) -> Any:
        """Return the clipped action in the space's dtype, [*lifetimes, *shape]; NaN is replaced by the centre."""
        sent = self.sent.cpu().numpy()
        if not np.isfinite(sent).all():
            sent = np.where(np.isnan(sent), self.centre.cpu().numpy(), sent)
        return sent.reshape(self._shape).astype(self._dtype)
