"""From the inputs of a layer to the currents of its neurons, and back.

``nn/layers/synapses.py`` and ``normalization.py``, one to one. Arguments as in ``neurons``.
"""

import math
from typing import Any

from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import part, per_neuron, row_of
from tracerl.kernels.scratch import COMPLEMENT, ONES

_EPSILON = 1e-5  # nn.layers.normalization.EPSILON


@kernel
def affine(memory: Any, start: int, inputs: Any, current: Any) -> None:
    """I = W x + b, with a row of weights per input from ``start`` on and the biases as the last row."""
    n_in, n = inputs.size - 1, current.size
    bias = part(memory, start + n_in * n, n)
    for h in range(n):
        current[h] = bias[h]
    for i in range(n_in):
        xi = inputs[i]
        if xi != 0:  # spikes are mostly zeros
            weights = part(memory, start + i * n, n)
            for h in range(n):
                current[h] += xi * weights[h]


@kernel
def copy_own_spikes(memory: Any, layer: Any) -> None:
    """Put the spikes of the tick before beside the inputs of a recurrent layer."""
    n = layer.n_out
    own, spikes = part(memory, layer.synapses.inputs + layer.n_in, n), part(memory, layer.spikes, n)
    for h in range(n):
        own[h] = spikes[h]


@kernel
def normalize(memory: Any, norm: Any, current: Any) -> None:
    """``CurrentNorm.forward``, leaving the normalised currents in ``current`` too."""
    real, n = memory.dtype.type, current.size
    normalized, mean, variance = part(memory, norm.normalized, n), real(0), real(0)
    for h in range(n):
        mean += current[h]
    mean /= real(n)
    for h in range(n):
        current[h] -= mean
        variance += current[h] * current[h]
    inverse = real(1) / math.sqrt(variance / real(n) + real(_EPSILON))
    for h in range(n):
        current[h] *= inverse
        normalized[h] = current[h]
    memory[norm.inverse] = inverse


@kernel
def norm_scale(memory: Any, norm: Any) -> Any:
    """Return 1/std of a layer's currents where they are normalised, else 1."""
    return memory[norm.inverse] if norm.inverse != ABSENT else memory.dtype.type(1)


@kernel
def at_currents(memory: Any, layer: Any, signal: Any, scratch: Any) -> None:
    """``SpikingLayer.at_currents`` of one signal, in place."""
    n, decay = layer.n_out, layer.membrane_decay
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    psi, scale = part(memory, layer.surrogate, n), norm_scale(memory, layer.norm)
    for h in range(n):
        signal[h] *= scale * psi[h] * complement[h]
    if layer.norm.normalized != ABSENT:
        centre(signal.reshape(1, n), part(memory, layer.norm.normalized, n), scratch[ONES])


@kernel
def centre(signals: Any, normalized: Any, active: Any) -> None:
    """``CurrentNorm.centre`` of several vectors, in place, but of those for which ``active`` says 0."""
    real, n = signals.dtype.type, normalized.size
    for i in range(signals.shape[0]):
        if active[i] == 0:
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
def vjp(memory: Any, start: int, signal: Any, below: Any) -> None:
    """``DenseSynapses.vjp`` of one signal at the currents to the layer below, by weights from ``start`` on."""
    n = signal.size
    for h in range(below.size):
        total, weights = memory.dtype.type(0), part(memory, start + h * n, n)
        for g in range(n):
            total += signal[g] * weights[g]
        below[h] = total
