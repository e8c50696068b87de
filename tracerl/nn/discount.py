"""A discount whose horizon is a share of the age of a lifetime."""

import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class GrowingDiscount(StateModule):
    """gamma_t = min(max(1 - 1 / (share t), first), last) at env step t: the horizon 1 / (1 - gamma) is share t.

    With a short horizon an agent learns sooner, with a long one it avoids what ends an episode later. François-Lavet et
    al. 2015 (https://arxiv.org/abs/1512.02011) raise gamma during learning too, by a fixed share of 1 - gamma.

    Attributes:
        age: t, the number of env steps of the lifetime, float64, [*lifetimes].
        first: gamma at the start.
        last: gamma in the end.
        share: of the age.
    """

    age: Tensor

    def __init__(self, first: float, last: float, share: float, lifetimes: Lifetimes) -> None:
        """Begin at age 0.

        Args:
            first: gamma at the start of a lifetime, in [0, 1).
            last: gamma in the end, from ``first`` to 1; 1: the horizon has no bound.
            share: horizon over age, above 0.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.first, self.last, self.share = first, last, share
        self.register_buffer("age", lifetimes.zeros(dtype=torch.float64))

    def forward(self) -> Tensor:
        """Advance the age by one env step and return gamma: float64, [*lifetimes]."""
        self.age.add_(1)
        return (1 - 1 / (self.share * self.age)).clamp_(self.first, self.last)
