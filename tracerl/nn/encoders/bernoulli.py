"""Bernoulli spikes, shared by the stochastic encoders."""

from torch import Tensor

from tracerl.nn.random import UniformStream


def bernoulli_spikes(probability: Tensor, ticks: int, stream: UniformStream) -> Tensor:
    """Draw independent spikes at each tick, from ticks times n numbers of the stream: bool, [*lifetimes, ticks, n].

    ``probability`` is that of a spike at one tick, in [0, 1], float64, [*lifetimes, n].
    """
    n = probability.shape[-1]
    uniform: Tensor = stream.draw_many(ticks * n).unflatten(-1, (ticks, n))
    return uniform < probability.unsqueeze(-2)
