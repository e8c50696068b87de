"""Spiking layers and the readout as loops over one lifetime's memory: ``nn/layers/``, by the same equations.

Arguments of the kernels here and in the files beside this one:

    memory    what has the network's dtype of one lifetime, [n] (``nn.packed_state``)
    words     its 64-bit words, int64, [m]; ``wide`` is the same memory seen as float64
    agent     record of ``layout``, as are learner, network and layer
    layers    records of the layers of both networks
    constants float64 numbers that no lifetime changes
    scratch   rows for vectors that are written before they are read, as wide as the longest
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels.currents import affine, copy_own_spikes, norm_scale, normalize
from tracerl.kernels.functional import (
    carry_sensitivity,
    lif_fire,
    lif_potential,
    low_pass,
    raise_threshold,
    surrogate_derivative,
    surrogate_integral,
    ternary_fire,
)
from tracerl.kernels.images import convolve
from tracerl.kernels.jit import inlined, kernel
from tracerl.kernels.layout import ABSENT, GRADED, TERNARY
from tracerl.kernels.memory import active_rows, part, per_neuron, row_of, table
from tracerl.kernels.scratch import ADD, COMPLEMENT, CURRENT, DECAY, KEEP, LEAK, THRESHOLD


@kernel
def refresh_decay(memory: Any, decay: Any) -> None:
    """``Constrained.refresh`` of a decay: value = sigmoid(raw), where it is learned."""
    if decay.raw == ABSENT:
        return
    one, n = memory.dtype.type(1), decay.len_value
    raw, value, complement = part(memory, decay.raw, n), part(memory, decay.value, n), part(memory, decay.complement, n)
    for h in range(n):
        value[h] = one / (one + math.exp(-raw[h]))
    for h in range(n):
        complement[h] = one - value[h]


@kernel
def refresh_positive(memory: Any, threshold: Any) -> None:
    """``Constrained.refresh`` of a threshold: value = softplus(raw), where it is learned."""
    if threshold.raw == ABSENT:
        return
    raw, value = part(memory, threshold.raw, threshold.len_value), part(memory, threshold.value, threshold.len_value)
    for h in range(value.size):
        value[h] = math.log1p(math.exp(-abs(raw[h]))) + max(raw[h], memory.dtype.type(0))


@kernel
def write_score(memory: Any, constrained: Any, shift: int, gradient: Any, is_decay: bool) -> None:
    """``Constrained.write_score``: from the gradient by each neuron's value to that by the raw parameter.

    ``shift`` leads from a parameter to its score.
    """
    one, n = memory.dtype.type(1), constrained.len_value
    if n == 1:
        total = memory.dtype.type(0)
        for h in range(gradient.size):
            total += gradient[h]
        gradient[0] = total
    for h in range(n):
        value = memory[constrained.value + h]
        slope = value * (one - value) if is_decay else -np.expm1(-value)
        memory[constrained.raw + shift + h] = gradient[h] * slope


@inlined
def layer_forward(memory: Any, agent: Any, layer: Any, x: Any, scratch: Any) -> None:
    """``SpikingLayer.forward``: one tick of a layer; x is its input, the spikes are left in the layer's memory."""
    n_in, n, rows = layer.n_in, layer.n_out, layer.synapses.rows
    decay, threshold = layer.membrane_decay, layer.threshold
    refresh_decay(memory, decay)
    refresh_positive(memory, threshold)
    m = per_neuron(memory, decay.value, decay.len_value, row_of(scratch, DECAY, n))
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    theta = per_neuron(memory, threshold.value, threshold.len_value, row_of(scratch, THRESHOLD, n))
    current = row_of(scratch, CURRENT, n)
    inputs = part(memory, layer.synapses.inputs, layer.synapses.n_in + 1)
    for i in range(n_in):
        inputs[i] = x[i]
    if layer.synapses.kernel != ABSENT:
        convolve(memory, layer.synapses, x, current, scratch)
    else:
        if rows > n_in + 1:
            copy_own_spikes(memory, layer)
        affine(memory, layer.synapses.affine, inputs, current)
    if layer.norm.normalized != ABSENT:
        normalize(memory, layer.norm, current)
    if layer.sensitivity != ABSENT and not agent.frozen:
        leak, gain = row_of(scratch, LEAK, n), part(memory, layer.reset_gain, n)
        for h in range(n):
            leak[h] = m[h] * gain[h]
        if layer.adapted != ABSENT:
            carry_adaptation(memory, layer, leak, m, scratch)
        carry_potential(memory, layer, leak, m, complement, current, scratch)
    if layer.adapted != ABSENT:
        theta = adapt(memory, layer, theta, scratch)
    if layer.threshold_rise != ABSENT:
        theta = raised(memory, layer, theta, scratch)
    if layer.kind == GRADED:
        fire_graded(memory, layer, current, m, complement, theta)
    elif layer.kind == TERNARY:
        fire_ternary(memory, layer, current, m, complement, theta)
    else:
        fire(memory, layer, current, m, complement, theta)
    if layer.threshold_rise != ABSENT and agent.adapts:
        raise_thresholds(memory, layer)


@kernel
def adapt(memory: Any, layer: Any, theta: Any, scratch: Any) -> Any:
    """The threshold of ``ALIF.fire``: advance a_t and return theta + beta a_t, in the scratch row THRESHOLD."""
    n, decay = theta.size, layer.adaptation_decay
    beta, lifted = memory.dtype.type(layer.adaptation), row_of(scratch, THRESHOLD, n)
    rho = per_neuron(memory, decay.value, decay.len_value, row_of(scratch, KEEP, n))
    adapted, spikes = part(memory, layer.adapted, n), part(memory, layer.spikes, n)
    for h in range(n):
        a = low_pass(adapted[h], rho[h], spikes[h])
        adapted[h] = a
        lifted[h] = theta[h] + beta * a
    return lifted


@kernel
def raised(memory: Any, layer: Any, theta: Any, scratch: Any) -> Any:
    """The threshold of ``SpikingLayer._release``: theta and its rise, in the scratch row THRESHOLD."""
    n, total = theta.size, row_of(scratch, THRESHOLD, theta.size)
    rise = part(memory, layer.threshold_rise, n)
    for h in range(n):
        total[h] = theta[h] + rise[h]
    return total


@kernel
def raise_thresholds(memory: Any, layer: Any) -> None:
    """``functional.raise_threshold_`` for all neurons, by the spikes of this tick."""
    n, real = layer.n_out, memory.dtype.type
    rise, spikes = part(memory, layer.threshold_rise, n), part(memory, layer.spikes, n)
    target, step = real(layer.rate_target), real(layer.threshold_step)
    for h in range(n):
        rise[h] = raise_threshold(rise[h], abs(spikes[h]), target, step)


@kernel
def rate_weights(memory: Any, layer: Any) -> tuple[Any, Any]:
    """Weights of the last rate and of the newest spike; both are 1 where the rate is the number of spikes."""
    one, decay = memory.dtype.type(1), memory.dtype.type(layer.rate_decay)
    return decay, one - decay if decay < one else one


@kernel
def fire(memory: Any, layer: Any, current: Any, m: Any, complement: Any, theta: Any) -> None:
    """``LIF.fire``: integrate, fire and reset, in one pass over the neurons."""
    n = current.size
    membrane, gain = part(memory, layer.membrane, n), part(memory, layer.reset_gain, n)
    drive, spikes = part(memory, layer.reset_drive, n), part(memory, layer.spikes, n)
    psi, rate = part(memory, layer.surrogate, n), part(memory, layer.rate, n)
    slope, detach_reset = layer.slope, layer.detach_reset
    surrogate, reset, (kept, fresh) = layer.surrogate_kind, layer.reset, rate_weights(memory, layer)
    for h in range(n):
        u = lif_potential(current[h], membrane[h], m[h], complement[h])
        spike, v, slant, g, d = lif_fire(u, theta[h], slope, surrogate, reset, detach_reset)
        spikes[h], membrane[h], psi[h], gain[h], drive[h] = spike, v, slant, g, d
        rate[h] = kept * rate[h] + fresh * spike


@kernel
def fire_ternary(memory: Any, layer: Any, current: Any, m: Any, complement: Any, theta: Any) -> None:
    """``Ternary.fire``: integrate, fire and reset, in one pass over the neurons."""
    n = current.size
    membrane, gain = part(memory, layer.membrane, n), part(memory, layer.reset_gain, n)
    drive, spikes = part(memory, layer.reset_drive, n), part(memory, layer.spikes, n)
    psi, rate = part(memory, layer.surrogate, n), part(memory, layer.rate, n)
    phi, slope, detach_reset = part(memory, layer.signed_surrogate, n), layer.slope, layer.detach_reset
    surrogate, reset, (kept, fresh) = layer.surrogate_kind, layer.reset, rate_weights(memory, layer)
    for h in range(n):
        u = lif_potential(current[h], membrane[h], m[h], complement[h])
        spike, v, slant, g, d, signed = ternary_fire(u, theta[h], slope, surrogate, reset, detach_reset)
        spikes[h], membrane[h], psi[h], gain[h], drive[h], phi[h] = spike, v, slant, g, d, signed
        rate[h] = kept * rate[h] + fresh * abs(spike)


@kernel
def fire_graded(memory: Any, layer: Any, current: Any, m: Any, complement: Any, theta: Any) -> None:
    """``Graded.fire``: integrate and hand on a graded potential, in one pass over the neurons."""
    n, one = current.size, memory.dtype.type(1)
    membrane, gain = part(memory, layer.membrane, n), part(memory, layer.reset_gain, n)
    graded, psi, rate = part(memory, layer.spikes, n), part(memory, layer.surrogate, n), part(memory, layer.rate, n)
    slope, surrogate, (kept, fresh) = layer.slope, layer.surrogate_kind, rate_weights(memory, layer)
    for h in range(n):
        u = lif_potential(current[h], membrane[h], m[h], complement[h])
        z = surrogate_integral(u - theta[h], slope, surrogate)
        psi[h] = surrogate_derivative(u - theta[h], slope, surrogate)
        membrane[h], gain[h], graded[h] = u, one, z
        rate[h] = kept * rate[h] + fresh * abs(z)


@kernel
def carry_potential(memory: Any, layer: Any, leak: Any, m: Any, complement: Any, current: Any, scratch: Any) -> None:
    """``SpikingLayer._carry_potential``, row by row."""
    n, driven = layer.n_out, layer.synapses.rows
    inputs, start = part(memory, layer.synapses.inputs, driven), layer.sensitivity
    scale, active = norm_scale(memory, layer.norm), active_rows(layer, scratch)
    sensitivity = table(memory, start, driven, n)
    for i in range(driven):
        if active[i] == 0:
            continue
        xi = scale * inputs[i]
        for h in range(n):
            sensitivity[i, h] = carry_sensitivity(sensitivity[i, h], leak[h], complement[h] * xi)
    at_row = start + driven * n
    if layer.membrane_decay.raw != ABSENT:
        row, membrane = part(memory, at_row, n), part(memory, layer.membrane, n)
        for h in range(n):
            row[h] = carry_sensitivity(row[h], leak[h], membrane[h] - current[h])
        at_row += n
    if layer.threshold.raw != ABSENT:
        row, drive = part(memory, at_row, n), part(memory, layer.reset_drive, n)
        for h in range(n):
            row[h] = carry_sensitivity(row[h], leak[h], m[h] * drive[h])


@kernel
def carry_adaptation(memory: Any, layer: Any, leak: Any, m: Any, scratch: Any) -> None:
    """What ``ALIF.carry`` does before the potential is driven: da whole, du leaked, after which ``leak`` is 1."""
    one, n, rows, decay = memory.dtype.type(1), layer.n_out, layer.rows, layer.adaptation_decay
    beta, through = memory.dtype.type(layer.adaptation), row_of(scratch, ADD, n)
    rho = per_neuron(memory, decay.value, decay.len_value, row_of(scratch, KEEP, n))
    psi, drive = part(memory, layer.surrogate, n), part(memory, layer.reset_drive, n)
    for h in range(n):
        through[h] = beta * m[h] * drive[h]
    for i in range(rows):
        row = part(memory, layer.sensitivity + i * n, n)
        adapted = part(memory, layer.adaptation_sensitivity + i * n, n)
        shift = one if i == rows - 1 and layer.threshold.raw != ABSENT else memory.dtype.type(0)
        for h in range(n):
            a = adapted[h]
            adapted[h] = low_pass(a, rho[h], psi[h] * (row[h] - beta * a - shift))
            row[h] = leak[h] * row[h] + through[h] * a
    for h in range(n):
        leak[h] = one


@kernel
def li_forward(memory: Any, agent: Any, readout: Any, spikes: Any, y: Any, scratch: Any) -> None:
    """``LI.forward``: one tick of the readout; writes y."""
    n_in, decay = readout.n_in, readout.decay
    refresh_decay(memory, decay)
    k = per_neuron(memory, decay.value, decay.len_value, row_of(scratch, KEEP, n_in))
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, ADD, n_in))
    zbar = part(memory, readout.filtered, n_in + 1)
    if decay.raw != ABSENT and not agent.frozen:
        sensitivity = part(memory, readout.decay_sensitivity, n_in)
        for h in range(n_in):
            sensitivity[h] = k[h] * sensitivity[h] + zbar[h] - spikes[h]
    for h in range(n_in):
        zbar[h] = k[h] * zbar[h] + complement[h] * spikes[h]
    for a in range(readout.n_out):
        weights = part(memory, readout.affine + a * (n_in + 1), n_in + 1)
        total = weights[n_in]
        for h in range(n_in):
            total += weights[h] * zbar[h]
        y[a] = total
