"""Eligibility traces and step-size rules over a network's flat parameters: ``optim/``, one to one.

Arguments as in ``neurons``; ``sums`` is what ``begin`` made ready.
"""

import math
from typing import Any

from tracerl.kernels import functional as F
from tracerl.kernels.jit import inlined, kernel
from tracerl.kernels.layout import ADAPTIVE_OBGD, INTENTIONAL, OBGD, UPDATE_RMS
from tracerl.kernels.memory import part, table
from tracerl.kernels.scratch import ACTIVE, INVERSE_CORRECTION, KNOWN_SIGNAL, ONES, SCORE_NORM, TRACE_NORM

_TINY = 1e-8  # optim.intentional._TINY, optim.adaptive_obgd._EPSILON
_LEAST = 1e-12  # optim.intentional._LEAST
AT_ONCE = 256  # rows of 128 float32, of a score, its trace, its second moment and what it is made from: 0.5 MiB


@kernel
def begin(wide: Any, learner: Any, sums: Any) -> None:
    """Reset the sums of an env step and advance the bias-correction weights."""
    rule = learner.step_rule
    sums[SCORE_NORM] = sums[TRACE_NORM] = 0
    if rule.kind == INTENTIONAL:
        wide[rule.bias_correction] *= rule.settings.score_decay
        wide[rule.bias_correction + 1] *= learner.trace_decay
        wide[rule.bias_correction + 2] *= rule.settings.slow_decay
        sums[INVERSE_CORRECTION] = 1 / sums.dtype.type(1 - wide[rule.bias_correction])


@kernel
def add_to_traces(memory: Any, learner: Any, first: int, rows: int, n: int, active: Any, sums: Any) -> None:
    """Add scores to their traces, ``TraceLearner.accumulate``, and do what of the rule needs no signal.

    They are ``rows`` rows of n, the first of them the score of the parameter that stands at ``first`` in memory;
    ``active`` says 0 of a row whose scores have always been zero. Where ``agent.by_rows``, it is called for a few
    rows as soon as they are written, while a fast cache holds them; else once for all, by ``add_all_to_traces``.
    """
    real, rule, network = memory.dtype.type, learner.step_rule, learner.network
    shift, one = first - network.flat, memory.dtype.type(1)
    if rule.kind == UPDATE_RMS:
        if not math.isnan(sums[KNOWN_SIGNAL]):
            scores = table(memory, network.score + shift, rows, n)
            step_by_update_rms(memory, learner, first, active[:rows], scores, active, sums)
        return
    score = table(memory, network.score + shift, rows, n)
    trace = table(memory, learner.eligibility_trace + shift, rows, n)
    decay, score_norm, trace_norm = real(learner.trace_decay), real(0), real(0)
    if rule.kind != INTENTIONAL:
        for r in range(rows):
            if active[r] == 0:
                continue
            for i in range(n):
                zeta = F.accumulate(trace[r, i], decay, score[r, i])
                trace[r, i] = zeta
                trace_norm += abs(zeta)
        sums[TRACE_NORM] += trace_norm
        return
    second_moment = table(memory, rule.second_moment + shift, rows, n)
    kept, fresh, tiny = real(rule.settings.score_decay), real(1 - rule.settings.score_decay), real(_TINY)
    inverse_correction = sums[INVERSE_CORRECTION]
    for r in range(rows):
        if active[r] == 0:
            continue
        for i in range(n):
            g = score[r, i]
            zeta = F.accumulate(trace[r, i], decay, g)
            nu = kept * second_moment[r, i] + fresh * g * g
            scale = one / (math.sqrt(nu * inverse_correction) + tiny)
            score_norm += g * g * scale
            trace_norm += zeta * zeta * scale
            trace[r, i], second_moment[r, i] = zeta, nu
            score[r, i] = zeta * scale  # the direction: the score is not read again before it is written anew
    sums[SCORE_NORM] += score_norm
    sums[TRACE_NORM] += trace_norm


@kernel
def add_products_to_traces(
    memory: Any, agent: Any, learner: Any, start: int, received: Any, signal: Any, active: Any, sums: Any
) -> None:
    """Write the scores of weights from ``start`` on, what each received times its signal; ``add_to_traces``."""
    rows, n, network = received.size, signal.size, learner.network
    if agent.by_rows and learner.step_rule.kind == UPDATE_RMS and not math.isnan(sums[KNOWN_SIGNAL]):
        step_by_update_rms(memory, learner, start, received, signal.reshape(1, n), active, sums)
        return
    scores = table(memory, start + network.score - network.flat, rows, n)
    for low in range(0, rows, AT_ONCE):
        high = min(low + AT_ONCE, rows)
        for i in range(low, high):
            if active[i] == 0:
                continue
            for h in range(n):
                scores[i, h] = received[i] * signal[h]
        if agent.by_rows:
            add_to_traces(memory, learner, start + low * n, high - low, n, active[low:high], sums)


@kernel
def add_all_to_traces(memory: Any, agent: Any, learner: Any, scratch: Any, sums: Any) -> None:
    """Add the scores of a small network, all of them written, to its traces in one call."""
    if not agent.by_rows:
        add_parts_to_traces(memory, learner, learner.network.flat, learner.network.len_flat, scratch, sums)


@kernel
def add_parts_to_traces(memory: Any, learner: Any, first: int, n: int, scratch: Any, sums: Any) -> None:
    """Add the scores of the n parameters from ``first`` on to their traces, those of a step size of their own apart."""
    rule, flat, begin = learner.step_rule, learner.network.flat, first
    if rule.kind != UPDATE_RMS:
        add_to_traces(memory, learner, first, 1, n, scratch[ONES], sums)
        return
    for k in range(rule.len_ends):
        end = min(flat + int(memory[rule.ends + k]), first + n)
        if end > begin:
            add_to_traces(memory, learner, begin, 1, end - begin, scratch[ONES], sums)
            begin = end


@kernel
def step_by_update_rms(
    memory: Any, learner: Any, first: int, received: Any, along: Any, active: Any, sums: Any
) -> None:
    """``UpdateNormalized`` with the trace, in one pass over the parameters from ``first`` on, all of one step size.

    The score of parameter i of row r is ``received[r] * along[r, i]``; a single row of ``along`` serves all.
    """
    real, rule, shift, delta = memory.dtype.type, learner.step_rule, first - learner.network.flat, sums[KNOWN_SIGNAL]
    settings, rows, n, decay = rule.settings, received.size, along.shape[1], real(learner.trace_decay)
    lr, kept, fresh = step_at(memory, rule, shift), real(settings.update_decay), real(1 - settings.update_decay)
    least, total = real(settings.epsilon * settings.epsilon), real(0)
    weights, trace = table(memory, first, rows, n), table(memory, learner.eligibility_trace + shift, rows, n)
    second_moment = table(memory, rule.second_moment + shift, rows, n)
    for r in range(rows):
        if active[r] == 0:
            continue
        x, at = received[r], min(r, along.shape[0] - 1)
        for i in range(n):
            zeta = F.accumulate(trace[r, i], decay, x * along[at, i])
            u = delta * zeta
            v = kept * second_moment[r, i] + fresh * u * u
            trace[r, i], second_moment[r, i] = zeta, v
            step = lr * u / math.sqrt(v + least)
            weights[r, i] += step if step == step else real(0)  # not NaN
            total += v
    sums[TRACE_NORM] += total


@kernel
def step_at(memory: Any, rule: Any, shift: int) -> Any:
    """Return the step size of ``UpdateNormalized`` for the parameter with ``shift`` others before it."""
    k = 0
    while k < rule.len_ends - 1 and shift >= memory[rule.ends + k]:
        k += 1
    return memory[rule.steps + k]


@kernel
def update_rms(memory: Any, agent: Any, learner: Any, bottom: Any, signal: Any, scratch: Any, sums: Any) -> Any:
    """Take the step of ``UpdateNormalized`` where the scores waited for the signal; return the step size."""
    rule, network = learner.step_rule, learner.network
    if math.isnan(sums[KNOWN_SIGNAL]):
        sums[KNOWN_SIGNAL] = signal
        start, affine = network.flat, network.input_weights
        if agent.by_rows:
            rows = bottom.n_in if bottom.is_bottom else 0
            rest = affine + rows * bottom.n_out
            add_parts_to_traces(memory, learner, start, affine - start, scratch, sums)
            add_to_traces(memory, learner, affine, rows, bottom.n_out, scratch[ACTIVE], sums)
            add_parts_to_traces(memory, learner, rest, start + network.len_flat - rest, scratch, sums)
        else:
            add_all_to_traces(memory, agent, learner, scratch, sums)
    memory[rule.step_size] = memory.dtype.type(rule.settings.lr) + memory.dtype.type(0) * sums[TRACE_NORM]
    return memory[rule.step_size]


@inlined
def update(memory: Any, wide: Any, agent: Any, learner: Any, layers: Any, signal: Any, sums: Any, scratch: Any) -> bool:
    """Step along ``signal * trace`` by the network's rule, updating its parameters.

    Returns:
        False where a number of the trace is not finite. The parameters are as they were then, but for ``UPDATE_RMS``,
        under which those with a finite step have moved. ``SGD`` does not check.
    """
    real, rule, direction = memory.dtype.type, learner.step_rule, learner.network.score
    bottom = layers[learner.network.first_layer]
    if rule.kind == UPDATE_RMS:
        return math.isfinite(update_rms(memory, agent, learner, bottom, signal, scratch, sums))
    if rule.kind == INTENTIONAL:
        change = intentional(memory, wide, learner, signal, sums)
    elif rule.kind == ADAPTIVE_OBGD:
        change = adaptive_obgd(memory, wide, learner, signal)
    else:
        direction = learner.eligibility_trace
        if rule.kind == OBGD:
            size = bounded_step_size(real(rule.settings.lr), real(rule.settings.kappa), sums[TRACE_NORM], signal)
            memory[rule.step_size] = size
        change = memory[rule.step_size] * signal
    if not math.isfinite(change):
        return False
    move(memory, agent, learner.network, bottom, change, direction, scratch)
    return True


@kernel
def move(memory: Any, agent: Any, network: Any, bottom: Any, change: Any, along: int, scratch: Any) -> None:
    """Add ``change`` times what stands at ``along`` to the parameters but those whose input was always zero."""
    start, n_parameters = network.flat, network.len_flat
    if not agent.by_rows:
        add(part(memory, start, n_parameters), change, part(memory, along, n_parameters))
        return
    rows, n, active = bottom.n_in if bottom.is_bottom else 0, bottom.n_out, scratch[ACTIVE]
    affine, stop = network.input_weights, start + n_parameters
    weights, directions = table(memory, affine, rows, n), table(memory, along + affine - start, rows, n)
    for i in range(rows):
        if active[i] == 0:
            continue
        for h in range(n):
            weights[i, h] += change * directions[i, h]
    add(part(memory, start, affine - start), change, part(memory, along, affine - start))
    rest = affine + rows * n
    add(part(memory, rest, stop - rest), change, part(memory, along + rest - start, stop - rest))


@kernel
def add(to: Any, change: Any, direction: Any) -> None:
    """``to`` += change direction."""
    for i in range(to.size):
        to[i] += change * direction[i]


@kernel
def intentional(memory: Any, wide: Any, learner: Any, signal: Any, sums: Any) -> Any:
    """``BoundedIntentional``, its equations in the same order, from after ``add_to_traces``; return the change."""
    real, one, rule, settings = memory.dtype.type, memory.dtype.type(1), learner.step_rule, learner.step_rule.settings
    trace_correction = real(1 - wide[rule.bias_correction + 1])
    slow_correction = real(1 - wide[rule.bias_correction + 2])
    decay, slow = real(learner.trace_decay), real(settings.slow_decay)
    sigma = memory[rule.score_norm] + (one - decay) * (sums[SCORE_NORM] - memory[rule.score_norm])
    memory[rule.score_norm] = sigma
    denominator = math.sqrt(sigma / trace_correction * sums[TRACE_NORM])
    mean = memory[rule.mean_denominator] + (one - slow) * (denominator - memory[rule.mean_denominator])
    memory[rule.mean_denominator] = mean
    peak = max(memory[rule.peak_denominator] * real(settings.peak_decay), mean / slow_correction)
    memory[rule.peak_denominator] = peak
    size = real(settings.eta) / max(max(denominator, peak * real(settings.floor)), real(_TINY))
    memory[rule.step_size] = size
    return size * bound(memory, rule, signal, slow_correction)


@kernel
def bound(memory: Any, rule: Any, signal: Any, correction: Any) -> Any:
    """``BoundedIntentional._bound``: clip the signal and, where asked, normalise it."""
    real, settings = memory.dtype.type, rule.settings
    fresh = real(1 - settings.slow_decay)
    square = memory[rule.signal_square] + fresh * (signal * signal - memory[rule.signal_square])
    memory[rule.signal_square] = square
    cap = math.sqrt(square / correction) * real(settings.clip)
    signal = min(max(signal, -cap), cap)
    if not settings.normalize_signal:
        return signal
    magnitude = memory[rule.signal_magnitude] + fresh * (abs(signal) - memory[rule.signal_magnitude])
    memory[rule.signal_magnitude] = magnitude
    rms = math.sqrt(max((square - (real(1) - correction)) / correction, real(0)))
    least = max(real(settings.rms_floor) * rms, max(real(settings.signal_floor), real(_LEAST)))
    return signal / max(magnitude / correction, least)


@kernel
def bounded_step_size(lr: Any, kappa: Any, norm: Any, signal: Any) -> Any:
    """``optim.obgd.bounded_step_size_``: lr / max(1, lr kappa max(|signal|, 1) norm)."""
    one = type(lr)(1)
    return lr / max(max(abs(signal), one) * norm * (lr * kappa), one)


@kernel
def adaptive_obgd(memory: Any, wide: Any, learner: Any, signal: Any) -> Any:
    """``AdaptiveOvershootingBounded``; return the change."""
    real, rule, n = memory.dtype.type, learner.step_rule, learner.network.len_flat
    update_decay = rule.settings.update_decay
    wide[rule.bias_correction] *= update_decay
    inverse_correction = real(1) / real(1 - wide[rule.bias_correction])
    kept, fresh = real(update_decay), real(1 - update_decay)
    score, trace = part(memory, learner.network.score, n), part(memory, learner.eligibility_trace, n)
    second_moment = part(memory, rule.second_moment, n)
    norm = real(0)
    for i in range(n):
        update = trace[i] * signal
        v = kept * second_moment[i] + fresh * update * update
        second_moment[i] = v
        score[i] = trace[i] / (math.sqrt(v * inverse_correction) + real(_TINY))  # the direction, as above
        norm += abs(score[i])
    size = bounded_step_size(real(rule.settings.lr), real(rule.settings.kappa), norm, signal)
    memory[rule.step_size] = size
    return size * signal
