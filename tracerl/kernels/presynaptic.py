"""Presynaptic credit of hidden layers in a row: ``nn/credit/presynaptic.py``; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels.currents import at_currents, norm_scale, vjp
from tracerl.kernels.functional import accumulate
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import active_rows, part, per_neuron, row_of
from tracerl.kernels.scratch import BELOW, COMPLEMENT, FURTHER_BELOW
from tracerl.kernels.steps import add_products_to_traces


@kernel
def update_presynaptic(memory: Any, layer: Any) -> None:
    """``PresynapticTrace.update``."""
    rows, decay = layer.synapses.rows, layer.membrane_decay
    kept, scale = part(memory, decay.value, decay.len_value).mean(), norm_scale(memory, layer.norm)
    trace, inputs = part(memory, layer.presynaptic.trace, rows), part(memory, layer.synapses.inputs, rows)
    for i in range(rows):
        trace[i] = accumulate(trace[i], kept, scale * inputs[i])


@kernel
def score_presynaptic(memory: Any, agent: Any, learner: Any, layers: Any, scratch: Any, sums: Any) -> None:
    """``Presynaptic.write_scores``, from the top layer down; V^T g stands in the scratch row BELOW."""
    network, readout = learner.network, learner.network.readout
    n, decay = readout.n_in, readout.decay
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    signal = row_of(scratch, BELOW, n)
    for h in range(n):
        signal[h] *= complement[h]
    arriving, leaving = BELOW, FURTHER_BELOW
    for i in range(network.len_hidden - 1, -1, -1):
        layer = layers[network.first_layer + i]
        n, start, rows = layer.n_out, layer.synapses.affine, layer.synapses.rows
        signal = row_of(scratch, arriving, n)
        at_currents(memory, layer, signal, scratch)
        if i > 0:
            vjp(memory, start, signal, row_of(scratch, leaving, layer.n_in))
        scale, trace = norm_scale(memory, layer.norm), part(memory, layer.presynaptic.trace, rows)
        over = memory.dtype.type(1) / scale if scale > 0 else memory.dtype.type(0)  # 0 before the first observation
        for h in range(n):
            signal[h] *= over  # the scale is in the trace
        add_products_to_traces(memory, agent, learner, start, trace, signal, active_rows(layer, scratch), sums)
        arriving, leaving = leaving, arriving
