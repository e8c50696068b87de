"""A perceptron forward and backward: ``nn.networks.Perceptron``; arguments as in ``neurons``."""

from typing import Any

from tracerl.kernels.currents import affine, centre, normalize, vjp
from tracerl.kernels.functional import RECTIFIER_LEAK
from tracerl.kernels.images import add_convolution_to_traces, convolution_vjp, convolve
from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import active_rows, part, row_of, zero
from tracerl.kernels.scratch import BELOW, CURRENT, FURTHER_BELOW, ONES
from tracerl.kernels.steps import add_all_to_traces, add_products_to_traces, add_to_traces, begin


@kernel
def forward(memory: Any, agent: Any, network: Any, layers: Any, x: Any, y: Any, scratch: Any) -> None:
    """``Perceptron.forward``: write the readout's y of the input x."""
    bottom = layers[network.first_layer]
    inputs = part(memory, bottom.inputs, bottom.n_in)
    for i in range(bottom.n_in):
        inputs[i] = x[i]
    forward_again(memory, network, layers, y, scratch)


@kernel
def forward_again(memory: Any, network: Any, layers: Any, y: Any, scratch: Any) -> None:
    """``Perceptron.recompute``: write y of the newest input."""
    first, n_layers, readout = network.first_layer, network.len_hidden, network.readout
    for i in range(n_layers):
        above = layers[first + i + 1].inputs if i < n_layers - 1 else readout.inputs
        rectify(memory, layers[first + i], above, scratch)
    n = readout.n_in + 1
    h = part(memory, readout.inputs, n)
    for a in range(readout.n_out):
        weights, total = part(memory, readout.affine + a * n, n), memory.dtype.type(0)
        for i in range(n):
            total += weights[i] * h[i]
        y[a] = total


@kernel
def rectify(memory: Any, layer: Any, above: int, scratch: Any) -> None:
    """``forward`` of a hidden layer of the inputs held, writing h to where the layer above holds its own."""
    n = layer.n_out
    current, h = row_of(scratch, CURRENT, n), part(memory, above, n)
    slopes, one, leak = part(memory, layer.slopes, n), memory.dtype.type(1), memory.dtype.type(RECTIFIER_LEAK)
    if layer.synapses.kernel != ABSENT:
        convolve(memory, layer.synapses, part(memory, layer.inputs, layer.n_in), current, scratch)
    else:
        affine(memory, layer.affine, part(memory, layer.inputs, layer.n_in + 1), current)
    normalize(memory, layer.norm, current)
    for i in range(n):
        slopes[i] = one if current[i] > 0 else leak
        h[i] = current[i] * slopes[i]


@kernel
def backward(memory: Any, wide: Any, agent: Any, learner: Any, layers: Any, g: Any, scratch: Any, sums: Any) -> None:
    """``Perceptron.backward``: write every parameter's score for the signal g at the outputs; ``add_to_traces``."""
    begin(wide, learner, sums)
    network, readout = learner.network, learner.network.readout
    shift = network.score - network.flat  # from a parameter to its score
    n_in = readout.n_in
    row, h = BELOW, part(memory, readout.inputs, n_in + 1)
    signal = row_of(scratch, row, n_in)
    zero(signal, 0, n_in)
    for a in range(readout.n_out):
        start = readout.affine + a * (n_in + 1)
        weights, scores, ga = part(memory, start, n_in), part(memory, start + shift, n_in + 1), g[a]
        for i in range(n_in + 1):
            scores[i] = ga * h[i]
        for i in range(n_in):
            signal[i] += ga * weights[i]
        if agent.by_rows:
            add_to_traces(memory, learner, start, 1, n_in + 1, scratch[ONES], sums)
    for i in range(network.len_hidden - 1, -1, -1):
        layer = layers[network.first_layer + i]
        signal, synapses, active = row_of(scratch, row, layer.n_out), layer.synapses, active_rows(layer, scratch)
        at_currents(memory, layer, signal, scratch)
        row = FURTHER_BELOW if row == BELOW else BELOW
        below = row_of(scratch, row, layer.n_in)
        if synapses.kernel != ABSENT:
            if i > 0:
                convolution_vjp(memory, synapses, signal, below, scratch)
            add_convolution_to_traces(memory, agent, learner, synapses, layer.inputs, signal, active, sums, scratch)
            continue
        if i > 0:
            vjp(memory, layer.affine, signal, below)
        inputs = part(memory, layer.inputs, layer.n_in + 1)
        add_products_to_traces(memory, agent, learner, layer.affine, inputs, signal, active, sums)
    add_all_to_traces(memory, agent, learner, scratch, sums)


@kernel
def at_currents(memory: Any, layer: Any, signal: Any, scratch: Any) -> None:
    """``RectifiedLayer.at_currents``, in place."""
    n = signal.size
    slopes, inverse = part(memory, layer.slopes, n), memory[layer.norm.inverse]
    for h in range(n):
        signal[h] *= inverse * slopes[h]
    centre(signal.reshape(1, n), part(memory, layer.norm.normalized, n), scratch[ONES])


@kernel
def clear(memory: Any, learner: Any, layers: Any) -> None:
    """``TraceLearner.reset_state`` of a perceptron, which keeps no state over steps: its trace to zero."""
    zero(memory, learner.eligibility_trace, learner.network.len_flat)
