"""Softmaxes over evenly spaced values of each number of a Box."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from tracerl.config.checks import ConfigError
from tracerl.nn.heads.categorical import MultiCategorical
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.spaces import bounds_of, grid_of


class Discretized(MultiCategorical):
    """An independent softmax for each number of a Box, over values from its lower to its upper bound.

    With n bins the values are low + i (high - low) / (n - 1), i = 0..n-1 (Tang and Agrawal 2020,
    https://arxiv.org/abs/1901.10500; with two, bang-bang control, Seyde et al. 2021, https://arxiv.org/abs/2111.02552).
    Score and entropy are bounded, in contrast to those of a Gaussian, so that the entropy bonus needs no bound.

    ``bonus_components``, b: of an action of k numbers, the bonus is b / k times the entropy. The noise of each number
    is noise in the td error of all the others, and under b the sum of the bonuses does not grow with k.

    Attributes:
        grid: the values in the env's own units, float64, [components, bins].
        bonus_scale: b / k; 1 without b.
    """

    def __init__(self, space: spaces.Box, lifetimes: Lifetimes, bins: int, bonus_components: float | None) -> None:
        """Initialise the uniform distribution; numbers are in row-major order.

        Raises:
            ConfigError: naming ``head.bins``, if a number of the Box lacks a bound.
        """
        _, _, bounded = bounds_of(space)
        if not bounded.all():
            raise ConfigError("head.bins", f"must be null where an action has no finite bounds, got {bins} for {space}")
        super().__init__(spaces.MultiDiscrete(np.full(space.shape, bins)), lifetimes)
        self.grid = torch.from_numpy(grid_of(space, bins)).to(lifetimes.device)
        self._numbers = torch.arange(self.n_components, device=lifetimes.device)
        self.bonus_scale = 1.0 if bonus_components is None else bonus_components / self.n_components
        self._dtype = space.dtype

    def chosen(self) -> Any:
        """Return the values in the space's dtype, [*lifetimes, *shape]."""
        return self.grid[self._numbers, self.action].cpu().numpy().reshape(self._shape).astype(self._dtype)
