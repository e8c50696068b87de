"""The lives an agent leads: how many, from which seeds, and how their tensors are made.

Every parameter, state and trace of an agent is made here, so that each carries the leading lives axis (or none, for
one life) and each life draws its own initial values from its own seed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Lives:
    """Maker of tensors for one life or for many.

    Attributes:
        shape: the leading axes: ``()`` for one life, ``(n,)`` for many.
        seeds: one seed per life.
    """

    def __init__(
        self,
        seeds: int | Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Start the random generator of each life.

        Args:
            seeds: an int for one life without a leading axis; a sequence for many lives.
            dtype: of parameters, states and traces.
            device: where they live.
        """
        self.seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        self.shape: tuple[int, ...] = () if isinstance(seeds, int) else (len(self.seeds),)
        self.dtype = dtype
        self.device = torch.device(device)
        self._generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Return zeros of [*lives, *shape]."""
        return torch.zeros((*self.shape, *shape), dtype=dtype or self.dtype, device=self.device)

    def full(self, value: float, *shape: int) -> Tensor:
        """Return [*lives, *shape] filled with one value."""
        return self.zeros(*shape).fill_(value)

    def normal(self, scale: float, *shape: int) -> Tensor:
        """Draw N(0, scale^2) of [*lives, *shape], in float64 so that every dtype starts from the same numbers."""
        draws = [torch.randn(size=shape, generator=generator, dtype=torch.float64) for generator in self._generators]
        return self._place(draws, shape) * scale

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw U(low, high) of [*lives, *shape], in float64 so that every dtype starts from the same numbers."""
        draws = [torch.rand(size=shape, generator=generator, dtype=torch.float64) for generator in self._generators]
        return self._place([low + (high - low) * draw for draw in draws], shape)

    def _place(self, draws: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        stacked = torch.stack(draws).reshape((*self.shape, *shape))
        return stacked.to(dtype=self.dtype, device=self.device)


def clear_(tensor: Tensor, mask: Tensor | None) -> None:
    """Zero a state in place: everywhere, or in the lives where the mask is true.

    Args:
        tensor: [*lives, ...].
        mask: bool, [*lives]; None for every life.
    """
    if mask is None:
        tensor.zero_()
    else:
        tensor.masked_fill_(mask.reshape(mask.shape + (1,) * (tensor.dim() - mask.dim())), 0)
