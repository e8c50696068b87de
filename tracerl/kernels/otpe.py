"""OTPE credit of hidden layers in a row: ``credit/otpe.py``, one to one; arguments as in ``neurons``."""

from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.currents import at_currents, centre, pull
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, per_neuron, reached, row_of, table
from tracerl.kernels.neurons import chain
from tracerl.kernels.steps import AT_ONCE, take_in


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
    eligibility, sensitivity = table(f, p[layer + P.ELIGIBILITY], rows, n), table(f, p[layer + P.SENSITIVITY], rows, n)
    live = reached(p, layer, s)
    for i in range(rows):
        if live[i] == 0:
            continue
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            eligibility[i, h] = keep[h] * eligibility[i, h] + add[h] * (sensitivity[i, h] - shift)
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
    live = reached(p, layer, s)
    for i in range(rows):
        if live[i] == 0:
            continue
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
def score_layer(f: Any, p: Any, at: int, layer: int, q: Any, qat: int, g: Any, s: Any, sums: Any) -> None:
    """``OTPE.write_scores`` of one layer, a few rows at once, and ``take_in`` of them; V^T g stands in BELOW."""
    driven, n, rows = p[layer + P.SYNAPSE_ROWS], p[layer + P.N_OUT], p[layer + P.ROWS]
    affine, shift, live = p[layer + P.AFFINE], p[at + P.SCORE] - p[at + P.FLAT], reached(p, layer, s)
    for start in range(0, driven, AT_ONCE):
        stop = min(start + AT_ONCE, driven)
        scores, alive = table(f, affine + shift + start * n, stop - start, n), live[start:stop]
        score_rows(f, p, layer, start, rows, g, scores, alive, s)
        if p[layer + P.NORMALIZED] >= 0:
            centre(scores, part(f, p[layer + P.NORMALIZED], n), alive)
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, affine + start * n, stop - start, n, alive, sums)
    spare = row_of(s, S.ADD, n).reshape(1, n)
    for i in range(driven, rows):
        score_rows(f, p, layer, i, rows, g, spare, live[i : i + 1], s)
        raw, count = p[layer + P.THRESHOLD_RAW], p[layer + P.THRESHOLD_N]
        if i == driven and p[layer + P.DECAY_RAW] >= 0:
            raw, count = p[layer + P.DECAY_RAW], p[layer + P.DECAY_N]
            chain(f, raw, shift, p[layer + P.DECAY], count, spare[0], True)
        else:
            chain(f, raw, shift, p[layer + P.THRESHOLD], count, spare[0], False)
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, raw, 1, count, live[i : i + 1], sums)


@kernel
def score_rows(f: Any, p: Any, layer: int, first: int, rows: int, g: Any, scores: Any, live: Any, s: Any) -> None:
    """Write the scores of a layer's parameters from row ``first`` on, as if its currents were not normalised."""
    n, nil = scores.shape[1], f.dtype.type(0)
    if p[layer + P.ELIGIBILITY] >= 0:
        below, eligibility = row_of(s, S.BELOW, n), table(f, p[layer + P.ELIGIBILITY] + first * n, scores.shape[0], n)
        for i in range(scores.shape[0]):
            if live[i] == 0:
                continue
            for h in range(n):
                scores[i, h] = below[h] * eligibility[i, h]
        return
    for i in range(scores.shape[0]):
        if live[i] == 0:
            continue
        for h in range(n):
            scores[i, h] = nil
        for j in range(g.size):
            projected = part(f, p[layer + P.PROJECTED] + (j * rows + first + i) * n, n)
            for h in range(n):
                scores[i, h] += g[j] * projected[h]
