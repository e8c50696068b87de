"""Pooling of spikes: the average or the maximum of squares of an image."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tracerl.nn.layers.convolution import Shape, convolved
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

PoolingKind = Literal["average", "max"]


class Pooling(StateModule):
    """Take the average or the maximum of disjoint squares in each channel, without parameters.

    The remainder at the lower and right edges, where the sides are not multiples of ``size``, is dropped.

    The maximum of spikes is 1 if any neuron of the square fired, and -1 only if all fired negative spikes (ternary
    neurons). Its derivative is assigned to the first neuron with the maximum, in row-major order.

    Attributes:
        in_shape: channels, height and width of the image.
        out_shape: channels, height and width of the pooled image.
        members: the inputs of each square, int64, [n_out, size^2].
        winners: place of the maximum within each square, a whole number in the network's dtype, [*lifetimes, n_out];
            None for averages.
    """

    members: Tensor
    winners: Tensor | None

    def __init__(self, in_shape: tuple[int, int, int], size: int, kind: PoolingKind, lifetimes: Lifetimes) -> None:
        """Compute the squares.

        Args:
            in_shape: channels, height and width of the image.
            size: side of a square, in pixels, at most that of the image.
            kind: ``average`` or ``max``.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.in_shape, self.size, self.kind = Shape(*in_shape), size, kind
        self.out_shape = convolved(self.in_shape, in_shape[0], size, size)
        self.n_in, self.n_out = math.prod(in_shape), math.prod(self.out_shape)
        places = torch.arange(self.n_in, device=lifetimes.device).reshape(in_shape)
        squares = places.unfold(1, size, size).unfold(2, size, size)  # [channels, H', W', size, size]
        self.members = squares.reshape(self.n_out, size * size)
        winners = lifetimes.zeros(self.n_out) if kind == "max" else None
        self.register_buffer("winners", winners)

    def forward(self, x: Tensor) -> Tensor:
        """Pool the inputs and store the places of the maxima: [*lifetimes, n_in] to [*lifetimes, n_out]."""
        if self.winners is None:
            return self._averages(x)
        self.winners.copy_(x[..., self.members].argmax(-1))
        return x.gather(-1, self._maxima(self.winners))

    def jvp(self, tangents: Tensor) -> Tensor:
        """Return the Jacobian-vector products of tangents [*lifetimes, P, n_in]: [*lifetimes, P, n_out]."""
        if self.winners is None:
            return self._averages(tangents)
        return tangents.gather(-1, self._maxima(self.winners).unsqueeze(-2).expand(*tangents.shape[:-1], -1))

    def vjp(self, signals: Tensor) -> Tensor:
        """Return the vector-Jacobian products of signals [*lifetimes, J, n_out]: [*lifetimes, J, n_in]."""
        below = signals.new_zeros(*signals.shape[:-1], self.n_in)
        if self.winners is None:
            below[..., self.members] = signals.unsqueeze(-1) / self.size**2
            return below
        return below.scatter_(-1, self._maxima(self.winners).unsqueeze(-2).expand_as(signals), signals)

    def _maxima(self, winners: Tensor) -> Tensor:
        """Return the input with the maximum of each square, int64, [*lifetimes, n_out]."""
        members = self.members.expand(*winners.shape, -1)
        return members.gather(-1, winners.long().unsqueeze(-1)).squeeze(-1)

    def _averages(self, x: Tensor) -> Tensor:
        return x[..., self.members].mean(-1)

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Convert inputs with a maximum, as ``winners`` once held, to places; see ``StateModule.upgrade``."""
        if name == "winners" and tensor.dtype == torch.int64 and self.winners is not None:
            return (self.members == tensor.unsqueeze(-1)).to(torch.uint8).argmax(-1).to(self.winners.dtype)
        return tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Pooling":
        """Move to another device; ``members`` is not a buffer, since it has no lifetimes axis."""
        super()._apply(fn, recurse)
        self.members = fn(self.members)
        return self
