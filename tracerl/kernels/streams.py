"""What comes in: scaling, encoding and random numbers, one to one. Arguments as in ``neurons``."""

import math
from typing import Any

import numpy as np

from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.scratch import ACTIVE, ENCODED
from tracerl.kernels.step_types import FIRST

_EPSILON = 1e-8
_LEAST_SHARE = 0.01


@kernel
def uniform(words: Any, counter: int) -> float:
    """``UniformStream.draw``."""
    words[counter] += -7046029254386353131
    return uniform_at(words[counter])


@kernel
def next_uniform(words: Any, counter: int) -> float:
    """``UniformStream.peek``."""
    return uniform_at(words[counter] + -7046029254386353131)


@kernel
def uniform_at(counter: int) -> float:
    """Return the number in [0, 1) of a counter."""
    bits = np.uint64(counter)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return float(bits >> np.uint64(11)) * 2.0**-53


@kernel
def finite(step_type: int, reward: float, observation: Any) -> bool:
    """Return whether the numbers that a step type reads are finite: times 0, they add up to 0 then and to NaN else."""
    total = 0.0 if step_type == FIRST else reward * 0.0
    for i in range(observation.size):
        total += observation[i] * 0.0
    return total == 0


@kernel
def encode(wide: Any, agent: Any, constants: Any, observation: Any, first: bool, scratch: Any) -> None:
    """``RawEncoder`` or ``ContrastEncoder``: write the current that enters the networks, and which of it is ACTIVE."""
    encoder, moments, encoded, n = agent.encoder, agent.encoder.normalizer.moments, scratch[ENCODED], agent.n_observed
    if moments.count != ABSENT:
        wide[moments.count] += 1
    # In locals: a field of a record is read again after each write to memory.
    count, mean, squares, clip = moments.count, moments.mean, moments.squares, encoder.normalizer.clip
    for i in range(n):
        encoded[i] = normalize(wide, count, mean + i, squares + i, clip, observation[i])
    contrasts = encoder.len_trace_decays
    for k in range(contrasts + encoder.len_memory_decays):
        is_memory, trace_k = k >= contrasts, encoder.trace + k * n
        decay = constants[encoder.memory_decays + k - contrasts if is_memory else encoder.trace_decays + k]
        for i in range(n):
            trace = wide[trace_k + i]
            if first:
                trace = 0.0 if is_memory else observation[i]
            contrast = observation[i] - trace
            wide[trace_k + i] = trace + (1 - decay) * contrast
            value, at = wide[trace_k + i] if is_memory else contrast, (k + 1) * n + i
            encoded[at] = normalize(wide, count, mean + at, squares + at, clip, value)
    find_active(wide, agent, scratch)


@kernel
def find_active(wide: Any, agent: Any, scratch: Any) -> None:
    """Mark the numbers of the encoded observation that have always been zero: what their weights have is zero too."""
    if not agent.by_rows:
        return
    active, moments = scratch[ACTIVE], agent.encoder.normalizer.moments
    unknown, mean, squares = moments.count == ABSENT, moments.mean, moments.squares
    for i in range(agent.encoder.n_out):
        active[i] = unknown or wide[mean + i] != 0 or wide[squares + i] != 0


@kernel
def normalize(wide: Any, at: int, mean: int, squares: int, clip: float, value: float) -> float:
    """``ObservationNormalizer`` of one feature, from the places of its count, already raised, and of its moments."""
    if at == ABSENT:
        return value
    count = wide[at]
    before = value - wide[mean]
    wide[mean] += before / count
    after = value - wide[mean]
    wide[squares] += before * after
    variance = wide[squares] / (count - 1) if count > 1 else 1.0
    z = after / math.sqrt(variance + _EPSILON)
    found: float = min(max(z, -clip), clip)
    return found


@kernel
def scale_reward(wide: Any, agent: Any, reward: float) -> float:
    """``RewardScaler``."""
    scaler, moments = agent.reward_scaler, agent.reward_scaler.moments
    if scaler.discounted == ABSENT:
        return reward
    u = wide[scaler.discounted] * agent.discount + reward
    wide[scaler.discounted] = u
    wide[moments.count] += 1
    count = wide[moments.count]
    before = u - wide[moments.mean]
    wide[moments.mean] += before / count
    wide[moments.squares] += before * (u - wide[moments.mean])
    squares, mean = wide[moments.squares], wide[moments.mean]
    mean_square = squares / count + mean * mean
    variance = max(squares / (count - 1), mean_square * _LEAST_SHARE) if count > 1 else mean_square
    return reward / math.sqrt(variance + _EPSILON)
