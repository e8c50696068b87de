"""The action heads over an agent's memory: ``tracerl.nn.heads``, one to one.

A table of the plan says of each: where its sizes or bounds stand, and where its numbers are in memory. Of the three
kinds, CATEGORICAL has one component or several.
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels.jit import kernel
from tracerl.kernels.memory import part
from tracerl.kernels.streams import uniform

_LEAST_STD = 1e-3  # heads.gaussian.LEAST_STD
_UNBOUNDED = 1e30  # heads.gaussian.UNBOUNDED
_ROOT_HALF = math.sqrt(0.5)
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@kernel
def sample(f: Any, w: Any, p: Any, q: Any, outputs: Any) -> None:
    """``Head.sample``.

    Args:
        f: memory of the life in the network's dtype, [n].
        w: its 64-bit words, int64, [m].
        p: the plan's tables.
        q: their floats.
        outputs: of the network, [n_outputs].
    """
    if p[P.HEAD] == P.CATEGORICAL:
        start = 0
        for i in range(p[P.N_COMPONENTS]):
            start = sample_component(f, w, p, outputs, i, start)
    elif p[P.HEAD] == P.BERNOULLI:
        for i in range(p[P.N_COMPONENTS]):
            logit = outputs[i]
            f[p[P.LOGITS] + i] = logit
            f[p[P.PROBABILITIES] + i] = sigmoid(logit)
            drawn = uniform(w, p[P.COUNTER])
            w[p[P.ACTION] + i] = 1 if (0.5 if p[P.GREEDY] == 1 else drawn) < f[p[P.PROBABILITIES] + i] else 0
    else:
        sample_gaussian(f, w, p, q, outputs)


@kernel
def sample_component(f: Any, w: Any, p: Any, outputs: Any, i: int, start: int) -> int:
    """Sample component i of a categorical action, its logits beginning at ``start``; return where they end."""
    n = p[p[P.SIZES] + i]
    logits = part(outputs, start, n)
    log_probabilities = part(f, p[P.LOG_PROBABILITIES] + start, n)
    probabilities = part(f, p[P.PROBABILITIES] + start, n)
    largest, total = logits[0], f.dtype.type(0)
    for a in range(1, n):
        largest = max(largest, logits[a])
    for a in range(n):
        total += math.exp(logits[a] - largest)
    log_total = math.log(total)
    chance, cumulative, action, likeliest = uniform(w, p[P.COUNTER]), f.dtype.type(0), 0, 0
    for a in range(n):
        log_probabilities[a] = logits[a] - largest - log_total
        probabilities[a] = math.exp(log_probabilities[a])
        if probabilities[a] > probabilities[likeliest]:
            likeliest = a
        cumulative += probabilities[a]
        if a < n - 1 and cumulative <= chance:
            action += 1
    w[p[P.ACTION] + i] = likeliest if p[P.GREEDY] == 1 else action
    return int(start + n)


@kernel
def sample_gaussian(f: Any, w: Any, p: Any, q: Any, outputs: Any) -> None:
    """``Gaussian.sample``."""
    real, n, d = f.dtype.type, p[P.N_COMPONENTS], w.view(np.float64)
    low, high = part(q, p[P.BOUNDS], n), part(q, p[P.BOUNDS] + n, n)
    centre, half_range = part(q, p[P.BOUNDS] + 2 * n, n), part(q, p[P.BOUNDS] + 3 * n, n)
    lowest, highest = part(q, p[P.BOUNDS] + 6 * n, n), part(q, p[P.BOUNDS] + 7 * n, n)
    for i in range(n):
        rho = outputs[n + i]
        mean, std, gain = outputs[i], softplus(rho), sigmoid(rho)
        if q[P.EACH_STD] > 0 and low[i] > -_UNBOUNDED and high[i] < _UNBOUNDED:
            std = gain * real(q[P.EACH_STD])
            gain = std - gain * std
        std += real(_LEAST_STD)
        if q[P.MEAN_MARGIN] >= 0:
            margin = std * real(q[P.MEAN_MARGIN])
            mean = min(max(mean, real(lowest[i]) - margin), real(highest[i]) + margin)
            f[p[P.EXCESS] + i] = outputs[i] - mean
        f[p[P.MEAN] + i], f[p[P.STD] + i], f[p[P.STD_GAIN] + i] = mean, std, gain
        radius = math.sqrt(-2 * math.log1p(-uniform(w, p[P.COUNTER])))
        noise = radius * math.cos(2 * math.pi * uniform(w, p[P.COUNTER]))
        action = mean if p[P.GREEDY] == 1 else mean + std * real(noise)
        f[p[P.ACTION] + i] = action
        d[p[P.SENT] + i] = min(max(centre[i] + float(action) * half_range[i], low[i]), high[i])


@kernel
def softplus(x: Any) -> Any:
    """``functional.softplus``."""
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


@kernel
def sigmoid(x: Any) -> Any:
    """``torch.sigmoid``."""
    return 1 / (1 + math.exp(-x))


@kernel
def log_probability(f: Any, w: Any, p: Any, q: Any) -> Any:
    """``Head.log_probability``."""
    total = f.dtype.type(0)
    if p[P.HEAD] == P.CATEGORICAL:
        start = p[P.LOG_PROBABILITIES]
        for i in range(p[P.N_COMPONENTS]):
            total += f[start + w[p[P.ACTION] + i]]
            start += p[p[P.SIZES] + i]
    elif p[P.HEAD] == P.BERNOULLI:
        for i in range(p[P.N_COMPONENTS]):
            logit = f[p[P.LOGITS] + i]
            total += logit * f.dtype.type(w[p[P.ACTION] + i]) - softplus(logit)
    else:
        for i in range(p[P.N_COMPONENTS]):
            std = f[p[P.STD] + i]
            side, distance = beyond(f, p, q, i)
            if side != 0:
                total += f.dtype.type(math.log(tail(distance)))
            else:
                z = (f[p[P.ACTION] + i] - f[p[P.MEAN] + i]) / std
                total -= z * z * f.dtype.type(0.5) + math.log(std) + f.dtype.type(_HALF_LOG_2_PI)
    return total


@kernel
def beyond(f: Any, p: Any, q: Any, i: int) -> tuple[float, float]:
    """``functional_actions._beyond`` of number i of a Gaussian's action."""
    n, action, mean = p[P.N_COMPONENTS], float(f[p[P.ACTION] + i]), float(f[p[P.MEAN] + i])
    least, most = q[p[P.BOUNDS] + 4 * n + i], q[p[P.BOUNDS] + 5 * n + i]
    if action >= most:
        return 1.0, (most - mean) / float(f[p[P.STD] + i])
    if action <= least:
        return -1.0, (mean - least) / float(f[p[P.STD] + i])
    return 0.0, 0.0


@kernel
def tail(x: float) -> float:
    """Return the mass of the standard normal distribution beyond x, which a draw of it has reached."""
    return 0.5 * math.erfc(x * _ROOT_HALF)


@kernel
def entropy(f: Any, p: Any) -> Any:
    """``Head.entropy``."""
    total = f.dtype.type(0)
    if p[P.HEAD] == P.CATEGORICAL:
        total = entropy_between(f, p, 0, p[P.N_OUTPUTS])
    elif p[P.HEAD] == P.BERNOULLI:
        for i in range(p[P.N_COMPONENTS]):
            logit = f[p[P.LOGITS] + i]
            total += softplus(logit) - f[p[P.PROBABILITIES] + i] * logit
    else:
        for i in range(p[P.N_COMPONENTS]):
            total += math.log(f[p[P.STD] + i]) + f.dtype.type(_HALF_LOG_2_PI + 0.5)
    return total


@kernel
def entropy_between(f: Any, p: Any, start: int, stop: int) -> Any:
    """Return the entropy of the categorical outputs from ``start`` to ``stop``."""
    total = f.dtype.type(0)
    for a in range(start, stop):
        total -= f[p[P.PROBABILITIES] + a] * f[p[P.LOG_PROBABILITIES] + a]
    return total


@kernel
def learning_signal(f: Any, w: Any, p: Any, q: Any, weight: Any, g: Any) -> None:
    """``Head.score`` plus a weight times ``Head.entropy_gradient``: written to g, [n_outputs]."""
    if p[P.HEAD] == P.CATEGORICAL:
        categorical_signal(f, w, p, weight, g)
    elif p[P.HEAD] == P.BERNOULLI:
        for i in range(p[P.N_COMPONENTS]):
            probability, taken = f[p[P.PROBABILITIES] + i], f.dtype.type(w[p[P.ACTION] + i])
            g[i] = taken - probability + weight * f[p[P.LOGITS] + i] * probability * (probability - 1)
    else:
        one, n = f.dtype.type(1), p[P.N_COMPONENTS]
        for i in range(n):
            std, gain = f[p[P.STD] + i], f[p[P.STD_GAIN] + i]
            side, distance = beyond(f, p, q, i)
            if side != 0:
                hazard = math.exp(-0.5 * distance * distance - _HALF_LOG_2_PI) / tail(distance)
                g[i] = f.dtype.type(side * hazard) / std
                g[n + i] = gain * (f.dtype.type(distance * hazard) + weight) / std
            else:
                z = (f[p[P.ACTION] + i] - f[p[P.MEAN] + i]) / std
                g[i] = z / std
                g[n + i] = gain * (z * z - one + weight) / std
            if q[P.MEAN_MARGIN] >= 0:
                g[i] -= weight * f[p[P.EXCESS] + i] / std / std


@kernel
def categorical_signal(f: Any, w: Any, p: Any, weight: Any, g: Any) -> None:
    """``learning_signal`` of a categorical head."""
    start = 0
    for i in range(p[P.N_COMPONENTS]):
        stop = start + p[p[P.SIZES] + i]
        total = entropy_between(f, p, start, stop)
        for a in range(start, stop):
            probability, log_probability = f[p[P.PROBABILITIES] + a], f[p[P.LOG_PROBABILITIES] + a]
            g[a] = -probability - weight * probability * (log_probability + total)
        g[start + w[p[P.ACTION] + i]] += f.dtype.type(1)
        start = stop


@kernel
def chosen(w: Any, p: Any) -> float:
    """Return the newest action of one component as a twin of an env takes it: an index, or a float32 in its units."""
    if p[P.HEAD] == P.GAUSSIAN:
        return float(np.float32(w.view(np.float64)[p[P.SENT]]))
    return float(w[p[P.ACTION]])
