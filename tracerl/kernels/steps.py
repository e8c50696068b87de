"""Eligibility traces and step-size rules over a network's flat memory: ``optim/``, one to one."""

import math
from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part, reached, table

AT_ONCE = 256  # rows of 128 float32, of a score, its trace, its second moment and what it is made from: 0.5 MiB
MOST_AT_ONCE = 1 << 15  # parameters of a network that is taken in at once


@kernel
def begin(d: Any, p: Any, at: int, q: Any, qat: int, sums: Any) -> None:
    """Make ready to take in the scores of an env step."""
    sums[S.SCORE_NORM] = sums[S.REACH] = 0
    if p[at + P.RULE] == P.INTENTIONAL:
        unseen = p[at + P.UNSEEN]
        d[unseen] *= q[qat + P.SCORE_DECAY]
        d[unseen + 1] *= q[qat + P.TRACE_DECAY]
        d[unseen + 2] *= q[qat + P.SLOW_DECAY]
        sums[S.OVER] = 1 / sums.dtype.type(1 - d[unseen])


@kernel
def take_in(f: Any, p: Any, at: int, q: Any, qat: int, first: int, rows: int, n: int, live: Any, sums: Any) -> None:
    """Take in scores that are written: ``functional.accumulate_``, and what of the rule needs no signal.

    They are ``rows`` rows of n, the first of them the score of the parameter that stands at ``first`` in the memory;
    ``live`` says 0 of a row whose scores have been zero all life long. ``sums`` is what ``begin`` made ready. Where
    BY_ROWS is 1, a few rows are taken in as soon as they are written, while a fast cache holds them; else all at the
    end, in one call, by ``take_in_all``.
    """
    real, shift, one = f.dtype.type, first - p[at + P.FLAT], f.dtype.type(1)
    score, trace = table(f, p[at + P.SCORE] + shift, rows, n), table(f, p[at + P.TRACE] + shift, rows, n)
    decay, score_norm, reach = real(q[qat + P.TRACE_DECAY]), real(0), real(0)
    if p[at + P.RULE] != P.INTENTIONAL:
        for r in range(rows):
            if live[r] == 0:
                continue
            for i in range(n):
                zeta = decay * trace[r, i] + score[r, i]
                trace[r, i] = zeta
                reach += abs(zeta)
        sums[S.REACH] += reach
        return
    moment = table(f, p[at + P.SECOND_MOMENT] + shift, rows, n)
    kept, fresh, tiny = real(q[qat + P.SCORE_DECAY]), real(1 - q[qat + P.SCORE_DECAY]), real(1e-8)
    over = sums[S.OVER]
    for r in range(rows):
        if live[r] == 0:
            continue
        for i in range(n):
            g = score[r, i]
            zeta = decay * trace[r, i] + g
            nu = kept * moment[r, i] + fresh * g * g
            scale = one / (math.sqrt(nu * over) + tiny)
            score_norm += g * g * scale
            reach += zeta * zeta * scale
            trace[r, i], moment[r, i] = zeta, nu
            score[r, i] = zeta * scale  # the direction: the score is not read again before it is written anew
    sums[S.SCORE_NORM] += score_norm
    sums[S.REACH] += reach


@kernel
def take_in_products(
    f: Any, p: Any, at: int, layer: int, q: Any, qat: int, received: Any, signal: Any, s: Any, sums: Any
) -> None:
    """Write the scores of a layer's synapses, what each received times the signal at its current; ``take_in`` them."""
    rows, n, affine, live = received.size, signal.size, p[layer + P.AFFINE], reached(p, layer, s)
    scores = table(f, affine + p[at + P.SCORE] - p[at + P.FLAT], rows, n)
    for start in range(0, rows, AT_ONCE):
        stop = min(start + AT_ONCE, rows)
        for i in range(start, stop):
            if live[i] == 0:
                continue
            for h in range(n):
                scores[i, h] = received[i] * signal[h]
        if p[P.BY_ROWS] == 1:
            take_in(f, p, at, q, qat, affine + start * n, stop - start, n, live[start:stop], sums)


@kernel
def take_in_all(f: Any, p: Any, at: int, q: Any, qat: int, s: Any, sums: Any) -> None:
    """Take in the scores of a small network, all of them written: in one call."""
    if p[P.BY_ROWS] == 0:
        take_in(f, p, at, q, qat, p[at + P.FLAT], 1, p[at + P.N_PARAMETERS], s[S.ONES], sums)


@kernel
def step(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any, sums: Any, s: Any) -> bool:
    """Step along ``signal * trace`` by the network's rule, updating its parameters.

    Returns:
        False, with the parameters as they were, where a number of the trace is not finite. ``SGD`` does not look.
    """
    real, rule, along = f.dtype.type, p[at + P.RULE], P.SCORE
    if rule == P.INTENTIONAL:
        change = intentional(f, d, p, at, q, qat, signal, sums)
    elif rule == P.ADAPTIVE_OBGD:
        change = adaptive_obgd(f, d, p, at, q, qat, signal)
    else:
        along = P.TRACE
        if rule == P.OBGD:
            size = bounded_step_size(real(q[qat + P.LR]), real(q[qat + P.KAPPA]), sums[S.REACH], signal)
            f[p[at + P.STEP_SIZE]] = size
        change = f[p[at + P.STEP_SIZE]] * signal
    if not math.isfinite(change):
        return False
    move(f, p, at, change, p[at + along], s)
    return True


@kernel
def move(f: Any, p: Any, at: int, change: Any, along: int, s: Any) -> None:
    """Add ``change`` times what stands at ``along`` to the parameters, but for those that no input has reached."""
    if p[P.BY_ROWS] == 0:
        add(part(f, p[at + P.FLAT], p[at + P.N_PARAMETERS]), change, part(f, along, p[at + P.N_PARAMETERS]))
        return
    start, bottom = p[at + P.FLAT], p[at + P.FIRST_LAYER]
    rows, n, live = p[bottom + P.N_IN], p[bottom + P.N_OUT], s[S.LIVE]
    affine, stop = p[bottom + P.AFFINE], start + p[at + P.N_PARAMETERS]
    weights, directions = table(f, affine, rows, n), table(f, along + affine - start, rows, n)
    for i in range(rows):
        if live[i] == 0:
            continue
        for h in range(n):
            weights[i, h] += change * directions[i, h]
    add(part(f, start, affine - start), change, part(f, along, affine - start))
    rest = affine + rows * n
    add(part(f, rest, stop - rest), change, part(f, along + rest - start, stop - rest))


@kernel
def add(to: Any, change: Any, direction: Any) -> None:
    """``to`` += change direction."""
    for i in range(to.size):
        to[i] += change * direction[i]


@kernel
def intentional(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any, sums: Any) -> Any:
    """``BoundedIntentional``, its equations in the same order, from where ``take_in`` left off; return the change."""
    real, one, unseen = f.dtype.type, f.dtype.type(1), p[at + P.UNSEEN]
    seen_trace, seen_slow = real(1 - d[unseen + 1]), real(1 - d[unseen + 2])
    decay, slow = real(q[qat + P.TRACE_DECAY]), real(q[qat + P.SLOW_DECAY])
    sigma = f[p[at + P.SCORE_NORM]] + (one - decay) * (sums[S.SCORE_NORM] - f[p[at + P.SCORE_NORM]])
    f[p[at + P.SCORE_NORM]] = sigma
    denominator = math.sqrt(sigma / seen_trace * sums[S.REACH])
    mean = f[p[at + P.MEAN_DENOMINATOR]] + (one - slow) * (denominator - f[p[at + P.MEAN_DENOMINATOR]])
    f[p[at + P.MEAN_DENOMINATOR]] = mean
    peak = max(f[p[at + P.PEAK_DENOMINATOR]] * real(q[qat + P.PEAK_DECAY]), mean / seen_slow)
    f[p[at + P.PEAK_DENOMINATOR]] = peak
    size = real(q[qat + P.ETA]) / max(max(denominator, peak * real(q[qat + P.FLOOR])), real(1e-8))
    f[p[at + P.STEP_SIZE]] = size
    return size * bound(f, p, at, q, qat, signal, seen_slow)


@kernel
def bound(f: Any, p: Any, at: int, q: Any, qat: int, signal: Any, seen: Any) -> Any:
    """``BoundedIntentional._bound``: clip the signal and, where asked, normalise it."""
    real = f.dtype.type
    fresh = real(1 - q[qat + P.SLOW_DECAY])
    square = f[p[at + P.SIGNAL_SQUARE]] + fresh * (signal * signal - f[p[at + P.SIGNAL_SQUARE]])
    f[p[at + P.SIGNAL_SQUARE]] = square
    cap = math.sqrt(square / seen) * real(q[qat + P.CLIP])
    signal = min(max(signal, -cap), cap)
    if p[at + P.NORMALIZE_SIGNAL] == 0:
        return signal
    magnitude = f[p[at + P.SIGNAL_MAGNITUDE]] + fresh * (abs(signal) - f[p[at + P.SIGNAL_MAGNITUDE]])
    f[p[at + P.SIGNAL_MAGNITUDE]] = magnitude
    rms = math.sqrt(max((square - (real(1) - seen)) / seen, real(0)))
    least = max(real(q[qat + P.RMS_FLOOR]) * rms, max(real(q[qat + P.SIGNAL_FLOOR]), real(1e-12)))
    return signal / max(magnitude / seen, least)


@kernel
def bounded_step_size(lr: Any, kappa: Any, norm: Any, signal: Any) -> Any:
    """``bounded_step_size_``: lr / max(1, lr kappa max(|signal|, 1) norm)."""
    one = lr / lr
    return lr / max(max(abs(signal), one) * norm * (lr * kappa), one)


@kernel
def adaptive_obgd(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any) -> Any:
    """``AdaptiveOvershootingBounded``; return the change."""
    real, n = f.dtype.type, p[at + P.N_PARAMETERS]
    d[p[at + P.UNSEEN]] *= q[qat + P.UPDATE_DECAY]
    over = real(1) / real(1 - d[p[at + P.UNSEEN]])
    kept, fresh = real(q[qat + P.UPDATE_DECAY]), real(1 - q[qat + P.UPDATE_DECAY])
    score, trace = part(f, p[at + P.SCORE], n), part(f, p[at + P.TRACE], n)
    moment = part(f, p[at + P.SECOND_MOMENT], n)
    norm = real(0)
    for i in range(n):
        update = trace[i] * signal
        v = kept * moment[i] + fresh * update * update
        moment[i] = v
        score[i] = trace[i] / (math.sqrt(v * over) + real(1e-8))  # the direction, as above
        norm += abs(score[i])
    f[p[at + P.STEP_SIZE]] = bounded_step_size(real(q[qat + P.LR]), real(q[qat + P.KAPPA]), norm, signal)
    return f[p[at + P.STEP_SIZE]] * signal
