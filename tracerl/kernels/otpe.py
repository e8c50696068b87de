"""OTPE credit of hidden layers in a row: ``credit/otpe.py``, one to one; arguments as in ``neurons``."""

from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.compile import kernel
from tracerl.kernels.currents import at_currents, centre, pull
from tracerl.kernels.memory import part, per_neuron, row_of, zero
from tracerl.kernels.neurons import chain


@kernel
def mean_of_leak(f: Any, p: Any, layer: int) -> Any:
    """Mean of m dv/du over a layer, as its last tick left it."""
    n, n_m, total = p[layer + P.N_OUT], p[layer + P.DECAY_N], f.dtype.type(0)
    m, gain = part(f, p[layer + P.DECAY], n_m), part(f, p[layer + P.RESET_GAIN], n)
    for h in range(n):
        total += m[h if n_m > 1 else 0] * gain[h]
    return total / n


@kernel
def readout_credit(f: Any, p: Any, at: int, layer: int, q: Any, qat: int, s: Any) -> None:
    """``ReadoutCredit.update`` of the layer under the readout: E = k E + (1-k) e."""
    n, rows, n_k = p[layer + P.N_OUT], p[layer + P.ROWS], p[at + P.READOUT_DECAY_N]
    keep = per_neuron(f, p[at + P.READOUT_DECAY], n_k, row_of(s, S.KEEP, n))
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, S.COMPLEMENT, n))
    psi, add = part(f, p[layer + P.SURROGATE], n), row_of(s, S.ADD, n)
    for h in range(n):
        add[h] = complement[h] * psi[h]
    for i in range(rows):
        trace, row = part(f, p[layer + P.ELIGIBILITY] + i * n, n), part(f, p[layer + P.SENSITIVITY] + i * n, n)
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            trace[h] = keep[h] * trace[h] + add[h] * (row[h] - shift)
    if p[layer + P.ADAPTED] >= 0:
        take_adaptation(f, p, layer, q, qat, p[layer + P.ELIGIBILITY], add)


@kernel
def trace_lower(f: Any, p: Any, at: int, q: Any, leaks: Any, s: Any) -> None:
    """``OTPE.end_tick`` for the layers that are not under the readout."""
    n_layers, n_out = p[at + P.N_LAYERS], p[at + P.READOUT_OUT]
    first, floats = p[at + P.FIRST_LAYER], p[at + P.FIRST_LAYER_FLOATS]
    n, n_k = p[at + P.READOUT_IN], p[at + P.READOUT_DECAY_N]
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, S.COMPLEMENT, n))
    path, kept = np.empty((n_out, n), f.dtype), part(f, p[at + P.READOUT_DECAY], n_k).mean()
    for j in range(n_out):
        opened, weights = path[j], part(f, p[at + P.READOUT_AFFINE] + j * (n + 1), n)
        for h in range(n):
            opened[h] = weights[h] * complement[h]
    for i in range(n_layers - 2, -1, -1):
        layer, above = first + i * P.LAYER_INTS, first + (i + 1) * P.LAYER_INTS
        below = np.empty((n_out, p[layer + P.N_OUT]), f.dtype)
        for j in range(n_out):
            at_currents(f, p, above, path[j], s)
            pull(f, p, above, path[j], below[j])
        path_credit(f, p, layer, q, floats + i * P.LAYER_FLOATS, leaks[i + 1 :], kept, below, s)
        path = below


@kernel
def path_credit(f: Any, p: Any, layer: int, q: Any, qat: int, leaks: Any, kept: Any, path: Any, s: Any) -> None:
    """``PathCredit.update``: carry e_t through the layers above, project it on every output."""
    n, rows = p[layer + P.N_OUT], p[layer + P.ROWS]
    psi, local, size = part(f, p[layer + P.SURROGATE], n), row_of(s, S.CURRENT, n), rows * n
    for i in range(rows):
        row = part(f, p[layer + P.SENSITIVITY] + i * n, n)
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            local[h] = psi[h] * (row[h] - shift)
        for level in range(p[layer + P.N_ABOVE]):
            carried, leak = part(f, p[layer + P.CARRIED] + level * size + i * n, n), leaks[level]
            for h in range(n):
                local[h] += leak * carried[h]
            for h in range(n):
                carried[h] = local[h]
        for j in range(path.shape[0]):
            projected, opened = part(f, p[layer + P.PROJECTED] + j * size + i * n, n), path[j]
            for h in range(n):
                projected[h] = kept * projected[h] + opened[h] * local[h]
    if p[layer + P.ADAPTED] >= 0:
        for level in range(p[layer + P.N_ABOVE]):
            take_adaptation(f, p, layer, q, qat, p[layer + P.CARRIED] + level * size, psi)
        factor = row_of(s, S.ADD, n)
        for j in range(path.shape[0]):
            for h in range(n):
                factor[h] = path[j, h] * psi[h]
            take_adaptation(f, p, layer, q, qat, p[layer + P.PROJECTED] + j * size, factor)


@kernel
def take_adaptation(f: Any, p: Any, layer: int, q: Any, qat: int, start: int, factor: Any) -> None:
    """Subtract ``factor`` times beta da from a matrix to which ``factor`` times du was added.

    A pass of its own: a call within the loops above, even one that is not taken, costs a tenth of their time.
    """
    n, beta = factor.size, f.dtype.type(q[qat + P.ADAPTATION])
    for i in range(p[layer + P.ROWS]):
        row, adapted = part(f, start + i * n, n), part(f, p[layer + P.ADAPTATION_SENSITIVITY] + i * n, n)
        for h in range(n):
            row[h] -= beta * factor[h] * adapted[h]


@kernel
def score_layer(f: Any, p: Any, layer: int, shift: int, g: Any, s: Any) -> None:
    """``OTPE.write_scores`` of one layer, row by row; V^T g stands in the scratch row BELOW."""
    driven, n, rows = p[layer + P.SYNAPSE_ROWS], p[layer + P.N_OUT], p[layer + P.ROWS]
    below, spare = row_of(s, S.BELOW, n), row_of(s, S.ADD, n)
    for i in range(rows):
        row = part(f, p[layer + P.AFFINE] + shift + i * n, n) if i < driven else spare
        if p[layer + P.ELIGIBILITY] >= 0:
            trace = part(f, p[layer + P.ELIGIBILITY] + i * n, n)
            for h in range(n):
                row[h] = below[h] * trace[h]
        else:
            zero(row, 0, n)
            for j in range(g.size):
                trace = part(f, p[layer + P.PROJECTED] + (j * rows + i) * n, n)
                for h in range(n):
                    row[h] += g[j] * trace[h]
        if i == driven and p[layer + P.DECAY_RAW] >= 0:
            chain(f, p[layer + P.DECAY_RAW], shift, p[layer + P.DECAY], p[layer + P.DECAY_N], spare, True)
        elif i >= driven:
            chain(f, p[layer + P.THRESHOLD_RAW], shift, p[layer + P.THRESHOLD], p[layer + P.THRESHOLD_N], spare, False)
    if p[layer + P.NORMALIZED] >= 0:
        for i in range(driven):
            centre(part(f, p[layer + P.AFFINE] + shift + i * n, n), part(f, p[layer + P.NORMALIZED], n))
