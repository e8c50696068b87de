"""The lifetimes of an agent: their number, their seeds, and the creation of their tensors.

Every parameter, state and trace of an agent is created here. So each has the leading lifetimes axis (none for one
lifetime), and each lifetime draws its initial values from its own seed.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tracerl.config.moved import keep_names


class Lifetimes:
    """Maker of tensors for one lifetime or for many.

    Attributes:
        shape: the leading axes: ``()`` for one lifetime, ``(n,)`` for many.
        seeds: one seed per lifetime.
        most: largest number of elements of a tensor; None: no bound.
    """

    def __init__(
        self,
        seeds: int | Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        most: int | None = None,
    ) -> None:
        """Seed the random generator of each lifetime.

        Args:
            seeds: an int for one lifetime without a leading axis; a sequence for many lifetimes.
            dtype: of parameters, states and traces.
            device: of parameters, states and traces.
            most: largest number of elements of a tensor, for untrusted settings; None: no bound.
        """
        self.seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        self.shape: tuple[int, ...] = () if isinstance(seeds, int) else (len(self.seeds),)
        self.dtype, self.most = dtype, most
        self.device = torch.device(device)
        self._generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Return zeros of [*lifetimes, *shape]."""
        self._check_size(shape)
        return torch.zeros((*self.shape, *shape), dtype=dtype or self.dtype, device=self.device)

    def full(self, value: float, *shape: int) -> Tensor:
        """Return [*lifetimes, *shape] filled with one value."""
        return self.zeros(*shape).fill_(value)

    def normal(self, scale: float, *shape: int) -> Tensor:
        """Draw N(0, scale^2), [*lifetimes, *shape], in float64 so that every dtype has the same initial values."""
        return self._drawn(torch.randn, shape).to(self.device, self.dtype) * scale

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw U(low, high), [*lifetimes, *shape], in float64 so that every dtype has the same initial values."""
        return (low + (high - low) * self._drawn(torch.rand, shape)).to(self.device, self.dtype)

    def _drawn(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        self._check_size(shape)
        draws = [draw(size=shape, generator=generator, dtype=torch.float64) for generator in self._generators]
        return torch.stack(draws).reshape((*self.shape, *shape))

    def _check_size(self, shape: tuple[int, ...]) -> None:
        if self.most is not None and len(self.seeds) * math.prod(shape) > self.most:
            raise ValueError(f"a tensor of shape {(*self.shape, *shape)} has more than {self.most:,} numbers")


def clear_(tensor: Tensor, mask: Tensor | None) -> None:
    """Zero a state in place, [*lifetimes, ...]: in every lifetime, or where the mask (bool, [*lifetimes]) is true."""
    if mask is None:
        tensor.zero_()
    else:
        tensor.masked_fill_(mask.reshape(mask.shape + (1,) * (tensor.dim() - mask.dim())), 0)


keep_names(globals(), Lives="Lifetimes")
