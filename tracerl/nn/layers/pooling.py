"""Pooling of spikes: squares of an image become one number each, by a fixed rule."""

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
    """Take the average or the maximum of squares that do not overlap, channel by channel; without parameters or memory.

    What is left over at the lower and the right edge, where the sides are no multiples of ``size``, is dropped.

    The maximum of spikes is whether any neuron of the square fired. Its derivative goes whole to the first that did,
    row by row, or to the first of all where none did: there, only that one neuron learns what firing would change.

    Attributes:
        in_shape: channels, height and width of the image.
        out_shape: the same of the pooled image.
        members: which inputs make up each square, int64, [n_out, size^2].
        winners: the input that each maximum is taken from, int64, [*lifetimes, n_out]; None where averages are taken.
    """

    members: Tensor
    winners: Tensor | None

    def __init__(self, in_shape: Shape, size: int, kind: PoolingKind, lifetimes: Lifetimes) -> None:
        """Lay out the squares.

        Args:
            in_shape: channels, height and width of the image.
            size: side of a square, in pixels, no longer than the image's.
            kind: ``average`` or ``max``.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.in_shape, self.size, self.kind = in_shape, size, kind
        self.out_shape = convolved(in_shape, in_shape[0], size, size)
        self.n_in, self.n_out = math.prod(in_shape), math.prod(self.out_shape)
        places = torch.arange(self.n_in, device=lifetimes.device).reshape(in_shape)
        squares = places.unfold(1, size, size).unfold(2, size, size)  # [channels, H', W', size, size]
        self.members = squares.reshape(self.n_out, size * size)
        winners = lifetimes.zeros(self.n_out, dtype=torch.int64) if kind == "max" else None
        self.register_buffer("winners", winners)

    def forward(self, x: Tensor) -> Tensor:
        """Pool numbers, noting where the maxima are: [*lifetimes, n_in] to [*lifetimes, n_out]."""
        if self.winners is None:
            return self._averages(x)
        first = x[..., self.members].argmax(-1, keepdim=True)  # [*lifetimes, n_out, 1]
        members = self.members.expand(*first.shape[:-1], -1)
        self.winners.copy_(members.gather(-1, first).squeeze(-1))
        return x.gather(-1, self.winners)

    def push(self, tangents: Tensor) -> Tensor:
        """Carry derivatives of the inputs, [*lifetimes, P, n_in], to the outputs: [*lifetimes, P, n_out]."""
        if self.winners is None:
            return self._averages(tangents)
        return tangents.gather(-1, self.winners.unsqueeze(-2).expand(*tangents.shape[:-1], -1))

    def pull(self, signals: Tensor) -> Tensor:
        """Carry signals at the outputs, [*lifetimes, J, n_out], back to the inputs: [*lifetimes, J, n_in]."""
        below = signals.new_zeros(*signals.shape[:-1], self.n_in)
        if self.winners is None:
            below[..., self.members] = signals.unsqueeze(-1) / self.size**2
            return below
        return below.scatter_(-1, self.winners.unsqueeze(-2).expand_as(signals), signals)

    def _averages(self, x: Tensor) -> Tensor:
        return x[..., self.members].mean(-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Pooling":
        """Move to another device; ``members`` is no buffer, since it is the same in every lifetime."""
        super()._apply(fn, recurse)
        self.members = fn(self.members)
        return self
