"""Random numbers of an agent: one SplitMix64 stream per lifetime, stored as a tensor in the agent's state.

Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (https://doi.org/10.1145/2660193.2660195).
The state of a stream is one 64-bit counter, which is saved, restored and advanced like any other tensor, on any device.
Left out: torch.Generator, whose state cannot be stored per lifetime or shared with a compiled kernel.
"""

import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

_GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer: the golden ratio
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
ACTION, CODE, WEIGHT = 0, 1, 2  # purposes of a lifetime's streams: actions, spikes of an encoder, rounded weights


def _xor_shift(bits: Tensor, shift: int) -> Tensor:
    """Return bits ^ (bits >>> shift); torch shifts int64 arithmetically, and the mask makes the shift logical."""
    return (bits >> shift).bitwise_and_((1 << (64 - shift)) - 1).bitwise_xor_(bits)


def splitmix64(counter: Tensor) -> Tensor:
    """Mix a counter into 64 random bits: int64, of the same shape."""
    bits = _xor_shift(counter, 30) * _MIX_1
    bits = _xor_shift(bits, 27) * _MIX_2
    return _xor_shift(bits, 31)


class UniformStream(StateModule):
    """Uniform random numbers in [0, 1), one independent stream per lifetime and purpose."""

    counter: Tensor

    def __init__(self, lifetimes: Lifetimes, purpose: int = ACTION) -> None:
        """Initialise each lifetime's stream from its seed and the stream's purpose.

        Streams of one lifetime with different purposes are independent. The purpose is mixed first, so that
        neighbouring purposes and neighbouring seeds do not coincide. Purpose 0 leaves the seed unchanged, since
        splitmix64(0) = 0.
        """
        super().__init__()
        seeds = torch.tensor(lifetimes.seeds, dtype=torch.int64, device=lifetimes.device).reshape(lifetimes.shape)
        purposes = splitmix64(torch.tensor(purpose, dtype=torch.int64, device=lifetimes.device))
        self.register_buffer("counter", splitmix64((seeds + _GAMMA).bitwise_xor_(purposes)))

    def draw(self) -> Tensor:
        """Draw one number per lifetime and advance the streams: float64, [*lifetimes]."""
        self.counter.add_(_GAMMA)
        return _uniform(self.counter)

    def peek(self) -> Tensor:
        """Return the number that ``draw`` returns next, leaving the streams as they are: float64, [*lifetimes]."""
        return _uniform(self.counter + _GAMMA)

    def draw_many(self, n: int) -> Tensor:
        """Draw n numbers per lifetime, the same as by n single draws: float64, [*lifetimes, n]."""
        steps = torch.arange(1, n + 1, device=self.counter.device).mul_(_GAMMA)  # wraps around, as the counter does
        counters = self.counter.unsqueeze(-1) + steps
        self.counter.copy_(counters[..., -1])
        return _uniform(counters)


def _uniform(counter: Tensor) -> Tensor:
    """Convert counters to numbers in [0, 1) by the highest 53 of their mixed bits: float64, of the same shape."""
    bits = (splitmix64(counter) >> 11).bitwise_and_((1 << 53) - 1)
    return bits.to(torch.float64).mul_(2.0**-53)
