"""Stochastic rounding of weights: ``nn/stochastic_rounding.py``, one to one; arguments as in ``neurons``."""

from typing import Any

import numpy as np

from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part
from tracerl.kernels.streams import uniform


@kernel
def round_weights(memory: Any, words: Any, wide: Any, agent: Any, constants: Any) -> None:
    """``StochasticRounding.forward`` of the policy's network."""
    rounding, flat = agent.rounding, agent.policy.network.flat
    for at in range(rounding.spans, rounding.spans + rounding.len_spans, 3):
        weights = part(memory, flat + int(constants[at]), int(constants[at + 1]))
        scale = wide[rounding.scale + int(constants[at + 2])]
        for i in range(weights.size):
            weights[i] = rounded(weights[i] / scale, uniform(words, rounding.stream.counter), rounding.largest) * scale


@kernel
def rounded(exact: float, random: float, largest: int) -> float:
    """Return one of the two integers next to a number, within +-``largest``."""
    low = np.floor(exact)
    found: float = min(max(low + (1.0 if random < exact - low else 0.0), -largest), largest)
    return found
