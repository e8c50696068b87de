"""Spiking layers and the readout as loops over one life's memory: ``functional.py`` and ``layers/``, one to one.

``f`` is the real memory of the life, ``p`` the ints of the plan with ``at`` the place of a layer or network in it,
``q`` its floats with ``qat``, and ``s`` scratch rows as wide as the widest layer.
"""

import math
from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels.compile import kernel
from tracerl.kernels.memory import part, row_of, spread

# Scratch rows.
CURRENT, LEAK, DECAY, COMPLEMENT, THRESHOLD, KEEP, ADD, BELOW, CODE, LEAKS, OUTPUT, SIGNAL, SCRATCH_ROWS = range(13)


@kernel
def refresh(f: Any, raw: int, value: int, complement: int, n: int, is_decay: bool) -> None:
    """``Constrained.refresh``: value = sigmoid(raw) or softplus(raw)."""
    one = f.dtype.type(1)
    for h in range(n):
        x = f[raw + h]
        if is_decay:
            v = one / (one + math.exp(-x))
        else:
            v = math.log1p(math.exp(-abs(x))) + max(x, f.dtype.type(0))
        f[value + h] = v
        if complement >= 0:
            f[complement + h] = one - v


@kernel
def lif_forward(f: Any, p: Any, at: int, q: Any, qat: int, x: Any, s: Any) -> None:
    """``LIF.forward``: one tick of a layer; x is its input, the spikes are left in the layer's memory."""
    one = f.dtype.type(1)
    n_in, n = p[at + P.N_IN], p[at + P.N_OUT]
    if p[at + P.DECAY_RAW] >= 0:
        refresh(f, p[at + P.DECAY_RAW], p[at + P.DECAY], p[at + P.DECAY_COMPLEMENT], p[at + P.DECAY_N], True)
    if p[at + P.THRESHOLD_RAW] >= 0:
        refresh(f, p[at + P.THRESHOLD_RAW], p[at + P.THRESHOLD], -1, p[at + P.THRESHOLD_N], False)
    m, complement, theta = row_of(s, DECAY, n), row_of(s, COMPLEMENT, n), row_of(s, THRESHOLD, n)
    spread(part(f, p[at + P.DECAY], n), p[at + P.DECAY_N], m)
    spread(part(f, p[at + P.DECAY_COMPLEMENT], n), p[at + P.DECAY_N], complement)
    spread(part(f, p[at + P.THRESHOLD], n), p[at + P.THRESHOLD_N], theta)
    inputs = part(f, p[at + P.INPUTS], n_in + 1)
    for i in range(n_in):
        inputs[i] = x[i]
    current, leak = row_of(s, CURRENT, n), row_of(s, LEAK, n)
    affine = p[at + P.AFFINE]
    bias = part(f, affine + n_in * n, n)
    for h in range(n):
        current[h] = bias[h]
    for i in range(n_in):
        xi = inputs[i]
        if xi != 0:  # spikes are mostly zeros
            weights = part(f, affine + i * n, n)
            for h in range(n):
                current[h] += xi * weights[h]
    membrane = part(f, p[at + P.MEMBRANE], n)
    gain = part(f, p[at + P.RESET_GAIN], n)
    for h in range(n):
        leak[h] = m[h] * gain[h]
    carry_sensitivity(f, p, at, s)
    drive = part(f, p[at + P.RESET_DRIVE], n)
    spikes = part(f, p[at + P.SPIKES], n)
    psi = part(f, p[at + P.SURROGATE], n)
    rate = part(f, p[at + P.RATE], n)
    slope, kept = f.dtype.type(q[qat + P.SLOPE]), f.dtype.type(q[qat + P.RATE_DECAY])
    square = f.dtype.type((math.pi / 2) ** 2 * q[qat + P.SLOPE])
    base = f.dtype.type(1 / q[qat + P.SLOPE])
    arctan, hard = p[at + P.ARCTAN] == 1, p[at + P.HARD_RESET] == 1
    through = f.dtype.type(0) if p[at + P.DETACH_RESET] == 1 else one
    for h in range(n):
        u = m[h] * membrane[h] + complement[h] * current[h]
        distance = u - theta[h]
        z = one if u >= theta[h] else f.dtype.type(0)
        if arctan:
            slant = one / (base + square * distance * distance)
        else:
            slant = max(slope - slope * slope * abs(distance), f.dtype.type(0))
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
def carry_sensitivity(f: Any, p: Any, at: int, s: Any) -> None:
    """``functional.carry_sensitivity_`` with ``LIF._drive``, row by row."""
    n_in, n = p[at + P.N_IN], p[at + P.N_OUT]
    leak, complement = row_of(s, LEAK, n), row_of(s, COMPLEMENT, n)
    start = p[at + P.SENSITIVITY]
    for i in range(n_in + 1):
        xi = f[p[at + P.INPUTS] + i]
        row = part(f, start + i * n, n)
        for h in range(n):
            row[h] = leak[h] * row[h] + complement[h] * xi
    at_row = start + (n_in + 1) * n
    if p[at + P.DECAY_RAW] >= 0:
        row = part(f, at_row, n)
        membrane = part(f, p[at + P.MEMBRANE], n)
        for h in range(n):
            row[h] = leak[h] * row[h] + membrane[h] - s[CURRENT, h]
        at_row += n
    if p[at + P.THRESHOLD_RAW] >= 0:
        row = part(f, at_row, n)
        drive = part(f, p[at + P.RESET_DRIVE], n)
        for h in range(n):
            row[h] = leak[h] * row[h] + s[DECAY, h] * drive[h]


@kernel
def li_forward(f: Any, p: Any, at: int, spikes: Any, y: Any) -> None:
    """``LI.forward``: one tick of the readout of the network at ``at``; writes y."""
    n_in, n_out = p[at + P.READOUT_IN], p[at + P.READOUT_OUT]
    k, c, n_k = p[at + P.READOUT_DECAY], p[at + P.READOUT_COMPLEMENT], p[at + P.READOUT_DECAY_N]
    if p[at + P.READOUT_RAW] >= 0:
        refresh(f, p[at + P.READOUT_RAW], k, c, n_k, True)
    zbar = part(f, p[at + P.FILTERED], n_in + 1)
    if p[at + P.READOUT_RAW] >= 0:
        sensitivity = part(f, p[at + P.DECAY_SENSITIVITY], n_in)
        for h in range(n_in):
            sensitivity[h] = f[k + (h if n_k > 1 else 0)] * sensitivity[h] + zbar[h] - spikes[h]
    if n_k > 1:
        for h in range(n_in):
            zbar[h] = f[k + h] * zbar[h] + f[c + h] * spikes[h]
    else:
        for h in range(n_in):
            zbar[h] = f[k] * zbar[h] + f[c] * spikes[h]
    for a in range(n_out):
        weights = part(f, p[at + P.READOUT_AFFINE] + a * (n_in + 1), n_in + 1)
        total = f.dtype.type(0)
        for h in range(n_in + 1):
            total += weights[h] * zbar[h]
        y[a] = total


@kernel
def readout_credit(f: Any, p: Any, at: int, layer: int, s: Any) -> None:
    """``ReadoutCredit.update`` of the layer under the readout: E = k E + (1-k) psi sensitivity."""
    n, rows, n_k = p[layer + P.N_OUT], p[layer + P.ROWS], p[at + P.READOUT_DECAY_N]
    keep, add = row_of(s, KEEP, n), row_of(s, ADD, n)
    spread(part(f, p[at + P.READOUT_DECAY], n), n_k, keep)
    spread(part(f, p[at + P.READOUT_COMPLEMENT], n), n_k, add)
    psi = part(f, p[layer + P.SURROGATE], n)
    for h in range(n):
        add[h] *= psi[h]
    for i in range(rows):
        trace = part(f, p[layer + P.ELIGIBILITY] + i * n, n)
        row = part(f, p[layer + P.SENSITIVITY] + i * n, n)
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            trace[h] = keep[h] * trace[h] + add[h] * (row[h] - shift)


@kernel
def mean_of_leak(f: Any, p: Any, layer: int) -> Any:
    """Mean of m dv/du over a layer, as its last tick left it."""
    n, total = p[layer + P.N_OUT], f.dtype.type(0)
    for h in range(n):
        total += f[p[layer + P.DECAY] + (h if p[layer + P.DECAY_N] > 1 else 0)] * f[p[layer + P.RESET_GAIN] + h]
    return total / n


@kernel
def path_credit(f: Any, p: Any, layer: int, leaks: Any, kept: Any, path: Any) -> None:
    """``PathCredit.update``: carry e_t through the layers above, project it on every output."""
    n, rows, above = p[layer + P.N_OUT], p[layer + P.ROWS], p[layer + P.N_ABOVE]
    psi = part(f, p[layer + P.SURROGATE], n)
    size = rows * n
    for i in range(rows):
        row = part(f, p[layer + P.SENSITIVITY] + i * n, n)
        shift = f.dtype.type(1) if i == rows - 1 and p[layer + P.THRESHOLD_RAW] >= 0 else f.dtype.type(0)
        for h in range(n):
            local = psi[h] * (row[h] - shift)
            for level in range(above):
                place = p[layer + P.CARRIED] + level * size + i * n + h
                local = leaks[level] * f[place] + local
                f[place] = local
            for j in range(path.shape[0]):
                place = p[layer + P.PROJECTED] + j * size + i * n + h
                f[place] = kept * f[place] + path[j, h] * local
