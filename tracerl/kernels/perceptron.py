"""A perceptron forward and backward over one life's memory: ``network.Perceptron``; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.currents import affine, centre, normalize, pull
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, row_of, zero
from tracerl.kernels.steps import begin, take_in, take_in_all, take_in_products

_LEAK = 0.01  # layers.rectified.LEAK


@kernel
def forward(f: Any, p: Any, at: int, q: Any, x: Any, y: Any, s: Any) -> None:
    """``Perceptron.forward``: see x, and write the readout's y."""
    first = p[at + P.FIRST_LAYER]
    n = p[first + P.N_IN]
    inputs = part(f, p[first + P.INPUTS], n)
    for i in range(n):
        inputs[i] = x[i]
    look_again(f, p, at, q, y, s)


@kernel
def look_again(f: Any, p: Any, at: int, q: Any, y: Any, s: Any) -> None:
    """``Perceptron.look_again``: write y of the input that was seen last."""
    n_layers, first, floats = p[at + P.N_LAYERS], p[at + P.FIRST_LAYER], p[at + P.FIRST_LAYER_FLOATS]
    for i in range(n_layers):
        layer = first + i * P.LAYER_INTS
        above = p[layer + P.LAYER_INTS + P.INPUTS] if i < n_layers - 1 else p[at + P.FILTERED]
        rectified(f, p, layer, q, floats + i * P.LAYER_FLOATS, above, s)
    n = p[at + P.READOUT_IN] + 1
    h = part(f, p[at + P.FILTERED], n)
    for a in range(p[at + P.READOUT_OUT]):
        weights, total = part(f, p[at + P.READOUT_AFFINE] + a * n, n), f.dtype.type(0)
        for i in range(n):
            total += weights[i] * h[i]
        y[a] = total


@kernel
def rectified(f: Any, p: Any, layer: int, q: Any, qat: int, above: int, s: Any) -> None:
    """``Rectified.forward`` of the inputs held, writing h to where the layer above holds its own."""
    n = p[layer + P.N_OUT]
    current, h = row_of(s, S.CURRENT, n), part(f, above, n)
    slopes, one, leak = part(f, p[layer + P.SURROGATE], n), f.dtype.type(1), f.dtype.type(_LEAK)
    affine(f, p[layer + P.AFFINE], part(f, p[layer + P.INPUTS], p[layer + P.N_IN] + 1), current)
    normalize(f, p, layer, q, qat, current)
    for i in range(n):
        slopes[i] = one if current[i] > 0 else leak
        h[i] = current[i] * slopes[i]


@kernel
def backward(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, g: Any, s: Any, sums: Any) -> None:
    """``Perceptron.backward``: take in the score of every parameter for the signal g at the outputs."""
    begin(d, p, at, q, qat, sums)
    shift = p[at + P.SCORE] - p[at + P.FLAT]  # from a parameter to its score
    n_in = p[at + P.READOUT_IN]
    row, h = S.BELOW, part(f, p[at + P.FILTERED], n_in + 1)
    signal = row_of(s, row, n_in)
    zero(signal, 0, n_in)
    for a in range(p[at + P.READOUT_OUT]):
        start = p[at + P.READOUT_AFFINE] + a * (n_in + 1)
        weights, scores, ga = part(f, start, n_in), part(f, start + shift, n_in + 1), g[a]
        for i in range(n_in + 1):
            scores[i] = ga * h[i]
        for i in range(n_in):
            signal[i] += ga * weights[i]
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, start, 1, n_in + 1, s[S.ONES], sums)
    for i in range(p[at + P.N_LAYERS] - 1, -1, -1):
        layer = p[at + P.FIRST_LAYER] + i * P.LAYER_INTS
        signal = row_of(s, row, p[layer + P.N_OUT])
        score_layer(f, p, at, layer, q, qat, signal, s, sums)
        if i > 0:
            row = S.FURTHER_BELOW if row == S.BELOW else S.BELOW
            pull(f, p, layer, signal, row_of(s, row, p[layer + P.N_IN]))
    take_in_all(f, p, at, q, qat, s, sums)


@kernel
def score_layer(f: Any, p: Any, at: int, layer: int, q: Any, qat: int, signal: Any, s: Any, sums: Any) -> None:
    """``Rectified.backward`` of one layer but for ``pull``: the signal at its outputs becomes that at its currents."""
    n, rows = signal.size, p[layer + P.N_IN] + 1
    slopes, inverse = part(f, p[layer + P.SURROGATE], n), f[p[layer + P.INVERSE]]
    for h in range(n):
        signal[h] *= inverse * slopes[h]
    centre(signal.reshape(1, n), part(f, p[layer + P.NORMALIZED], n), s[S.ONES])
    take_in_products(f, p, at, layer, q, qat, part(f, p[layer + P.INPUTS], rows), signal, s, sums)


@kernel
def clear(f: Any, p: Any, at: int) -> None:
    """``TraceLearner.reset_state`` of a perceptron, which remembers nothing: its eligibility trace to zero."""
    zero(f, p[at + P.TRACE], p[at + P.N_PARAMETERS])
