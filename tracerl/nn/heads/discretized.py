"""Softmaxes over evenly spaced values of each number of a Box."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.heads.categorical import MultiCategorical
from tracerl.nn.heads.gaussian import UNBOUNDED
from tracerl.nn.lifetimes import Lifetimes


@dataclass(frozen=True, kw_only=True)
class DiscretizedSettings:
    """Settings of a discretised head; see ``Discretized``.

    Attributes:
        bins: number of values that a number of the action can have, 2 or more; None: any, from a Gaussian.
        bonus_components: the entropy bonus of an action weighs as much as that of so many numbers, however many it has;
            None: as much as that of all its numbers.
    """

    bins: int | None = None
    bonus_components: float | None = None

    def __post_init__(self) -> None:
        if self.bins is not None:
            checks.whole("bins", self.bins, 2)
        if self.bonus_components is not None:
            checks.positive("bonus_components", self.bonus_components)


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
        low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
        if not ((np.abs(low) < UNBOUNDED) & (np.abs(high) < UNBOUNDED)).all():
            raise ConfigError("head.bins", f"must be null where an action has no finite bounds, got {bins} for {space}")
        super().__init__(spaces.MultiDiscrete(np.full(space.shape, bins)), lifetimes)
        self.grid = torch.from_numpy(np.linspace(low, high, bins, axis=-1)).to(lifetimes.device)
        self._numbers = torch.arange(len(low), device=lifetimes.device)
        self.bonus_scale = 1.0 if bonus_components is None else bonus_components / len(low)
        self._dtype = space.dtype

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy bonus with respect to the logits: [*lifetimes, n_outputs]."""
        return super().entropy_gradient().mul_(self.bonus_scale)

    def chosen(self) -> Any:
        """Return the values in the space's dtype, [*lifetimes, *shape]."""
        return self.grid[self._numbers, self.action].cpu().numpy().reshape(self._shape).astype(self._dtype)
