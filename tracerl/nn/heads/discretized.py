"""Softmaxes over a few values of each number of a Box."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.nn.heads.categorical import MultiCategorical
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.spaces import bounds_of, one_line, units_of


class Discretized(MultiCategorical):
    """An independent softmax for each number of a Box, over values from its lower to its upper bound.

    With n bins and spacing p, in units of half the range around its centre, the values are

        v_i = sign(u_i) |u_i|^p        u_i = 2 i / (n - 1) - 1,        i = 0..n-1

    For p = 1 they are evenly spaced (Tang and Agrawal 2020, https://arxiv.org/abs/1901.10500; with two, bang-bang
    control, Seyde et al. 2021, https://arxiv.org/abs/2111.02552), above 1 they are closer to each other near the
    centre, where most Boxes have their rest. Score and entropy are bounded, in contrast to those of a Gaussian, so that
    the entropy bonus needs no bound.

    ``bonus_components``, b: of an action of k numbers, the bonus is b / k times the entropy. The noise of each number
    is noise in the td error of all the others, and under b the sum of the bonuses does not grow with k.

    Attributes:
        grid: the values in the env's own units, float64, [components, bins].
        bonus_scale: b / k; 1 without b.
    """

    def __init__(
        self, space: spaces.Box, lifetimes: Lifetimes, bins: int, spacing: float, bonus_components: float | None
    ) -> None:
        """Initialise the uniform distribution; numbers are in row-major order.

        Raises:
            ConfigError: naming ``head.bins``, if a number of the Box lacks a bound.
        """
        low, high, bounded = bounds_of(space)
        if not bounded.all():
            problem = f"must be null where an action has no finite bounds, got {bins} for {one_line(space)}"
            raise ConfigError("head.bins", problem)
        super().__init__(spaces.MultiDiscrete(np.full(space.shape, bins)), lifetimes)
        even = np.linspace(-1, 1, bins)
        values = np.sign(even) * np.abs(even) ** spacing
        centre, half_range = units_of(space)
        grid = np.clip(centre + half_range * values[:, None], low, high).T
        self._values, self.grid = (torch.from_numpy(numbers).to(lifetimes.device) for numbers in (values, grid))
        self._numbers = torch.arange(self.n_components, device=lifetimes.device)
        self.bonus_scale = 1.0 if bonus_components is None else bonus_components / self.n_components
        self._dtype = space.dtype

    def shown(self) -> dict[str, Tensor | None]:
        """Return mean and standard deviation of each number, in units of half its range: [*lifetimes, components]."""
        each = self.probabilities.unflatten(-1, (self.n_components, -1))
        values = self._values.to(each.dtype)
        mean = (each * values).sum(-1)
        variance = (each * values.square()).sum(-1) - mean.square()
        return {"mean": mean, "std": variance.clamp(0).sqrt()}

    def chosen(self) -> Any:
        """Return the values in the space's dtype, [*lifetimes, *shape]."""
        return self.grid[self._numbers, self.action].cpu().numpy().reshape(self._shape).astype(self._dtype)
