"""Eligibility traces and step-size rules over a network's flat memory: ``optim/``, one to one."""

import math
from typing import Any

from tracerl.kernels import plan as P
from tracerl.kernels.compile import kernel
from tracerl.kernels.memory import part


@kernel
def accumulate(f: Any, p: Any, at: int, q: Any, qat: int) -> None:
    """``functional.accumulate_``: zeta = d zeta + score."""
    n = p[at + P.N_PARAMETERS]
    trace, score = part(f, p[at + P.TRACE], n), part(f, p[at + P.SCORE], n)
    decay = f.dtype.type(q[qat + P.TRACE_DECAY])
    for i in range(n):
        trace[i] = decay * trace[i] + score[i]


@kernel
def step(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any) -> bool:
    """Step along ``signal * trace`` by the network's rule, updating its parameters.

    Returns:
        False, with the parameters as they were, where a number of the trace is not finite. ``SGD`` does not look.
    """
    rule = p[at + P.RULE]
    if rule == P.INTENTIONAL:
        return intentional(f, d, p, at, q, qat, signal)
    if rule == P.ADAPTIVE_OBGD:
        return adaptive_obgd(f, d, p, at, q, qat, signal)
    return plain(f, p, at, q, qat, signal, rule == P.OBGD)


@kernel
def intentional(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any) -> bool:
    """``BoundedIntentional``, its equations in the same order."""
    real, n = f.dtype.type, p[at + P.N_PARAMETERS]
    unseen = p[at + P.UNSEEN]
    d[unseen] *= q[qat + P.SCORE_DECAY]
    d[unseen + 1] *= q[qat + P.TRACE_DECAY]
    d[unseen + 2] *= q[qat + P.SLOW_DECAY]
    seen_score, seen_trace, seen_slow = real(1 - d[unseen]), real(1 - d[unseen + 1]), real(1 - d[unseen + 2])
    flat, score = part(f, p[at + P.FLAT], n), part(f, p[at + P.SCORE], n)
    trace = part(f, p[at + P.TRACE], n)
    moment = part(f, p[at + P.SECOND_MOMENT], n)
    kept, fresh, tiny, one = real(q[qat + P.SCORE_DECAY]), real(1 - q[qat + P.SCORE_DECAY]), real(1e-8), real(1)
    over = one / seen_score
    score_norm, reach = real(0), real(0)
    for i in range(n):
        g, zeta = score[i], trace[i]
        nu = kept * moment[i] + fresh * g * g
        moment[i] = nu
        scale = one / (math.sqrt(nu * over) + tiny)
        score_norm += g * g * scale
        reach += zeta * zeta * scale
        score[i] = zeta * scale  # the direction: the score is not read again before it is written anew
    decay, slow = real(q[qat + P.TRACE_DECAY]), real(q[qat + P.SLOW_DECAY])
    sigma = f[p[at + P.SCORE_NORM]] + (one - decay) * (score_norm - f[p[at + P.SCORE_NORM]])
    f[p[at + P.SCORE_NORM]] = sigma
    denominator = math.sqrt(sigma / seen_trace * reach)
    mean = f[p[at + P.MEAN_DENOMINATOR]] + (one - slow) * (denominator - f[p[at + P.MEAN_DENOMINATOR]])
    f[p[at + P.MEAN_DENOMINATOR]] = mean
    peak = max(f[p[at + P.PEAK_DENOMINATOR]] * real(q[qat + P.PEAK_DECAY]), mean / seen_slow)
    f[p[at + P.PEAK_DENOMINATOR]] = peak
    size = real(q[qat + P.ETA]) / max(max(denominator, peak * real(q[qat + P.FLOOR])), tiny)
    f[p[at + P.STEP_SIZE]] = size
    change = size * bound(f, p, at, q, qat, signal, seen_slow)
    if not math.isfinite(change):
        return False
    for i in range(n):
        flat[i] += change * score[i]
    return True


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
    size = max(magnitude / seen, max(real(q[qat + P.SIGNAL_FLOOR]), real(1e-12)))
    if q[qat + P.RMS_FLOOR] > 0:  # with a return of its own: lives without it keep their bits
        rms = math.sqrt(max((square - (real(1) - seen)) / seen, real(0)))
        return signal / max(size, real(q[qat + P.RMS_FLOOR]) * rms)
    return signal / size


@kernel
def plain(f: Any, p: Any, at: int, q: Any, qat: int, signal: Any, bounded: bool) -> bool:
    """``OvershootingBounded`` or ``FixedStep``."""
    real, n = f.dtype.type, p[at + P.N_PARAMETERS]
    flat, trace = part(f, p[at + P.FLAT], n), part(f, p[at + P.TRACE], n)
    if bounded:
        norm = real(0)
        for i in range(n):
            norm += abs(trace[i])
        f[p[at + P.STEP_SIZE]] = bounded_step_size(real(q[qat + P.LR]), real(q[qat + P.KAPPA]), norm, signal)
    change = f[p[at + P.STEP_SIZE]] * signal
    if not math.isfinite(change):
        return False
    for i in range(n):
        flat[i] += change * trace[i]
    return True


@kernel
def bounded_step_size(lr: Any, kappa: Any, norm: Any, signal: Any) -> Any:
    """``bounded_step_size_``: lr / max(1, lr kappa max(|signal|, 1) norm)."""
    one = lr / lr
    return lr / max(max(abs(signal), one) * norm * (lr * kappa), one)


@kernel
def adaptive_obgd(f: Any, d: Any, p: Any, at: int, q: Any, qat: int, signal: Any) -> bool:
    """``AdaptiveOvershootingBounded``."""
    real, n = f.dtype.type, p[at + P.N_PARAMETERS]
    d[p[at + P.UNSEEN]] *= q[qat + P.UPDATE_DECAY]
    over = real(1) / real(1 - d[p[at + P.UNSEEN]])
    kept, fresh = real(q[qat + P.UPDATE_DECAY]), real(1 - q[qat + P.UPDATE_DECAY])
    flat, score = part(f, p[at + P.FLAT], n), part(f, p[at + P.SCORE], n)
    trace = part(f, p[at + P.TRACE], n)
    moment = part(f, p[at + P.SECOND_MOMENT], n)
    norm = real(0)
    for i in range(n):
        update = trace[i] * signal
        v = kept * moment[i] + fresh * update * update
        moment[i] = v
        score[i] = trace[i] / (math.sqrt(v * over) + real(1e-8))  # the direction, as above
        norm += abs(score[i])
    f[p[at + P.STEP_SIZE]] = bounded_step_size(real(q[qat + P.LR]), real(q[qat + P.KAPPA]), norm, signal)
    change = f[p[at + P.STEP_SIZE]] * signal
    if not math.isfinite(change):
        return False
    for i in range(n):
        flat[i] += change * score[i]
    return True
