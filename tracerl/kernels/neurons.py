"""Spiking layers and the readout as loops over one life's memory: ``functional.py`` and ``layers/``, one to one.

``f`` is the real memory of the life, ``p`` the ints of the plan with ``at`` the place of a layer or network in it,
``q`` its floats with ``qat``, and ``s`` scratch rows as wide as the widest layer.
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.currents import affine, normalize, take_own_spikes
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, per_neuron, reached, row_of, table


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
def layer_forward(f: Any, p: Any, at: int, q: Any, qat: int, x: Any, s: Any) -> None:
    """``SpikingLayer.forward``: one tick of a layer; x is its input, the spikes are left in the layer's memory."""
    n_in, n, rows = p[at + P.N_IN], p[at + P.N_OUT], p[at + P.SYNAPSE_ROWS]
    if p[at + P.DECAY_RAW] >= 0:
        refresh(f, p[at + P.DECAY_RAW], p[at + P.DECAY], p[at + P.DECAY_COMPLEMENT], p[at + P.DECAY_N], True)
    if p[at + P.THRESHOLD_RAW] >= 0:
        refresh(f, p[at + P.THRESHOLD_RAW], p[at + P.THRESHOLD], -1, p[at + P.THRESHOLD_N], False)
    m = per_neuron(f, p[at + P.DECAY], p[at + P.DECAY_N], row_of(s, S.DECAY, n))
    complement = per_neuron(f, p[at + P.DECAY_COMPLEMENT], p[at + P.DECAY_N], row_of(s, S.COMPLEMENT, n))
    theta = per_neuron(f, p[at + P.THRESHOLD], p[at + P.THRESHOLD_N], row_of(s, S.THRESHOLD, n))
    inputs, current, leak = part(f, p[at + P.INPUTS], rows), row_of(s, S.CURRENT, n), row_of(s, S.LEAK, n)
    for i in range(n_in):
        inputs[i] = x[i]
    if rows > n_in + 1:
        take_own_spikes(f, p, at)
    affine(f, p[at + P.AFFINE], inputs, current)
    if p[at + P.NORMALIZED] >= 0:
        normalize(f, p, at, q, qat, current)
    if p[at + P.SENSITIVITY] >= 0 and p[P.FROZEN] == 0:
        gain = part(f, p[at + P.RESET_GAIN], n)
        for h in range(n):
            leak[h] = m[h] * gain[h]
        if p[at + P.ADAPTED] >= 0:
            carry_adaptation(f, p, at, q, qat, leak, m, s)
        carry_sensitivity(f, p, at, leak, m, complement, current, s)
    if p[at + P.ADAPTED] >= 0:
        adapt(f, p, at, q, qat, theta, s)
        theta = row_of(s, S.THRESHOLD, n)
    if p[at + P.GRADED] == 1:
        graded_fire(f, p, at, q, qat, current, m, complement, theta)
    else:
        lif_fire(f, p, at, q, qat, current, m, complement, theta)


@kernel
def adapt(f: Any, p: Any, at: int, q: Any, qat: int, theta: Any, s: Any) -> None:
    """The threshold of ``ALIF.fire``: advance a_t and leave theta + beta a_t in the scratch row THRESHOLD."""
    one, n, n_rho = f.dtype.type(1), theta.size, p[at + P.ADAPTATION_DECAY_N]
    beta, lifted = f.dtype.type(q[qat + P.ADAPTATION]), row_of(s, S.THRESHOLD, n)
    rho = per_neuron(f, p[at + P.ADAPTATION_DECAY], n_rho, row_of(s, S.KEEP, n))
    adapted, spikes = part(f, p[at + P.ADAPTED], n), part(f, p[at + P.SPIKES], n)
    for h in range(n):
        a = rho[h] * adapted[h] + (one - rho[h]) * spikes[h]
        adapted[h] = a
        lifted[h] = theta[h] + beta * a


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
def graded_fire(f: Any, p: Any, at: int, q: Any, qat: int, current: Any, m: Any, complement: Any, theta: Any) -> None:
    """``functional.lif_potential``, ``surrogate_derivative`` and ``graded_fire``, in one pass over the neurons."""
    real, n = f.dtype.type, current.size
    one, half = real(1), real(0.5)
    membrane, gain = part(f, p[at + P.MEMBRANE], n), part(f, p[at + P.RESET_GAIN], n)
    handed, psi, rate = part(f, p[at + P.SPIKES], n), part(f, p[at + P.SURROGATE], n), part(f, p[at + P.RATE], n)
    slope, kept = real(q[qat + P.SLOPE]), real(q[qat + P.RATE_DECAY])
    square, base = real((math.pi / 2) ** 2 * q[qat + P.SLOPE]), real(1 / q[qat + P.SLOPE])
    steep, share = real(math.pi / 2 * q[qat + P.SLOPE]), real(2 / math.pi)
    arctan = p[at + P.ARCTAN] == 1
    for h in range(n):
        u = m[h] * membrane[h] + complement[h] * current[h]
        distance = u - theta[h]
        if arctan:
            z = share * math.atan(steep * distance)
            psi[h] = one / (base + square * distance * distance)
        else:
            x = min(max(slope * distance, -one), one)
            z = x * (one - half * abs(x))
            psi[h] = max(slope - slope * slope * abs(distance), real(0))
        membrane[h], gain[h], handed[h] = u, one, z
        rate[h] = kept * rate[h] + (one - kept) * abs(z)


@kernel
def carry_sensitivity(f: Any, p: Any, at: int, leak: Any, m: Any, complement: Any, current: Any, s: Any) -> None:
    """``SpikingLayer._carry_potential``, row by row."""
    n, driven = p[at + P.N_OUT], p[at + P.SYNAPSE_ROWS]
    inputs, start = part(f, p[at + P.INPUTS], driven), p[at + P.SENSITIVITY]
    scale = f[p[at + P.INVERSE]] if p[at + P.NORMALIZED] >= 0 else f.dtype.type(1)
    sensitivity, live = table(f, start, driven, n), reached(p, at, s)
    for i in range(driven):
        if live[i] == 0:
            continue
        xi = scale * inputs[i]
        for h in range(n):
            sensitivity[i, h] = leak[h] * sensitivity[i, h] + complement[h] * xi
    at_row = start + driven * n
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
def carry_adaptation(f: Any, p: Any, at: int, q: Any, qat: int, leak: Any, m: Any, s: Any) -> None:
    """What ``ALIF.carry`` does before the potential is driven: da whole, du leaked, after which ``leak`` is 1."""
    one, n, rows, n_rho = f.dtype.type(1), p[at + P.N_OUT], p[at + P.ROWS], p[at + P.ADAPTATION_DECAY_N]
    beta, through = f.dtype.type(q[qat + P.ADAPTATION]), row_of(s, S.ADD, n)
    rho = per_neuron(f, p[at + P.ADAPTATION_DECAY], n_rho, row_of(s, S.KEEP, n))
    psi, drive = part(f, p[at + P.SURROGATE], n), part(f, p[at + P.RESET_DRIVE], n)
    for h in range(n):
        through[h] = beta * m[h] * drive[h]
    for i in range(rows):
        row, adapted = part(f, p[at + P.SENSITIVITY] + i * n, n), part(f, p[at + P.ADAPTATION_SENSITIVITY] + i * n, n)
        shift = one if i == rows - 1 and p[at + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            a = adapted[h]
            e = psi[h] * (row[h] - beta * a - shift)
            adapted[h] = rho[h] * a + (one - rho[h]) * e
            row[h] = leak[h] * row[h] + through[h] * a
    for h in range(n):
        leak[h] = one


@kernel
def li_forward(f: Any, p: Any, at: int, spikes: Any, y: Any, s: Any) -> None:
    """``LI.forward``: one tick of the readout of the network at ``at``; writes y."""
    n_in, n_out, n_k = p[at + P.READOUT_IN], p[at + P.READOUT_OUT], p[at + P.READOUT_DECAY_N]
    learned = p[at + P.READOUT_RAW] >= 0
    if learned:
        refresh(f, p[at + P.READOUT_RAW], p[at + P.READOUT_DECAY], p[at + P.READOUT_COMPLEMENT], n_k, True)
    k = per_neuron(f, p[at + P.READOUT_DECAY], n_k, row_of(s, S.KEEP, n_in))
    complement = per_neuron(f, p[at + P.READOUT_COMPLEMENT], n_k, row_of(s, S.ADD, n_in))
    zbar = part(f, p[at + P.FILTERED], n_in + 1)
    if learned and p[P.FROZEN] == 0:
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
