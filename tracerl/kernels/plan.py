"""Where everything stands in an agent's memory (``tracerl.nn.packed_state``): the table that the kernels read.

``describe.Plan`` writes down the offsets. The fields are plain ints so that numba compiles them into the code.
"""

from typing import Any

import numpy as np
from torch import Tensor

Fields = dict[int, float]  # what stands in a table, by its place there

# One layer: sizes, offsets into the real memory, switches.
(
    N_IN,
    N_OUT,
    SEES_CODE,  # 1 at the bottom, 0 above
    SYNAPSE_ROWS,
    ROWS,
    AFFINE,
    INPUTS,
    NORMALIZED,  # absent where currents are not
    INVERSE,
    MEMBRANE,
    SPIKES,
    SURROGATE,  # of a perceptron: the slope of its rectifier
    RESET_GAIN,
    RESET_DRIVE,
    SENSITIVITY,  # absent where credit is presynaptic
    RATE,
    ADAPTED,  # of adaptive neurons
    ADAPTATION_SENSITIVITY,
    ADAPTATION_DECAY,
    ADAPTATION_DECAY_N,
    ELIGIBILITY,  # of a ReadoutCredit
    CARRIED,  # of a PathCredit
    PROJECTED,
    N_ABOVE,
    PRESYNAPTIC,  # of a PresynapticTrace
    DECAY,
    DECAY_N,
    DECAY_COMPLEMENT,
    DECAY_RAW,
    THRESHOLD,
    THRESHOLD_N,
    THRESHOLD_RAW,
    HARD_RESET,
    DETACH_RESET,
    ARCTAN,
    GRADED,
    LAYER_INTS,
) = range(37)
SLOPE, RATE_DECAY, ADAPTATION, EPSILON, LAYER_FLOATS = range(5)

# One network with its readout, trace and step rule.
(
    N_PARAMETERS,
    FLAT,
    SCORE,
    TRACE,
    N_LAYERS,
    TICKS,
    READOUT_IN,
    READOUT_OUT,
    READOUT_AFFINE,
    FILTERED,  # of a perceptron: what its readout receives
    READOUT_DECAY,
    READOUT_DECAY_N,
    READOUT_COMPLEMENT,
    READOUT_RAW,
    DECAY_SENSITIVITY,
    RULE,
    STEP_SIZE,
    SECOND_MOMENT,
    SCORE_NORM,
    MEAN_DENOMINATOR,
    PEAK_DENOMINATOR,
    SIGNAL_SQUARE,
    SIGNAL_MAGNITUDE,
    UNSEEN,  # wide memory
    NORMALIZE_SIGNAL,
    FIRST_LAYER,  # place of its first layer in the plan
    FIRST_LAYER_FLOATS,
    NETWORK_INTS,
) = range(28)
(
    ETA,
    FLOOR,
    PEAK_DECAY,
    SCORE_DECAY,
    TRACE_DECAY,
    SLOW_DECAY,
    CLIP,
    SIGNAL_FLOOR,
    RMS_FLOOR,
    LR,
    KAPPA,
    UPDATE_DECAY,
    NETWORK_FLOATS,
) = range(13)

# The agent.
(
    N_OBSERVED,
    N_CODE,
    HEAD,
    N_OUTPUTS,
    N_COMPONENTS,  # of an action
    SIZES,  # place in the plan of the number of actions of each component (CATEGORICAL)
    BOUNDS,  # place in the floats of low, high, centre, half_range, least, most and ends of each component (GAUSSIAN)
    CONTRASTS,  # traces of the input that it is compared with
    MEMORIES,  # traces of the input that are handed on themselves
    TRACE_DECAYS,  # place in the plan's floats of the decays of both
    BY_ROWS,  # 1 where a network is too large for the fastest cache; see steps.take_in
    NORMALIZE,
    SCALE_REWARD,
    SIGNAL_KIND,
    VALUE,
    SIGNAL,
    ENTROPY,
    LOG_PROB_TRACE,
    LOG_PROBABILITIES,
    PROBABILITIES,
    LOGITS,
    MEAN,
    STD,
    STD_GAIN,
    SUMS,
    AVERAGE,
    AVERAGE_UNSEEN,
    INPUT_TRACE,  # wide memory from here
    SEEN_COUNT,
    SEEN_MEAN,
    SEEN_SQUARES,
    REWARD_COUNT,
    REWARD_MEAN,
    REWARD_SQUARES,
    DISCOUNTED,
    ACTION,  # of a GAUSSIAN in the real memory
    EXCESS,
    SENT,
    COUNTER,
    FAULT,
    FROZEN,  # 1: nothing is learned, and what only serves learning is left out
    GREEDY,  # 1: the likeliest action in place of a sample
    POLICY,  # places of the networks in the plan
    CRITIC,
    POLICY_FLOATS,
    CRITIC_FLOATS,
    FLOATS,  # place where the floats of the plan begin, as bits
    AGENT_INTS,
) = range(48)
DISCOUNT, AGENT_TRACE_DECAY, ENTROPY_WEIGHT, OBSERVATION_CLIP, AVERAGE_DECAY, EACH_STD, MEAN_MARGIN, AGENT_FLOATS = (
    range(8)
)

INTENTIONAL, OBGD, ADAPTIVE_OBGD, SGD = range(4)
TD, ADVANTAGE, REWARD = range(3)
CATEGORICAL, BERNOULLI, GAUSSIAN = range(3)
ABSENT = -1  # offset of what an agent does not have


def offset(tensor: Tensor | None) -> int:
    """Return where a packed tensor of the first life begins in its memory; ABSENT for None."""
    return ABSENT if tensor is None else int(tensor.storage_offset())


def row(fields: Fields, size: int, dtype: type) -> np.ndarray[Any, Any]:
    """Return a table of ``size`` numbers, zero where no field says otherwise."""
    found: np.ndarray[Any, Any] = np.zeros(size, dtype)
    for field, value in fields.items():
        found[field] = value
    return found
