"""Averages of logged quantities between two calls of ``diagnostics``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

Array = np.ndarray[Any, Any]


def finite_mean(numbers: Array) -> float:
    """Return the mean of the finite numbers, one per lifetime, or of all if none is finite."""
    finite = numbers[np.isfinite(numbers)]
    with np.errstate(invalid="ignore", over="ignore"):
        return float((finite if finite.size else numbers).mean())


def finite_means(sums: Array) -> Array:
    """Return means over steps and over the lifetimes whose sum is finite, or over all lifetimes if none is.

    Args:
        sums: sum of each quantity over the steps, then the number of steps, [lifetimes, numbers + 1].

    Returns:
        One mean per number, 0 where there was no step, [numbers].
    """
    finite = np.isfinite(sums[:, :-1])
    finite |= ~finite.any(0)
    with np.errstate(invalid="ignore", over="ignore"):
        means: Array = np.where(finite, sums[:, :-1], 0).sum(0) / np.maximum((finite * sums[:, -1:]).sum(0), 1)
    return means


class Averages(StateModule):
    """Sums of per-step quantities for each lifetime, and their means since the last call of ``means``.

    Attributes:
        sums: sum of each quantity, then the number of steps, float64, [*lifetimes, numbers + 1].
    """

    sums: Tensor

    def __init__(self, tags: Sequence[str], lifetimes: Lifetimes) -> None:
        super().__init__()
        self.tags = tuple(tags)
        self.register_buffer("sums", lifetimes.zeros(len(tags) + 1, dtype=torch.float64))

    def add(self, *numbers: Tensor) -> None:
        """Add one step's quantities, each [*lifetimes], in the order of the tags."""
        self.sums.add_(torch.stack([*numbers, torch.ones_like(numbers[0])], -1))

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Convert sums in the network's dtype, as were once saved, to float64; see ``StateModule.upgrade``."""
        return tensor.double() if name == "sums" else tensor

    def means(self) -> dict[str, float]:
        """Return the means by tag, 0 where there was no step, and reset the sums."""
        means = finite_means(self.sums.reshape(-1, len(self.tags) + 1).cpu().numpy())
        self.sums.zero_()
        return dict(zip(self.tags, means.tolist(), strict=True))
