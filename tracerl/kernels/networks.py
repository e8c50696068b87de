"""A whole network forward and backward: ``network.Network`` for layers in a row; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, row_of, zero
from tracerl.kernels.neurons import chain, layer_forward, li_forward
from tracerl.kernels.otpe import mean_of_leak, readout_credit, score_layer, trace_lower
from tracerl.kernels.presynaptic import presynaptic_scores, presynaptic_trace
from tracerl.kernels.steps import begin, take_in, take_in_all


@kernel
def forward(f: Any, p: Any, at: int, q: Any, x: Any, y: Any, s: Any) -> None:
    """``Network.forward``: one env step on the held input x; writes the readout's y."""
    n_layers, first, floats = p[at + P.N_LAYERS], p[at + P.FIRST_LAYER], p[at + P.FIRST_LAYER_FLOATS]
    leaks = s[S.LEAKS]
    top, presynaptic = first + (n_layers - 1) * P.LAYER_INTS, p[first + P.PRESYNAPTIC] >= 0
    learning = p[P.FROZEN] == 0
    for _ in range(p[at + P.TICKS]):
        for i in range(1, n_layers if learning else 0):
            leaks[i] = mean_of_leak(f, p, first + i * P.LAYER_INTS)
        signal = x
        for i in range(n_layers):
            layer = first + i * P.LAYER_INTS
            layer_forward(f, p, layer, q, floats + i * P.LAYER_FLOATS, signal, s)
            signal = part(f, p[layer + P.SPIKES], p[layer + P.N_OUT])
        li_forward(f, p, at, signal, y, s)
        if not learning:
            continue
        if presynaptic:
            for i in range(n_layers):
                presynaptic_trace(f, p, first + i * P.LAYER_INTS)
            continue
        readout_credit(f, p, at, top, q, floats + (n_layers - 1) * P.LAYER_FLOATS, s)
        if n_layers > 1:
            trace_lower(f, p, at, q, leaks, s)


@kernel
def backward(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, g: Any, s: Any, sums: Any) -> None:
    """``Network.backward``: take in the score of every parameter for the signal g at the outputs."""
    begin(d, p, at, q, qat, sums)
    n_in, n_out = p[at + P.READOUT_IN], p[at + P.READOUT_OUT]
    shift = p[at + P.SCORE] - p[at + P.FLAT]  # from a parameter to its score
    below = row_of(s, S.BELOW, n_in)
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
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, start, 1, n_in + 1, s[S.ONES], sums)
    if p[at + P.READOUT_RAW] >= 0:
        row = row_of(s, S.ADD, n_in)
        sensitivity = part(f, p[at + P.DECAY_SENSITIVITY], n_in)
        for h in range(n_in):
            row[h] = below[h] * sensitivity[h]
        chain(f, p[at + P.READOUT_RAW], shift, p[at + P.READOUT_DECAY], p[at + P.READOUT_DECAY_N], row, True)
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, p[at + P.READOUT_RAW], 1, p[at + P.READOUT_DECAY_N], s[S.ONES], sums)
    if p[p[at + P.FIRST_LAYER] + P.PRESYNAPTIC] >= 0:
        presynaptic_scores(f, p, at, q, qat, s, sums)
        take_in_all(f, p, at, q, qat, s, sums)
        return
    for i in range(p[at + P.N_LAYERS]):
        score_layer(f, p, at, p[at + P.FIRST_LAYER] + i * P.LAYER_INTS, q, qat, g, s, sums)
    take_in_all(f, p, at, q, qat, s, sums)


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
        if p[layer + P.ADAPTED] >= 0:
            zero(f, p[layer + P.ADAPTED], n)
        if p[layer + P.PRESYNAPTIC] >= 0:
            zero(f, p[layer + P.PRESYNAPTIC], p[layer + P.SYNAPSE_ROWS])
            continue
        zero(f, p[layer + P.SENSITIVITY], size)
        if p[layer + P.ADAPTED] >= 0:
            zero(f, p[layer + P.ADAPTATION_SENSITIVITY], size)
        if p[layer + P.ELIGIBILITY] >= 0:
            zero(f, p[layer + P.ELIGIBILITY], size)
        else:
            zero(f, p[layer + P.CARRIED], size * p[layer + P.N_ABOVE])
            zero(f, p[layer + P.PROJECTED], size * p[at + P.READOUT_OUT])
