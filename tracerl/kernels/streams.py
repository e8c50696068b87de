"""What comes in: scaling, encoding and random numbers, one to one."""

import math
from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.jit import kernel
from tracerl.kernels.verbs import START

_EPSILON = 1e-8
_LEAST_SHARE = 0.01


@kernel
def uniform(w: Any, counter: int) -> float:
    """``UniformStream.draw``."""
    w[counter] += -7046029254386353131
    bits = np.uint64(w[counter])
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return float(bits >> np.uint64(11)) * 2.0**-53


@kernel
def finite(verb: int, reward: float, observation: Any) -> bool:
    """Return whether the numbers that a step type reads are finite: times 0, they add up to 0 then and to NaN else."""
    total = 0.0 if verb == START else reward * 0.0
    for i in range(observation.size):
        total += observation[i] * 0.0
    return total == 0


@kernel
def encode(d: Any, p: Any, q: Any, observation: Any, first: bool, s: Any) -> None:
    """``RawEncoder`` or ``ContrastEncoder``: write the current that enters the networks, and which of it is LIVE."""
    code = s[S.CODE]
    n = p[P.N_OBSERVED]
    if p[P.NORMALIZE] == 1:
        d[p[P.SEEN_COUNT]] += 1
    for i in range(n):
        normalize(d, p, q, i, observation[i], code)
    for k in range(p[P.CONTRASTS] + p[P.MEMORIES]):
        decay, at = q[p[P.TRACE_DECAYS] + k], p[P.INPUT_TRACE] + k * n
        is_memory = k >= p[P.CONTRASTS]
        for i in range(n):
            trace = d[at + i]
            if first:
                trace = 0.0 if is_memory else observation[i]
            contrast = observation[i] - trace
            d[at + i] = trace + (1 - decay) * contrast
            normalize(d, p, q, (k + 1) * n + i, d[at + i] if is_memory else contrast, code)
    find_live(d, p, s)


@kernel
def find_live(d: Any, p: Any, s: Any) -> None:
    """Tell the numbers of the code that have been zero all life long: all that their weights have is zero too."""
    if p[P.BY_ROWS] == 0:
        return
    live, seen = s[S.LIVE], p[P.NORMALIZE] == 1
    for i in range(p[P.N_CODE]):
        live[i] = not seen or d[p[P.SEEN_MEAN] + i] != 0 or d[p[P.SEEN_SQUARES] + i] != 0


@kernel
def normalize(d: Any, p: Any, q: Any, i: int, value: float, code: Any) -> None:
    """``ObservationNormalizer`` of feature i, its count already raised."""
    if p[P.NORMALIZE] == 0:
        code[i] = code.dtype.type(value)
        return
    count, mean, squares = d[p[P.SEEN_COUNT]], p[P.SEEN_MEAN] + i, p[P.SEEN_SQUARES] + i
    before = value - d[mean]
    d[mean] += before / count
    after = value - d[mean]
    d[squares] += before * after
    variance = d[squares] / (count - 1) if count > 1 else 1.0
    z = after / math.sqrt(variance + _EPSILON)
    code[i] = code.dtype.type(min(max(z, -q[P.OBSERVATION_CLIP]), q[P.OBSERVATION_CLIP]))


@kernel
def scale_reward(d: Any, p: Any, q: Any, reward: float) -> float:
    """``RewardScaler``."""
    if p[P.SCALE_REWARD] == 0:
        return reward
    u = d[p[P.DISCOUNTED]] * q[P.DISCOUNT] + reward
    d[p[P.DISCOUNTED]] = u
    d[p[P.REWARD_COUNT]] += 1
    count = d[p[P.REWARD_COUNT]]
    before = u - d[p[P.REWARD_MEAN]]
    d[p[P.REWARD_MEAN]] += before / count
    d[p[P.REWARD_SQUARES]] += before * (u - d[p[P.REWARD_MEAN]])
    squares, mean = d[p[P.REWARD_SQUARES]], d[p[P.REWARD_MEAN]]
    mean_square = squares / count + mean * mean
    variance = max(squares / (count - 1), mean_square * _LEAST_SHARE) if count > 1 else mean_square
    return reward / math.sqrt(variance + _EPSILON)
