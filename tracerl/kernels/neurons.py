"""Spiking layers and the readout as loops over one life's memory: ``functional.py`` and ``layers/``, one to one.

``f`` is the real memory of the life, ``p`` the ints of the plan with ``at`` the place of a layer or network in it,
``q`` its floats with ``qat``, and ``s`` scratch rows as wide as the widest layer.
"""

import math
from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels.compile import kernel
from tracerl.kernels.memory import part, per_neuron, row_of

# Scratch rows.
CURRENT, LEAK, DECAY, COMPLEMENT, THRESHOLD, KEEP, ADD, BELOW, CODE, LEAKS, OUTPUT, SIGNAL, SCRATCH_ROWS = range(13)


@kernel
def refresh(f: Any, raw: int, value: int, complement: int, n: int, is_decay: bool) -> None:
    """``Constrained.refresh``: value = sigmoid(raw) or softplus(raw)."""
    one, x, v = f.dtype.type(1), part(f, raw, n), part(f, value, n)
    if is_decay:
        for h in range(n):
            v[h] = one / (one + math.exp(-x[h]))
        rest = part(f, complement, n)
        for h in range(n):
            rest[h] = one - v[h]
    else:
        for h in range(n):
            v[h] = math.log1p(math.exp(-abs(x[h]))) + max(x[h], f.dtype.type(0))


@kernel
def lif_forward(f: Any, p: Any, at: int, q: Any, qat: int, x: Any, s: Any) -> None:
    """``LIF.forward``: one tick of a layer; x is its input, the spikes are left in the layer's memory."""
    n_in, n = p[at + P.N_IN], p[at + P.N_OUT]
    if p[at + P.DECAY_RAW] >= 0:
        refresh(f, p[at + P.DECAY_RAW], p[at + P.DECAY], p[at + P.DECAY_COMPLEMENT], p[at + P.DECAY_N], True)
    if p[at + P.THRESHOLD_RAW] >= 0:
        refresh(f, p[at + P.THRESHOLD_RAW], p[at + P.THRESHOLD], -1, p[at + P.THRESHOLD_N], False)
    m = per_neuron(f, p[at + P.DECAY], p[at + P.DECAY_N], row_of(s, DECAY, n))
    complement = per_neuron(f, p[at + P.DECAY_COMPLEMENT], p[at + P.DECAY_N], row_of(s, COMPLEMENT, n))
    theta = per_neuron(f, p[at + P.THRESHOLD], p[at + P.THRESHOLD_N], row_of(s, THRESHOLD, n))
    inputs = part(f, p[at + P.INPUTS], n_in + 1)
    for i in range(n_in):
        inputs[i] = x[i]
    current, leak = row_of(s, CURRENT, n), row_of(s, LEAK, n)
    affine(f, p[at + P.AFFINE], inputs, current)
    gain = part(f, p[at + P.RESET_GAIN], n)
    for h in range(n):
        leak[h] = m[h] * gain[h]
    carry_sensitivity(f, p, at, leak, m, complement, current)
    lif_fire(f, p, at, q, qat, current, m, complement, theta)


@kernel
def affine(f: Any, at: int, inputs: Any, current: Any) -> None:
    """I = W x + b, with a row of weights per input and the biases as the last row."""
    n_in, n = inputs.size - 1, current.size
    bias = part(f, at + n_in * n, n)
    for h in range(n):
        current[h] = bias[h]
    for i in range(n_in):
        xi = inputs[i]
        if xi != 0:  # spikes are mostly zeros
            weights = part(f, at + i * n, n)
            for h in range(n):
                current[h] += xi * weights[h]


@kernel
def lif_fire(f: Any, p: Any, at: int, q: Any, qat: int, current: Any, m: Any, complement: Any, theta: Any) -> None:
    """``functional.lif_potential``, ``surrogate_derivative`` and ``lif_fire``, in one pass over the neurons."""
    one, nil, n = f.dtype.type(1), f.dtype.type(0), current.size
    membrane, gain = part(f, p[at + P.MEMBRANE], n), part(f, p[at + P.RESET_GAIN], n)
    drive, spikes = part(f, p[at + P.RESET_DRIVE], n), part(f, p[at + P.SPIKES], n)
    psi, rate = part(f, p[at + P.SURROGATE], n), part(f, p[at + P.RATE], n)
    slope, kept = f.dtype.type(q[qat + P.SLOPE]), f.dtype.type(q[qat + P.RATE_DECAY])
    square, base = f.dtype.type((math.pi / 2) ** 2 * q[qat + P.SLOPE]), f.dtype.type(1 / q[qat + P.SLOPE])
    arctan, hard = p[at + P.ARCTAN] == 1, p[at + P.HARD_RESET] == 1
    through = nil if p[at + P.DETACH_RESET] == 1 else one
    for h in range(n):
        u = m[h] * membrane[h] + complement[h] * current[h]
        distance = u - theta[h]
        z = one if u >= theta[h] else nil
        slant = one / (base + square * distance * distance)
        if not arctan:
            slant = max(slope - slope * slope * abs(distance), nil)
        if hard:
            d = u * slant * through
            membrane[h] = u * (one - z)
            gain[h] = one - z - d
        else:
            d = theta[h] * slant * through
            membrane[h] = u - theta[h] * z
            gain[h] = one - d
            d = d - z
        drive[h], spikes[h], psi[h] = d, z, slant
        rate[h] = kept * rate[h] + (one - kept) * z


@kernel
def carry_sensitivity(f: Any, p: Any, at: int, leak: Any, m: Any, complement: Any, current: Any) -> None:
    """``functional.carry_sensitivity_`` with ``LIF._drive``, row by row."""
    n_in, n = p[at + P.N_IN], p[at + P.N_OUT]
    inputs, start = part(f, p[at + P.INPUTS], n_in + 1), p[at + P.SENSITIVITY]
    for i in range(n_in + 1):
        xi, row = inputs[i], part(f, start + i * n, n)
        for h in range(n):
            row[h] = leak[h] * row[h] + complement[h] * xi
    at_row = start + (n_in + 1) * n
    if p[at + P.DECAY_RAW] >= 0:
        row, membrane = part(f, at_row, n), part(f, p[at + P.MEMBRANE], n)
        for h in range(n):
            row[h] = leak[h] * row[h] + membrane[h] - current[h]
        at_row += n
    if p[at + P.THRESHOLD_RAW] >= 0:
        row, drive = part(f, at_row, n), part(f, p[at + P.RESET_DRIVE], n)
        for h in range(n):
            row[h] = leak[h] * row[h] + m[h] * drive[h]


@kernel
def li_forward(f: Any, p: Any, at: int, spikes: Any, y: Any, s: Any) -> None:
    """``LI.forward``: one tick of the readout of the network at ``at``; writes y."""
    n_in, n_out, n_k = p[at + P.READOUT_IN], p[at + P.READOUT_OUT], p[at + P.READOUT_DECAY_N]
    learned = p[at + P.READOUT_RAW] >= 0
    if learned:
        refresh(f, p[at + P.READOUT_RAW], p[at + P.READOUT_DECAY], p[at + P.READOUT_COMPLEMENT], n_k, True)
    k = per_neuron(f, p[at + P.READOUT_DECAY], n_k, row_of(s, KEEP, n_in))
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, ADD, n_in))
    zbar = part(f, p[at + P.FILTERED], n_in + 1)
    if learned:
        sensitivity = part(f, p[at + P.DECAY_SENSITIVITY], n_in)
        for h in range(n_in):
            sensitivity[h] = k[h] * sensitivity[h] + zbar[h] - spikes[h]
    for h in range(n_in):
        zbar[h] = k[h] * zbar[h] + complement[h] * spikes[h]
    for a in range(n_out):
        weights = part(f, p[at + P.READOUT_AFFINE] + a * (n_in + 1), n_in + 1)
        total = weights[n_in]
        for h in range(n_in):
            total += weights[h] * zbar[h]
        y[a] = total


@kernel
def readout_credit(f: Any, p: Any, at: int, layer: int, s: Any) -> None:
    """``ReadoutCredit.update`` of the layer under the readout: E = k E + (1-k) psi sensitivity."""
    n, rows, n_k = p[layer + P.N_OUT], p[layer + P.ROWS], p[at + P.READOUT_DECAY_N]
    keep = per_neuron(f, p[at + P.READOUT_DECAY], n_k, row_of(s, KEEP, n))
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, COMPLEMENT, n))
    psi, add = part(f, p[layer + P.SURROGATE], n), row_of(s, ADD, n)
    for h in range(n):
        add[h] = complement[h] * psi[h]
    for i in range(rows):
        trace, row = part(f, p[layer + P.ELIGIBILITY] + i * n, n), part(f, p[layer + P.SENSITIVITY] + i * n, n)
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            trace[h] = keep[h] * trace[h] + add[h] * (row[h] - shift)


@kernel
def mean_of_leak(f: Any, p: Any, layer: int) -> Any:
    """Mean of m dv/du over a layer, as its last tick left it."""
    n, n_m, total = p[layer + P.N_OUT], p[layer + P.DECAY_N], f.dtype.type(0)
    m, gain = part(f, p[layer + P.DECAY], n_m), part(f, p[layer + P.RESET_GAIN], n)
    for h in range(n):
        total += m[h if n_m > 1 else 0] * gain[h]
    return total / n


@kernel
def path_credit(f: Any, p: Any, layer: int, leaks: Any, kept: Any, path: Any, s: Any) -> None:
    """``PathCredit.update``: carry e_t through the layers above, project it on every output."""
    n, rows = p[layer + P.N_OUT], p[layer + P.ROWS]
    psi, local, size = part(f, p[layer + P.SURROGATE], n), row_of(s, CURRENT, n), rows * n
    for i in range(rows):
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
