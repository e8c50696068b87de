"""A whole network forward and backward: ``nn.networks.Network`` for layers in a row; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels.images import pool
from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT, POOLING
from tracerl.kernels.memory import part, row_of, zero
from tracerl.kernels.neurons import layer_forward, li_forward, write_score
from tracerl.kernels.otpe import mean_state_retention, score_layer, update_path_credits, update_readout_credit
from tracerl.kernels.presynaptic import score_presynaptic, update_presynaptic
from tracerl.kernels.scratch import ADD, BELOW, ONES, RETENTION
from tracerl.kernels.steps import add_all_to_traces, add_to_traces, begin


@kernel
def forward(memory: Any, agent: Any, network: Any, layers: Any, x: Any, y: Any, scratch: Any) -> None:
    """``Network.forward``: one env step on the held input x; writes the readout's y."""
    n_layers, first, learning = network.len_hidden, network.first_layer, not agent.frozen
    retention, top = scratch[RETENTION], layers[first + n_layers - 1]
    for _ in range(network.ticks):
        for i in range(1, n_layers if learning else 0):
            if layers[first + i].sensitivity != ABSENT:
                retention[i] = mean_state_retention(memory, layers[first + i])
        signal = x
        for i in range(n_layers):
            layer = layers[first + i]
            if layer.kind == POOLING:
                signal = pool(memory, layer, signal, scratch)
                continue
            layer_forward(memory, agent, layer, signal, scratch)
            signal = part(memory, layer.spikes, layer.n_out)
        li_forward(memory, agent, network.readout, signal, y, scratch)
        if not learning:
            continue
        for i in range(n_layers):
            if layers[first + i].presynaptic.trace != ABSENT:
                update_presynaptic(memory, layers[first + i])
        if top.sensitivity != ABSENT:
            update_readout_credit(memory, network.readout, top, scratch)
            if n_layers > 1:
                update_path_credits(memory, network, layers, scratch)


@kernel
def backward(memory: Any, wide: Any, agent: Any, learner: Any, layers: Any, g: Any, scratch: Any, sums: Any) -> None:
    """``Network.backward``: write every parameter's score for the signal g at the outputs; ``add_to_traces``."""
    begin(wide, learner, sums)
    network, readout = learner.network, learner.network.readout
    n_in, decay = readout.n_in, readout.decay
    shift = network.score - network.flat  # from a parameter to its score
    below = row_of(scratch, BELOW, n_in)
    zero(below, 0, n_in)
    for a in range(readout.n_out):
        start = readout.affine + a * (n_in + 1)
        weights, scores = part(memory, start, n_in), part(memory, start + shift, n_in + 1)
        zbar = part(memory, readout.filtered, n_in + 1)
        ga = g[a]
        for h in range(n_in + 1):
            scores[h] = ga * zbar[h]
        for h in range(n_in):
            below[h] += ga * weights[h]
        if agent.by_rows:
            add_to_traces(memory, learner, start, 1, n_in + 1, scratch[ONES], sums)
    if decay.raw != ABSENT:
        row, sensitivity = row_of(scratch, ADD, n_in), part(memory, readout.decay_sensitivity, n_in)
        for h in range(n_in):
            row[h] = below[h] * sensitivity[h]
        write_score(memory, decay, shift, row, True)
        if agent.by_rows:
            add_to_traces(memory, learner, decay.raw, 1, decay.len_value, scratch[ONES], sums)
    if layers[network.first_layer].presynaptic.trace != ABSENT:
        score_presynaptic(memory, agent, learner, layers, scratch, sums)
    for i in range(network.len_hidden):
        if layers[network.first_layer + i].sensitivity != ABSENT:
            score_layer(memory, agent, learner, layers[network.first_layer + i], g, scratch, sums)
    add_all_to_traces(memory, agent, learner, scratch, sums)


@kernel
def clear(memory: Any, learner: Any, layers: Any) -> None:
    """``TraceLearner.reset_state``: membranes and every trace of the network to zero."""
    network, readout = learner.network, learner.network.readout
    zero(memory, learner.eligibility_trace, network.len_flat)
    zero(memory, readout.filtered, readout.n_in)
    zero(memory, readout.decay_sensitivity, readout.n_in)
    for i in range(network.len_hidden):
        clear_layer(memory, layers[network.first_layer + i], readout.n_out)


@kernel
def clear_layer(memory: Any, layer: Any, n_outputs: int) -> None:
    """``SpikingLayer.reset_state`` and that of the layer's credit."""
    if layer.kind == POOLING:
        return
    n, size = layer.n_out, layer.n_out * layer.rows
    for start in (layer.membrane, layer.spikes, layer.surrogate, layer.reset_gain, layer.reset_drive):
        zero(memory, start, n)
    if layer.adapted != ABSENT:
        zero(memory, layer.adapted, n)
    if layer.signed_surrogate != ABSENT:
        zero(memory, layer.signed_surrogate, n)
    if layer.presynaptic.trace != ABSENT:
        zero(memory, layer.presynaptic.trace, layer.synapses.n_in + 1)
        return
    zero(memory, layer.sensitivity, size)
    if layer.adapted != ABSENT:
        zero(memory, layer.adaptation_sensitivity, size)
    if layer.readout_credit.eligibility != ABSENT:
        zero(memory, layer.readout_credit.eligibility, size)
    else:
        zero(memory, layer.path_credit.carried, size * layer.path_credit.len_levels)
        zero(memory, layer.path_credit.projected, size * n_outputs)
