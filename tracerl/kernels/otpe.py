"""OTPE credit of hidden layers in a row: ``nn/credit/otpe.py``, one to one; arguments as in ``neurons``."""

from typing import Any

import numpy as np

from tracerl.kernels.currents import at_currents, centre, vjp
from tracerl.kernels.functional import accumulate
from tracerl.kernels.jit import inlined, kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import active_rows, part, per_neuron, row_of, table
from tracerl.kernels.neurons import write_score
from tracerl.kernels.scratch import ADD, BELOW, COMPLEMENT, CURRENT, KEEP, RETENTION
from tracerl.kernels.steps import AT_ONCE, add_to_traces


@kernel
def mean_state_retention(memory: Any, layer: Any) -> Any:
    """Mean of m dv/du over a layer, as its last tick left it."""
    n, n_m, total = layer.n_out, layer.membrane_decay.len_value, memory.dtype.type(0)
    m, gain = part(memory, layer.membrane_decay.value, n_m), part(memory, layer.reset_gain, n)
    for h in range(n):
        total += m[h if n_m > 1 else 0] * gain[h]
    return total / n


@kernel
def update_readout_credit(memory: Any, readout: Any, layer: Any, scratch: Any) -> None:
    """``ReadoutCredit.update`` of the layer under the readout: E = k E + (1-k) e."""
    n, rows, decay = layer.n_out, layer.rows, readout.decay
    keep = per_neuron(memory, decay.value, decay.len_value, row_of(scratch, KEEP, n))
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    psi, add = part(memory, layer.surrogate, n), row_of(scratch, ADD, n)
    for h in range(n):
        add[h] = complement[h] * psi[h]
    start, active = layer.readout_credit.eligibility, active_rows(layer, scratch)
    eligibility, sensitivity = table(memory, start, rows, n), table(memory, layer.sensitivity, rows, n)
    last = rows - 1 if layer.threshold.raw != ABSENT else -1
    for i in range(rows):
        if active[i] == 0:
            continue
        shift = memory.dtype.type(1) if i == last else memory.dtype.type(0)
        for h in range(n):
            eligibility[i, h] = keep[h] * eligibility[i, h] + add[h] * (sensitivity[i, h] - shift)
    if layer.adapted != ABSENT:
        subtract_adaptation(memory, layer, start, add)
    if layer.signed_surrogate != ABSENT and last >= 0:
        add_signed_threshold(memory, layer, start, complement)


@inlined
def update_path_credits(memory: Any, network: Any, layers: Any, scratch: Any) -> None:
    """``OTPE.end_tick`` for the layers that are not under the readout; RETENTION has their ``mean_state_retention``."""
    readout, retention = network.readout, scratch[RETENTION]
    n, n_out, decay = readout.n_in, readout.n_out, readout.decay
    complement = per_neuron(memory, decay.complement, decay.len_value, row_of(scratch, COMPLEMENT, n))
    path, kept = np.empty((n_out, n), memory.dtype), part(memory, decay.value, decay.len_value).mean()
    for j in range(n_out):
        jacobian, weights = path[j], part(memory, readout.affine + j * (n + 1), n)
        for h in range(n):
            jacobian[h] = weights[h] * complement[h]
    for i in range(network.len_hidden - 2, -1, -1):
        layer, above = layers[network.first_layer + i], layers[network.first_layer + i + 1]
        if layer.sensitivity == ABSENT:
            return
        below = np.empty((n_out, layer.n_out), memory.dtype)
        for j in range(n_out):
            at_currents(memory, above, path[j], scratch)
            vjp(memory, above.synapses.affine, path[j], below[j])
        update_path_credit(memory, layer, retention[i + 1 :], kept, below, scratch)
        path = below


@kernel
def update_path_credit(memory: Any, layer: Any, retention: Any, kept: Any, path: Any, scratch: Any) -> None:
    """``PathCredit.update``: carry e_t through the layers above, project it on every output."""
    n, rows, credit = layer.n_out, layer.rows, layer.path_credit
    psi, local, size = part(memory, layer.surrogate, n), row_of(scratch, CURRENT, n), rows * n
    active = active_rows(layer, scratch)
    for i in range(rows):
        if active[i] == 0:
            continue
        row = part(memory, layer.sensitivity + i * n, n)
        shift = memory.dtype.type(1) if i == rows - 1 and layer.threshold.raw != ABSENT else memory.dtype.type(0)
        for h in range(n):
            local[h] = psi[h] * (row[h] - shift)
        for level in range(credit.len_levels):
            carried, retained = part(memory, credit.carried + level * size + i * n, n), retention[level]
            for h in range(n):
                local[h] += retained * carried[h]
            for h in range(n):
                carried[h] = local[h]
        for j in range(path.shape[0]):
            projected, jacobian = part(memory, credit.projected + j * size + i * n, n), path[j]
            for h in range(n):
                projected[h] = accumulate(projected[h], kept, jacobian[h] * local[h])
    if layer.adapted != ABSENT:
        for level in range(credit.len_levels):
            subtract_adaptation(memory, layer, credit.carried + level * size, psi)
        factor = row_of(scratch, ADD, n)
        for j in range(path.shape[0]):
            for h in range(n):
                factor[h] = path[j, h] * psi[h]
            subtract_adaptation(memory, layer, credit.projected + j * size, factor)
    if layer.signed_surrogate != ABSENT and layer.threshold.raw != ABSENT:
        whole = row_of(scratch, ADD, n)
        for h in range(n):
            whole[h] = memory.dtype.type(1)
        for level in range(credit.len_levels):
            add_signed_threshold(memory, layer, credit.carried + level * size, whole)
        for j in range(path.shape[0]):
            add_signed_threshold(memory, layer, credit.projected + j * size, path[j])


@kernel
def subtract_adaptation(memory: Any, layer: Any, start: int, factor: Any) -> None:
    """Subtract ``factor`` times beta da from a matrix to which ``factor`` times du was added.

    A pass of its own: a call within the loops above, even one that is not taken, costs a tenth of their time.
    """
    n, beta = factor.size, memory.dtype.type(layer.adaptation)
    for i in range(layer.rows):
        row, adapted = part(memory, start + i * n, n), part(memory, layer.adaptation_sensitivity + i * n, n)
        for h in range(n):
            row[h] -= beta * factor[h] * adapted[h]


@kernel
def add_signed_threshold(memory: Any, layer: Any, start: int, factor: Any) -> None:
    """Add ``factor`` times psi - phi to a matrix's row of a threshold, from which ``factor`` times psi was subtracted.

    The direct effect of the threshold on a signed spike is -phi; see ``Ternary``.
    """
    n = layer.n_out
    row, psi = part(memory, start + (layer.rows - 1) * n, n), part(memory, layer.surrogate, n)
    phi = part(memory, layer.signed_surrogate, n)
    for h in range(n):
        row[h] += factor[h] * (psi[h] - phi[h])


@inlined
def score_layer(memory: Any, agent: Any, learner: Any, layer: Any, g: Any, scratch: Any, sums: Any) -> None:
    """``OTPE.write_scores`` of one layer, a few rows at once, and ``add_to_traces``; V^T g stands in BELOW."""
    driven, n, rows = layer.synapses.rows, layer.n_out, layer.rows
    start, shift = layer.synapses.affine, learner.network.score - learner.network.flat
    active = active_rows(layer, scratch)
    for low in range(0, driven, AT_ONCE):
        high = min(low + AT_ONCE, driven)
        scores = table(memory, start + shift + low * n, high - low, n)
        score_rows(memory, layer, low, g, scores, active[low:high], scratch)
        if layer.norm.normalized != ABSENT:
            centre(scores, part(memory, layer.norm.normalized, n), active[low:high])
        if agent.by_rows:
            add_to_traces(memory, learner, start + low * n, high - low, n, active[low:high], sums)
    spare, decay = row_of(scratch, ADD, n).reshape(1, n), layer.membrane_decay
    for i in range(driven, rows):
        score_rows(memory, layer, i, g, spare, active[i : i + 1], scratch)
        raw, count = layer.threshold.raw, layer.threshold.len_value
        if i == driven and decay.raw != ABSENT:
            raw, count = decay.raw, decay.len_value
            write_score(memory, decay, shift, spare[0], True)
        else:
            write_score(memory, layer.threshold, shift, spare[0], False)
        if agent.by_rows:
            add_to_traces(memory, learner, raw, 1, count, active[i : i + 1], sums)


@kernel
def score_rows(memory: Any, layer: Any, first: int, g: Any, scores: Any, active: Any, scratch: Any) -> None:
    """Write the scores of a layer's parameters from row ``first`` on, as if its currents were not normalised."""
    n, nil, rows = scores.shape[1], memory.dtype.type(0), layer.rows
    if layer.readout_credit.eligibility != ABSENT:
        below = row_of(scratch, BELOW, n)
        eligibility = table(memory, layer.readout_credit.eligibility + first * n, scores.shape[0], n)
        for i in range(scores.shape[0]):
            if active[i] == 0:
                continue
            for h in range(n):
                scores[i, h] = below[h] * eligibility[i, h]
        return
    for i in range(scores.shape[0]):
        if active[i] == 0:
            continue
        for h in range(n):
            scores[i, h] = nil
        for j in range(g.size):
            projected = part(memory, layer.path_credit.projected + (j * rows + first + i) * n, n)
            for h in range(n):
                scores[i, h] += g[j] * projected[h]
