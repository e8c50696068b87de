"""The layout of an agent's packed state as records, which the kernels read: ``layer.membrane`` is where v_t begins.

A field is named after the attribute path it stands for (``agent.policy.step_rule.settings.eta``), and ``describe``
fills all of them in one loop:

    OFFSET   place of a tensor in the packed state, of one lifetime, or of numbers that stand in no state in
             ``constants``; ABSENT for what an agent does not have
    SIZE     a whole number; ``len_x`` is the length of x along its last axis, ``kind`` the class of the part
    NUMBER   a rate, a decay or a bound
    FLAG     true or false

Names no torch, so that compiling kernels does not load it.
"""

from typing import Any

import numpy as np

OFFSET, SIZE, NUMBER, FLAG = np.int64, np.int64, np.float64, np.bool_
ABSENT = -1

INTENTIONAL, OBGD, ADAPTIVE_OBGD, SGD, UPDATE_RMS = range(5)  # kinds of step-size rules
CATEGORICAL, BERNOULLI, GAUSSIAN, EPSILON_GREEDY = range(4)  # of heads
WATKINS, SARSA, EXPECTED_SARSA = range(3)  # targets of action values
SPIKING, GRADED, POOLING, TERNARY = range(4)  # of layers
ADVANTAGE, REWARD = range(2)  # of signals without a critic
SOFT, HARD = range(2)  # resets
TRIANGLE, ARCTAN, RECTIFIER, CENTERED_RECTIFIER = range(4)  # surrogates
CHOICES = {
    "soft": SOFT,
    "hard": HARD,
    "triangle": TRIANGLE,
    "arctan": ARCTAN,
    "rectifier": RECTIFIER,
    "centered_rectifier": CENTERED_RECTIFIER,
    "watkins": WATKINS,
    "sarsa": SARSA,
    "expected_sarsa": EXPECTED_SARSA,
}


def record(**fields: Any) -> np.dtype[Any]:
    """Return the type of a record with these fields, each a number or a record, aligned as in C."""
    return np.dtype(list(fields.items()), align=True)


def offsets(names: str) -> dict[str, type]:
    """Return fields that are all offsets."""
    return dict.fromkeys(names.split(), OFFSET)


MOMENTS = record(**offsets("count mean squares"))
CONSTRAINED = record(**offsets("value complement raw"), len_value=SIZE)
NORM = record(**offsets("normalized inverse"))

IMAGE = record(channels=SIZE, height=SIZE, width=SIZE)  # nn.layers.convolution.Shape
SYNAPSES = record(  # nn.layers.DenseSynapses or, with a kernel, ConvolutionalSynapses
    **offsets("affine inputs"),
    n_in=SIZE,
    rows=SIZE,
    in_shape=IMAGE,
    out_shape=IMAGE,
    channels=SIZE,
    kernel=SIZE,
    stride=SIZE,
    padding=SIZE,
    padded=SIZE,
    codes=SIZE,
    channels_last=FLAG,
)
LAYER = record(  # nn.layers.SpikingLayer and its credit, or nn.layers.Pooling
    kind=SIZE,
    n_in=SIZE,
    n_out=SIZE,
    rows=SIZE,
    reset=SIZE,
    surrogate_kind=SIZE,
    slope=NUMBER,
    rate_decay=NUMBER,
    adaptation=NUMBER,
    rate_target=NUMBER,
    threshold_step=NUMBER,
    synapses=SYNAPSES,
    norm=NORM,
    **offsets("membrane spikes surrogate reset_gain reset_drive rate sensitivity adapted adaptation_sensitivity"),
    threshold_rise=OFFSET,
    signed_surrogate=OFFSET,
    membrane_decay=CONSTRAINED,
    threshold=CONSTRAINED,
    adaptation_decay=CONSTRAINED,
    readout_credit=record(**offsets("eligibility")),
    path_credit=record(**offsets("carried projected"), len_levels=SIZE),
    presynaptic=record(**offsets("trace")),
    detach_reset=FLAG,
    is_bottom=FLAG,  # a row of its weights per number of the encoded observation
    size=SIZE,  # of pooling, like the rest
    in_shape=IMAGE,
    out_shape=IMAGE,
    winners=OFFSET,
)
RECTIFIED = record(  # nn.layers.rectified.Rectified, or RectifiedConvolution, with synapses
    n_in=SIZE, n_out=SIZE, **offsets("affine inputs slopes"), norm=NORM, synapses=SYNAPSES, is_bottom=FLAG
)
READOUT = record(  # nn.layers.LI, or Linear of a perceptron
    n_in=SIZE, n_out=SIZE, **offsets("affine inputs filtered decay_sensitivity"), decay=CONSTRAINED
)
NETWORK = record(
    **offsets("flat score"),
    len_flat=SIZE,
    len_hidden=SIZE,
    first_layer=SIZE,  # its place among the layers of both networks
    input_weights=OFFSET,  # those of the encoded observation
    ticks=SIZE,
    readout=READOUT,
)
STEP_RULE = record(
    kind=SIZE,
    **offsets("step_size second_moment score_norm mean_denominator peak_denominator"),
    **offsets("signal_square signal_magnitude bias_correction"),
    **offsets("ends steps"),  # of UPDATE_RMS
    len_ends=SIZE,
    settings=record(
        **dict.fromkeys("eta floor peak_decay score_decay slow_decay clip signal_floor rms_floor".split(), NUMBER),
        **dict.fromkeys("lr kappa update_decay epsilon".split(), NUMBER),
        normalize_signal=FLAG,
    ),
)
LEARNER = record(network=NETWORK, step_rule=STEP_RULE, eligibility_trace=OFFSET, trace_decay=NUMBER)
HEAD = record(
    kind=SIZE,
    n_outputs=SIZE,
    n_components=SIZE,
    **offsets("action log_probabilities probabilities logits mean std std_gain excess sent"),
    **offsets("sizes grid low high centre half_range least most ends"),  # in constants
    each_std=NUMBER,
    target_std=NUMBER,
    each_reference=NUMBER,
    std_unit=NUMBER,
    mean_margin=NUMBER,
    **offsets("values weights explored taken"),  # of EPSILON_GREEDY, like the rest
    n_actions=SIZE,
    atoms=SIZE,
    target=SIZE,
    **dict.fromkeys("epsilon_start epsilon_end epsilon_steps value_range".split(), NUMBER),
)
ENCODER = record(
    n_out=SIZE,
    **offsets("trace trace_decays memory_decays"),
    len_trace_decays=SIZE,
    len_memory_decays=SIZE,
    trace_scale=NUMBER,
    normalizer=record(clip=NUMBER, moments=MOMENTS),
)
AGENT = record(  # describe.AgentParts
    policy=LEARNER,
    critic=LEARNER,
    encoder=ENCODER,
    head=HEAD,
    stream=record(counter=OFFSET),
    reward_scaler=record(discounted=OFFSET, moments=MOMENTS),
    growing_discount=record(age=OFFSET, last=NUMBER, share=NUMBER),
    baseline=record(kind=SIZE, **offsets("average bias_correction"), decay=NUMBER),
    log_prob_trace=record(trace=OFFSET, trace_decay=NUMBER),
    rounding=record(  # of the policy's weights
        stream=record(counter=OFFSET), **offsets("scale spans"), len_spans=SIZE, largest=SIZE
    ),
    **offsets("value signal entropy sums fault target"),
    kept=OFFSET,  # in constants
    len_kept=SIZE,
    n_observed=SIZE,
    discount=NUMBER,
    entropy_weight=NUMBER,
    value_weight=NUMBER,
    target_rate=NUMBER,
    has_critic=FLAG,
    is_shared=FLAG,
    looks_ahead=FLAG,
    by_rows=FLAG,  # a network is too large for the fastest cache; see steps.add_to_traces
    finds_active=FLAG,  # by rows, and a bottom layer has a row of weights per number of the encoded observation
    frozen=FLAG,  # nothing is learned, and what only serves learning is left out
    adapts=FLAG,  # thresholds rise, also in a forward pass that updates no traces; not in a frozen agent
    greedy=FLAG,  # the likeliest action in place of a sample
)
