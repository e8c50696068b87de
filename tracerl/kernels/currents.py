"""From what a layer receives to the currents of its neurons, and back: ``layers/synapses.py`` and ``normalization.py``.

Arguments as in ``neurons``.
"""

import math
from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, per_neuron, row_of


@kernel
def affine(f: Any, at: int, inputs: Any, current: Any) -> None:
    """I = W x + b, with a row of weights per input and the biases as the last row."""
    n_in, n = inputs.size - 1, current.size
    bias = part(f, at + n_in * n, n)
    for h in range(n):
        current[h] = bias[h]
    for i in range(n_in):
        xi = inputs[i]
        if xi != 0:  # spikes are mostly zeros
            weights = part(f, at + i * n, n)
            for h in range(n):
                current[h] += xi * weights[h]


@kernel
def take_own_spikes(f: Any, p: Any, at: int) -> None:
    """Put the spikes of the tick before beside the inputs of a recurrent layer."""
    n = p[at + P.N_OUT]
    own, spikes = part(f, p[at + P.INPUTS] + p[at + P.N_IN], n), part(f, p[at + P.SPIKES], n)
    for h in range(n):
        own[h] = spikes[h]


@kernel
def normalize(f: Any, p: Any, at: int, q: Any, qat: int, current: Any) -> None:
    """``CurrentNorm.forward``, leaving the normalised currents in ``current`` too."""
    real, n = f.dtype.type, current.size
    normalized, mean, variance = part(f, p[at + P.NORMALIZED], n), real(0), real(0)
    for h in range(n):
        mean += current[h]
    mean /= real(n)
    for h in range(n):
        current[h] -= mean
        variance += current[h] * current[h]
    inverse = real(1) / math.sqrt(variance / real(n) + real(q[qat + P.EPSILON]))
    for h in range(n):
        current[h] *= inverse
        normalized[h] = current[h]
    f[p[at + P.INVERSE]] = inverse


@kernel
def norm_scale(f: Any, p: Any, at: int) -> Any:
    """Return 1/std of a layer's currents where they are normalised, else 1."""
    return f[p[at + P.INVERSE]] if p[at + P.NORMALIZED] >= 0 else f.dtype.type(1)


@kernel
def at_currents(f: Any, p: Any, layer: int, signal: Any, s: Any) -> None:
    """``SpikingLayer.at_currents`` of one signal, in place."""
    n = p[layer + P.N_OUT]
    complement = per_neuron(f, p[layer + P.DECAY_COMPLEMENT], p[layer + P.DECAY_N], row_of(s, S.COMPLEMENT, n))
    psi, scale = part(f, p[layer + P.SURROGATE], n), norm_scale(f, p, layer)
    for h in range(n):
        signal[h] *= scale * psi[h] * complement[h]
    if p[layer + P.NORMALIZED] >= 0:
        centre(signal.reshape(1, n), part(f, p[layer + P.NORMALIZED], n), s[S.ONES])


@kernel
def centre(signals: Any, normalized: Any, live: Any) -> None:
    """``CurrentNorm.centre`` of several vectors, in place, but of those for which ``live`` says 0."""
    real, n = signals.dtype.type, normalized.size
    for i in range(signals.shape[0]):
        if live[i] == 0:
            continue
        mean, along = real(0), real(0)
        for h in range(n):
            mean += signals[i, h]
            along += signals[i, h] * normalized[h]
        mean /= real(n)
        along /= real(n)
        for h in range(n):
            signals[i, h] -= mean + normalized[h] * along


@kernel
def pull(f: Any, p: Any, layer: int, signal: Any, below: Any) -> None:
    """``DenseSynapses.pull`` of one signal, to the layer below alone."""
    n = signal.size
    for h in range(below.size):
        total, weights = f.dtype.type(0), part(f, p[layer + P.AFFINE] + h * n, n)
        for g in range(n):
            total += signal[g] * weights[g]
        below[h] = total
