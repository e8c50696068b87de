"""What comes in: scaling, encoding and random numbers, one to one. Arguments as in ``neurons``."""

import math
from typing import Any

import numpy as np

from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import part
from tracerl.kernels.scratch import ACTIVE, ENCODED
from tracerl.kernels.step_types import FIRST

_EPSILON = 1e-8  # nn.normalizers._EPSILON
_LEAST_SHARE = 0.01  # nn.normalizers._LEAST_SHARE
_KNOWN = 1000  # nn.normalizers._KNOWN
_GAMMA = -7046029254386353131  # nn.random._GAMMA


@kernel
def uniform(words: Any, counter: int) -> float:
    """``UniformStream.draw``."""
    words[counter] += _GAMMA
    return uniform_at(words[counter])


@kernel
def next_uniform(words: Any, counter: int) -> float:
    """``UniformStream.peek``."""
    return uniform_at(words[counter] + _GAMMA)


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
    count, clip = 0.0, encoder.normalizer.clip
    if moments.count != ABSENT:
        wide[moments.count] += 1
        count = wide[moments.count]
    mean, squares = part(wide, moments.mean, encoder.n_out), part(wide, moments.squares, encoder.n_out)
    for i in range(n):
        encoded[i] = normalize(mean, squares, i, count, clip, observation[i])
    contrasts = encoder.len_trace_decays
    for k in range(contrasts + encoder.len_memory_decays):
        is_memory, traces = k >= contrasts, part(wide, encoder.trace + k * n, n)
        decay = constants[encoder.memory_decays + k - contrasts if is_memory else encoder.trace_decays + k]
        for i in range(n):
            trace = traces[i]
            if first:
                trace = 0.0 if is_memory else observation[i]
            contrast = observation[i] - trace
            traces[i] = trace + (1 - decay) * contrast
            value, at = traces[i] if is_memory else contrast, (k + 1) * n + i
            encoded[at] = normalize(mean, squares, at, count, clip, value) * encoder.trace_scale
    find_active(wide, agent, scratch)


@kernel
def find_active(wide: Any, agent: Any, scratch: Any) -> None:
    """Mark the numbers of the encoded observation that have always been zero: what their weights have is zero too."""
    if not agent.finds_active:
        return
    active, moments = scratch[ACTIVE], agent.encoder.normalizer.moments
    unknown, mean, squares = moments.count == ABSENT, moments.mean, moments.squares
    for i in range(agent.encoder.n_out):
        active[i] = unknown or wide[mean + i] != 0 or wide[squares + i] != 0


@kernel
def normalize(mean: Any, squares: Any, i: int, count: float, clip: float, value: float) -> float:
    """``ObservationNormalizer`` of feature i; the count is already raised, and 0 where nothing is standardised.

    Mean and squares are views and the count is a number, so that the compiler knows which of them a write changes.
    """
    if count == 0:
        return value
    before = value - mean[i]
    mean[i] += before / count
    after = value - mean[i]
    squares[i] += before * after
    variance = squares[i] / (count - 1) if count > 1 else 1.0
    z = after / math.sqrt(variance + _EPSILON)
    found: float = min(max(z, -clip), clip)
    return found


@kernel
def discount(wide: Any, agent: Any) -> float:
    """``GrowingDiscount``, or the constant."""
    growing = agent.growing_discount
    gamma: float = agent.discount
    if growing.age != ABSENT:
        wide[growing.age] += 1
        gamma = min(max(1 - 1 / (growing.share * wide[growing.age]), gamma), growing.last)
    return gamma


@kernel
def scale_reward(wide: Any, agent: Any, reward: float, gamma: float) -> float:
    """``RewardScaler``."""
    scaler, moments = agent.reward_scaler, agent.reward_scaler.moments
    if scaler.discounted == ABSENT:
        return reward
    count, mean = wide[moments.count], wide[moments.mean]
    total = wide[moments.squares] + count * (mean * mean)
    if count >= _KNOWN and total > 0:
        limit = math.sqrt(total)
        reward = min(max(reward, -limit), limit)
    u = wide[scaler.discounted] * gamma + reward
    wide[scaler.discounted] = u
    count += 1
    wide[moments.count] = count
    before = u - wide[moments.mean]
    wide[moments.mean] += before / count
    wide[moments.squares] += before * (u - wide[moments.mean])
    squares, mean = wide[moments.squares], wide[moments.mean]
    mean_square = squares / count + mean * mean
    variance = max(squares / (count - 1), mean_square * _LEAST_SHARE) if count > 1 else mean_square
    return reward / math.sqrt(variance + _EPSILON)
