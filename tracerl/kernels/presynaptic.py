"""Presynaptic credit of layers in a row: ``nn/credit/presynaptic.py``; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels.currents import at_currents, norm_scale, vjp
from tracerl.kernels.functional import accumulate
from tracerl.kernels.images import add_convolution_to_traces, convolution_vjp, pooling_vjp
from tracerl.kernels.jit import inlined, kernel
from tracerl.kernels.layout import ABSENT, POOLING
from tracerl.kernels.memory import active_rows, part, per_neuron, row_of
from tracerl.kernels.scratch import BELOW, COMPLEMENT, CURRENT, FURTHER_BELOW
from tracerl.kernels.steps import add_products_to_traces


@kernel
def update_presynaptic(memory: Any, layer: Any) -> None:
    """``PresynapticTrace.update``."""
    synapses, decay, n = layer.synapses, layer.membrane_decay, layer.synapses.n_in + 1
    kept, scale = part(memory, decay.value, decay.len_value).mean(), norm_scale(memory, layer.norm)
    trace, received = part(memory, layer.presynaptic.trace, n), part(memory, synapses.inputs, n)
    for i in range(n):
        trace[i] = accumulate(trace[i], kept, scale * received[i])


@inlined
def score_presynaptic(memory: Any, agent: Any, learner: Any, layers: Any, scratch: Any, sums: Any) -> None:
    """``Presynaptic.write_scores``, from the top layer down; V^T g stands in the scratch row BELOW, which is kept."""
    network, readout = learner.network, learner.network.readout
    n, decay = readout.n_in, readout.decay
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    at_filtered, signal = row_of(scratch, BELOW, n), row_of(scratch, CURRENT, n)
    for h in range(n):
        signal[h] = at_filtered[h] * complement[h]
    signal_row, below_row = CURRENT, FURTHER_BELOW
    for i in range(network.len_hidden - 1, -1, -1):
        layer = layers[network.first_layer + i]
        n, start, convolutional = layer.n_out, layer.synapses.affine, layer.synapses.kernel != ABSENT
        signal, below = row_of(scratch, signal_row, n), row_of(scratch, below_row, layer.n_in)
        signal_row, below_row = below_row, signal_row
        if layer.kind == POOLING:
            pooling_vjp(memory, layer, signal, below)
            continue
        at_currents(memory, layer, signal, scratch)
        if i > 0 and convolutional:
            convolution_vjp(memory, layer.synapses, signal, below, scratch)
        elif i > 0:
            vjp(memory, start, signal, below)
        if layer.presynaptic.trace == ABSENT:
            continue
        scale, active = norm_scale(memory, layer.norm), active_rows(layer, scratch)
        over = memory.dtype.type(1) / scale if scale > 0 else memory.dtype.type(0)  # 0 before the first observation
        for h in range(n):
            signal[h] *= over  # the scale is in the trace
        if convolutional:
            add_convolution_to_traces(
                memory, agent, learner, layer.synapses, layer.presynaptic.trace, signal, active, sums, scratch
            )
            continue
        trace = part(memory, layer.presynaptic.trace, layer.synapses.rows)
        add_products_to_traces(memory, agent, learner, start, trace, signal, active, sums)
