"""Running scales of observations and rewards."""

import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule

_EPSILON = 1e-8  # added to every variance
_LEAST_SHARE = 0.01  # lower bound of the variance of the discounted rewards, as a share of their mean square
_KNOWN = 1000  # number of rewards after which one alone is bounded by those before it


class RunningMoments(StateModule):
    """Running mean and sample variance of all values (Welford 1962, https://doi.org/10.2307/1266577), in float64.

    Attributes:
        count: number of values, float64, [*lifetimes, 1].
        mean: [*lifetimes, n].
        squares: sum of squared deviations from the mean, [*lifetimes, n].
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, n: int, lifetimes: Lifetimes) -> None:
        super().__init__()
        self.register_buffer("count", lifetimes.zeros(1, dtype=torch.float64))
        self.register_buffer("mean", lifetimes.zeros(n, dtype=torch.float64))
        self.register_buffer("squares", lifetimes.zeros(n, dtype=torch.float64))

    def update(self, value: Tensor) -> Tensor:
        """Update the moments by one value per lifetime, in place, and return its deviation from the updated mean.

        Args:
            value: float64, [*lifetimes, n].
        """
        self.count.add_(1)
        before = value - self.mean
        self.mean.addcdiv_(before, self.count)
        after = value - self.mean
        self.squares.addcmul_(before, after)
        return after

    def deviation(self) -> Tensor:
        """Return the sample standard deviation, [*lifetimes, n]; 1 for fewer than two values."""
        variance = self.squares / (self.count - 1)  # 0/0 at the first value
        return variance.nan_to_num_(nan=1.0).add_(_EPSILON).sqrt_()


class ObservationNormalizer(StateModule):
    """Standardise observations by the moments of all observations so far, including the present one.

    x = clip((o - mean) / std, -clip, clip). As in streaming deep RL (Elsayed et al. 2024,
    https://arxiv.org/abs/2410.14606, section 3.3), with the clip added.
    """

    def __init__(self, n: int, clip: float, lifetimes: Lifetimes) -> None:
        super().__init__()
        self.moments = RunningMoments(n, lifetimes)
        self.clip = clip

    def forward(self, observation: Tensor) -> Tensor:
        """Update the moments by one observation and return it standardised: float64, [*lifetimes, n]."""
        deviation = self.moments.update(observation)
        return deviation.div_(self.moments.deviation()).clamp_(-self.clip, self.clip)


class RewardScaler(StateModule):
    """Divide rewards by the standard deviation of their discounted sum, without centring.

    u = gamma (1 - done) u + r, scaled = r / max(std(u), rms(u) / 10), and r / |u| at the first reward of a lifetime.
    After Engstrom et al. 2020 (https://arxiv.org/abs/2005.12729); done is 1 after termination and after truncation. The
    bound by the root-mean-square is tracerl's own. Without it, equal rewards at the start of a lifetime are amplified
    ten thousand times, and so are the running statistics of the step size.

    From the 1001st reward of a lifetime on, |r| is at most the root of the sum of the squares of u so far, unless that
    sum is 0. A wrong reading, such as a reward of a million, would otherwise make all later rewards vanish. Rewards of
    one size never reach this bound, and a task whose rewards become much larger reaches it a few times.
    """

    discounted: Tensor

    def __init__(self, discount: float, lifetimes: Lifetimes) -> None:
        super().__init__()
        self.moments = RunningMoments(1, lifetimes)
        self.discount = discount
        self.register_buffer("discounted", lifetimes.zeros(1, dtype=torch.float64))

    def forward(self, reward: Tensor, discount: Tensor | None = None) -> Tensor:
        """Update the moments by one reward and return it scaled: float64, [*lifetimes].

        Args:
            reward: float64, [*lifetimes].
            discount: gamma of this step, float64, [*lifetimes]; None: that of the construction.
        """
        limit = self._limit().squeeze(-1)
        reward = reward.clamp(-limit, limit)
        self.discounted.mul_(self.discount if discount is None else discount.unsqueeze(-1)).add_(reward.unsqueeze(-1))
        self.moments.update(self.discounted)
        return reward / self._scale().squeeze(-1)

    def _limit(self) -> Tensor:
        """Return the largest magnitude of a reward, infinite at the beginning: [*lifetimes, 1]."""
        count, mean = self.moments.count, self.moments.mean
        total = self.moments.squares + count * (mean * mean)
        return torch.where((count >= _KNOWN) & (total > 0), total.sqrt(), torch.inf)

    def _scale(self) -> Tensor:
        """Return the divisor of rewards: [*lifetimes, 1]."""
        count, squares = self.moments.count, self.moments.squares
        mean_square = squares / count
        mean_square.addcmul_(self.moments.mean, self.moments.mean)
        variance = torch.maximum(squares / (count - 1), mean_square * _LEAST_SHARE)
        return torch.where(count > 1, variance, mean_square).add_(_EPSILON).sqrt_()

    def end_episode(self, mask: Tensor | None = None) -> None:
        """Reset the discounted sum, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        clear_(self.discounted, mask)


def scale_reward(
    scaler: RewardScaler | None, reward: Tensor, dtype: torch.dtype, discount: Tensor | None = None
) -> Tensor:
    """Return a reward in the units and the dtype in which an agent learns, [*lifetimes].

    Args:
        scaler: updated in place; None: the reward is not scaled.
        reward: float64, [*lifetimes].
        dtype: of the result.
        discount: gamma of this step, float64, [*lifetimes]; None: that of the scaler.
    """
    return (reward if scaler is None else scaler(reward, discount)).to(dtype)
