"""Presynaptic credit of hidden layers in a row: ``credit/presynaptic.py``, one to one; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.currents import at_currents, norm_scale, pull
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, per_neuron, row_of
from tracerl.kernels.steps import take_in_products


@kernel
def presynaptic_trace(f: Any, p: Any, layer: int) -> None:
    """``PresynapticTrace.update``."""
    rows, n_m = p[layer + P.SYNAPSE_ROWS], p[layer + P.DECAY_N]
    kept, scale = part(f, p[layer + P.DECAY], n_m).mean(), norm_scale(f, p, layer)
    trace, inputs = part(f, p[layer + P.PRESYNAPTIC], rows), part(f, p[layer + P.INPUTS], rows)
    for i in range(rows):
        trace[i] = kept * trace[i] + scale * inputs[i]


@kernel
def presynaptic_scores(f: Any, p: Any, at: int, q: Any, qat: int, s: Any, sums: Any) -> None:
    """``Presynaptic.write_scores``, from the top layer down; V^T g stands in the scratch row BELOW."""
    n, n_k = p[at + P.READOUT_IN], p[at + P.READOUT_DECAY_N]
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, S.COMPLEMENT, n))
    signal = row_of(s, S.BELOW, n)
    for h in range(n):
        signal[h] *= complement[h]
    arriving, leaving = S.BELOW, S.FURTHER_BELOW
    for i in range(p[at + P.N_LAYERS] - 1, -1, -1):
        layer = p[at + P.FIRST_LAYER] + i * P.LAYER_INTS
        n, driven = p[layer + P.N_OUT], p[layer + P.SYNAPSE_ROWS]
        signal = row_of(s, arriving, n)
        at_currents(f, p, layer, signal, s)
        if i > 0:
            pull(f, p, layer, signal, row_of(s, leaving, p[layer + P.N_IN]))
        scale, trace = norm_scale(f, p, layer), part(f, p[layer + P.PRESYNAPTIC], driven)
        over = f.dtype.type(1) / scale if scale > 0 else f.dtype.type(0)  # of a life begun anew, 0
        for h in range(n):
            signal[h] *= over  # the scale is in the trace
        take_in_products(f, p, at, layer, q, qat, trace, signal, s, sums)
        arriving, leaving = leaving, arriving
