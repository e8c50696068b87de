"""Numbers worth plotting, averaged between two looks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tracerl.lives import Lives
from tracerl.module import StateModule


class Averages(StateModule):
    """Sums of numbers that every step yields, per life, and their means over steps and lives since the last look.

    Attributes:
        sums: of each number, and how many steps, [*lives, numbers + 1].
    """

    sums: Tensor

    def __init__(self, tags: Sequence[str], lives: Lives) -> None:
        """Start empty, for numbers under these TensorBoard tags."""
        super().__init__()
        self.tags = tuple(tags)
        self.register_buffer("sums", lives.zeros(len(tags) + 1))

    def add(self, *numbers: Tensor) -> None:
        """Take in one step's numbers, each [*lives], in the order of the tags."""
        self.sums.add_(torch.stack([*numbers, torch.ones_like(numbers[0])], -1))

    def means(self) -> dict[str, float]:
        """Return the means by tag, 0 where there was no step, and start anew."""
        sums = self.sums.reshape(-1, len(self.tags) + 1).sum(0)
        found = dict(zip(self.tags, (sums[:-1] / sums[-1].clamp(min=1)).tolist(), strict=True))
        self.sums.zero_()
        return found
