"""A whole network forward and backward: ``network.Sequential`` and the layers' ``backward``, one to one."""

from typing import Any

import numpy as np

from tracerl.kernels import neurons as N
from tracerl.kernels import plan as P
from tracerl.kernels.compile import kernel
from tracerl.kernels.memory import part, per_neuron, row_of, zero


@kernel
def forward(f: Any, p: Any, at: int, q: Any, x: Any, y: Any, s: Any) -> None:
    """``Sequential.forward``: one env step on the held input x; writes the readout's y."""
    n_layers, first, floats = p[at + P.N_LAYERS], p[at + P.FIRST_LAYER], p[at + P.FIRST_LAYER_FLOATS]
    leaks = s[N.LEAKS]
    top = first + (n_layers - 1) * P.LAYER_INTS
    for _ in range(p[at + P.TICKS]):
        for i in range(1, n_layers):
            leaks[i] = N.mean_of_leak(f, p, first + i * P.LAYER_INTS)
        signal = x
        for i in range(n_layers):
            layer = first + i * P.LAYER_INTS
            N.lif_forward(f, p, layer, q, floats + i * P.LAYER_FLOATS, signal, s)
            signal = part(f, p[layer + P.SPIKES], p[layer + P.N_OUT])
        N.li_forward(f, p, at, signal, y, s)
        N.readout_credit(f, p, at, top, s)
        if n_layers > 1:
            trace_lower(f, p, at, leaks, s)


@kernel
def trace_lower(f: Any, p: Any, at: int, leaks: Any, s: Any) -> None:
    """``Sequential._trace`` for the layers that are not under the readout."""
    n_layers, n_out, first = p[at + P.N_LAYERS], p[at + P.READOUT_OUT], p[at + P.FIRST_LAYER]
    n, n_k = p[at + P.READOUT_IN], p[at + P.READOUT_DECAY_N]
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, N.COMPLEMENT, n))
    path, kept = np.empty((n_out, n), f.dtype), part(f, p[at + P.READOUT_DECAY], n_k).mean()
    for j in range(n_out):
        opened, weights = path[j], part(f, p[at + P.READOUT_AFFINE] + j * (n + 1), n)
        for h in range(n):
            opened[h] = weights[h] * complement[h]
    for i in range(n_layers - 2, -1, -1):
        layer, above = first + i * P.LAYER_INTS, first + (i + 1) * P.LAYER_INTS
        through_spikes(f, p, above, path, s)
        n, n_above = p[layer + P.N_OUT], p[above + P.N_OUT]
        below = np.empty((n_out, n), f.dtype)
        for j in range(n_out):
            for h in range(n):
                total, opened, weights = f.dtype.type(0), path[j], part(f, p[above + P.AFFINE] + h * n_above, n_above)
                for g in range(n_above):
                    total += opened[g] * weights[g]
                below[j, h] = total
        N.path_credit(f, p, layer, leaks[i + 1 :], kept, below, s)
        path = below


@kernel
def through_spikes(f: Any, p: Any, layer: int, path: Any, s: Any) -> None:
    """Multiply a path by ``LIF.input_gain``, psi (1-m), of the layer that it goes through."""
    n = p[layer + P.N_OUT]
    complement = per_neuron(f, p[layer + P.DECAY_COMPLEMENT], p[layer + P.DECAY_N], row_of(s, N.COMPLEMENT, n))
    psi = part(f, p[layer + P.SURROGATE], n)
    for j in range(path.shape[0]):
        opened = path[j]
        for h in range(n):
            opened[h] *= psi[h] * complement[h]


@kernel
def backward(f: Any, p: Any, at: int, g: Any, s: Any) -> None:
    """``Sequential.backward``: write the score of every parameter for the signal g at the outputs."""
    n_in, n_out = p[at + P.READOUT_IN], p[at + P.READOUT_OUT]
    shift = p[at + P.SCORE] - p[at + P.FLAT]  # from a parameter to its score
    below = row_of(s, N.BELOW, n_in)
    zero(below, 0, n_in)
    for a in range(n_out):
        start = p[at + P.READOUT_AFFINE] + a * (n_in + 1)
        weights, scores = part(f, start, n_in), part(f, start + shift, n_in + 1)
        zbar = part(f, p[at + P.FILTERED], n_in + 1)
        ga = g[a]
        for h in range(n_in + 1):
            scores[h] = ga * zbar[h]
        for h in range(n_in):
            below[h] += ga * weights[h]
    if p[at + P.READOUT_RAW] >= 0:
        row = row_of(s, N.ADD, n_in)
        sensitivity = part(f, p[at + P.DECAY_SENSITIVITY], n_in)
        for h in range(n_in):
            row[h] = below[h] * sensitivity[h]
        chain(f, p[at + P.READOUT_RAW], shift, p[at + P.READOUT_DECAY], p[at + P.READOUT_DECAY_N], row, True)
    for i in range(p[at + P.N_LAYERS]):
        layer = p[at + P.FIRST_LAYER] + i * P.LAYER_INTS
        score_layer(f, p, layer, shift, i == p[at + P.N_LAYERS] - 1, g, s)


@kernel
def score_layer(f: Any, p: Any, layer: int, shift: int, top: bool, g: Any, s: Any) -> None:
    """``LIF.backward`` with ``Credit.score`` and ``LIF.write_score``, row by row."""
    n_in, n, rows = p[layer + P.N_IN], p[layer + P.N_OUT], p[layer + P.ROWS]
    below, spare = row_of(s, N.BELOW, n), row_of(s, N.ADD, n)
    for i in range(rows):
        start = p[layer + P.AFFINE] + shift + i * n
        row = part(f, start, n) if i <= n_in else spare
        if top:
            trace = part(f, p[layer + P.ELIGIBILITY] + i * n, n)
            for h in range(n):
                row[h] = below[h] * trace[h]
        else:
            zero(row, 0, n)
            for j in range(g.size):
                start = p[layer + P.PROJECTED] + (j * rows + i) * n
                trace = part(f, start, n)
                for h in range(n):
                    row[h] += g[j] * trace[h]
        if i == n_in + 1 and p[layer + P.DECAY_RAW] >= 0:
            chain(f, p[layer + P.DECAY_RAW], shift, p[layer + P.DECAY], p[layer + P.DECAY_N], spare, True)
        elif i > n_in:
            chain(f, p[layer + P.THRESHOLD_RAW], shift, p[layer + P.THRESHOLD], p[layer + P.THRESHOLD_N], spare, False)


@kernel
def chain(f: Any, raw: int, shift: int, value: int, n: int, gradient: Any, is_decay: bool) -> None:
    """``Constrained.write_score``: from the gradient by each neuron's value to the score of the raw parameter."""
    one = f.dtype.type(1)
    if n == 1:
        total = f.dtype.type(0)
        for h in range(gradient.size):
            total += gradient[h]
        gradient[0] = total
    for h in range(n):
        v = f[value + h]
        slope = v * (one - v) if is_decay else -np.expm1(-v)
        f[raw + shift + h] = gradient[h] * slope


@kernel
def clear(f: Any, p: Any, at: int) -> None:
    """``TraceLearner.reset_state``: membranes and every trace of the network to zero."""
    zero(f, p[at + P.TRACE], p[at + P.N_PARAMETERS])
    zero(f, p[at + P.FILTERED], p[at + P.READOUT_IN])
    zero(f, p[at + P.DECAY_SENSITIVITY], p[at + P.READOUT_IN])
    for i in range(p[at + P.N_LAYERS]):
        layer = p[at + P.FIRST_LAYER] + i * P.LAYER_INTS
        n, size = p[layer + P.N_OUT], p[layer + P.N_OUT] * p[layer + P.ROWS]
        for field in (P.MEMBRANE, P.SPIKES, P.SURROGATE, P.RESET_GAIN, P.RESET_DRIVE):
            zero(f, p[layer + field], n)
        zero(f, p[layer + P.SENSITIVITY], size)
        if p[layer + P.ELIGIBILITY] >= 0:
            zero(f, p[layer + P.ELIGIBILITY], size)
        else:
            zero(f, p[layer + P.CARRIED], size * p[layer + P.N_ABOVE])
            zero(f, p[layer + P.PROJECTED], size * p[at + P.READOUT_OUT])
