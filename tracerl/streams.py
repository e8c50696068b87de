"""Random numbers of a running agent: one SplitMix64 stream per life, held as a tensor in the agent's state.

Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (https://doi.org/10.1145/2660193.2660195).
The state of a stream is one 64-bit counter, so it is saved, restored and advanced like any other tensor, on any device.
Left out: torch.Generator, whose state cannot be held per life nor be shared with a compiled kernel.
"""

import torch
from torch import Tensor

from tracerl.lives import Lives
from tracerl.module import StateModule

_GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer: the golden ratio
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _xor_shift(bits: Tensor, shift: int) -> Tensor:
    """Return bits ^ (bits >>> shift): torch shifts int64 arithmetically, the mask makes it logical."""
    return (bits >> shift).bitwise_and_((1 << (64 - shift)) - 1).bitwise_xor_(bits)


def splitmix64(counter: Tensor) -> Tensor:
    """Mix a counter into 64 random bits.

    Args:
        counter: int64, any shape.

    Returns:
        int64 of the same shape.
    """
    bits = _xor_shift(counter, 30) * _MIX_1
    bits = _xor_shift(bits, 27) * _MIX_2
    return _xor_shift(bits, 31)


def _unit(bits: Tensor) -> Tensor:
    """Turn 64 random bits into a number in [0, 1), by the upper 53 of them: float64."""
    return (bits >> 11).bitwise_and_((1 << 53) - 1).to(torch.float64).mul_(2.0**-53)


class UniformStream(StateModule):
    """Uniform random numbers in [0, 1), one independent stream per life."""

    counter: Tensor

    def __init__(self, lives: Lives) -> None:
        """Start each life's stream at a point mixed from its seed."""
        super().__init__()
        seeds = torch.tensor(lives.seeds, dtype=torch.int64, device=lives.device).reshape(lives.shape)
        self.register_buffer("counter", splitmix64(seeds + _GAMMA))

    def draw(self) -> Tensor:
        """Draw one number per life and advance the streams.

        Returns:
            float64, [*lives].
        """
        self.counter.add_(_GAMMA)
        return _unit(splitmix64(self.counter))

    def draw_many(self, n: int) -> Tensor:
        """Draw the numbers that n calls of ``draw`` would, and advance the streams as far.

        Args:
            n: at least 1.

        Returns:
            float64, [*lives, n].
        """
        strides = torch.arange(1, n + 1, device=self.counter.device) * _GAMMA  # wraps, as the counter does
        counters = self.counter.unsqueeze(-1) + strides
        self.counter.copy_(counters[..., -1])
        return _unit(splitmix64(counters))
