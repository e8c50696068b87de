"""Layer normalisation of the currents, without parameters, and its derivative."""

import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

EPSILON = 1e-5  # added to the variance


class CurrentNorm(StateModule):
    """Standardise the currents of a layer over its neurons at each tick: J = (I - mean(I)) / std(I).

    Ba, Kiros and Hinton 2016 (https://arxiv.org/abs/1607.06450), without gain and bias, as in streaming deep RL
    (https://arxiv.org/abs/2410.14606). The Jacobian, (1 - 1/n - J J^T/n) / std, is symmetric, so that the same product
    serves forward-mode and reverse-mode derivatives.

    Attributes:
        normalized: J_t, [*lifetimes, n].
        inverse: 1/std(I_t), [*lifetimes, 1].
    """

    normalized: Tensor
    inverse: Tensor

    def __init__(self, n: int, lifetimes: Lifetimes) -> None:
        """Initialise at zero, for n neurons."""
        super().__init__()
        self.register_buffer("normalized", lifetimes.zeros(n))
        self.register_buffer("inverse", lifetimes.zeros(1))

    def forward(self, current: Tensor) -> Tensor:
        """Return J_t, [*lifetimes, n]: the norm's own buffer."""
        centred = current - current.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        torch.rsqrt(variance + EPSILON, out=self.inverse)
        torch.mul(centred, self.inverse, out=self.normalized)
        return self.normalized

    def project(self, vectors: Tensor) -> Tensor:
        """Multiply by the Jacobian at this tick: [*lifetimes, rows, n] to the same."""
        return self.centre(vectors).mul_(self.inverse.unsqueeze(-1))

    def centre(self, vectors: Tensor) -> Tensor:
        """Multiply by 1 - 1/n - J J^T/n, the Jacobian without its scale: [*lifetimes, rows, n] to the same."""
        normalized = self.normalized.unsqueeze(-2)
        along = (vectors * normalized).mean(-1, keepdim=True)
        return vectors - vectors.mean(-1, keepdim=True) - normalized * along
