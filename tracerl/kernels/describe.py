"""Write an agent's plan: from its modules to the tables that the kernels read."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tracerl.credit import OTPE, Credit, Presynaptic
from tracerl.encoders import ContrastEncoder
from tracerl.heads import Bernoulli, Categorical, Gaussian, Head, MultiCategorical
from tracerl.kernels import plan as P
from tracerl.kernels.plan import offset
from tracerl.kernels.scratch import SCRATCH_ROWS
from tracerl.layers import ALIF, DenseSynapses, SpikingLayer
from tracerl.layers.normalization import EPSILON
from tracerl.optim.adaptive_obgd import AdaptiveOvershootingBounded
from tracerl.optim.intentional import BoundedIntentional
from tracerl.optim.obgd import OvershootingBounded
from tracerl.optim.sgd import FixedStep
from tracerl.rules.reflect import TraceLearner
from tracerl.rules.signals import AdvantageSignal

if TYPE_CHECKING:
    from tracerl.agents.reflect import ReflectAgent

Fields = dict[int, float]


class Plan:
    """The tables of one agent, the same for all its lives.

    Attributes:
        tables: sizes, switches and offsets, then the bits of rates and decays, int64.
        scratch_rows: rows of scratch a kernel needs.
        scratch_width: their width.
    """

    def __init__(self, agent: "ReflectAgent") -> None:
        """Describe a packed agent."""
        self._ints: list[np.ndarray[Any, Any]] = []
        self._floats: list[np.ndarray[Any, Any]] = []
        ints, floats = _agent_fields(agent)
        at, floats_at = P.AGENT_INTS, P.AGENT_FLOATS
        learners = {P.POLICY: agent.policy, P.CRITIC: agent.critic}
        for place, learner in learners.items():
            floats_place = P.POLICY_FLOATS if place == P.POLICY else P.CRITIC_FLOATS
            if learner is None:
                ints[place] = P.ABSENT
                continue
            ints[place], ints[floats_place] = at, floats_at
            n_layers = len(learner.network.layers)
            self._add_network(learner, at, floats_at)
            at += P.NETWORK_INTS + n_layers * P.LAYER_INTS
            floats_at += P.NETWORK_FLOATS + n_layers * P.LAYER_FLOATS
        ints |= self._add_head(agent.head, at, floats_at)
        ints[P.FLOATS] = at + self._ints[-1].size
        numbers = np.concatenate([_row(floats, P.AGENT_FLOATS, np.float64), *self._floats])
        self.tables = np.concatenate([_row(ints, P.AGENT_INTS, np.int64), *self._ints, numbers.view(np.int64)])
        layers = agent.policy.network.layers
        widths = [agent.encoder.n_out, agent.head.n_outputs, len(layers), *(layer.n_out for layer in layers)]
        self.scratch_rows, self.scratch_width = SCRATCH_ROWS, max(widths)

    def _add_head(self, head: Head, at: int, floats_at: int) -> Fields:
        sizes = head.sizes if isinstance(head, (Categorical, MultiCategorical)) else ()
        self._ints.append(np.array(sizes, np.int64))
        if isinstance(head, Gaussian):
            self._floats.append(torch.cat([head.low, head.high, head.centre, head.half_range]).numpy())
        return _head_fields(head) | {P.SIZES: at, P.BOUNDS: floats_at}

    def _add_network(self, learner: TraceLearner, at: int, floats_at: int) -> None:
        ints, floats = _network_fields(learner)
        ints[P.FIRST_LAYER] = at + P.NETWORK_INTS
        ints[P.FIRST_LAYER_FLOATS] = floats_at + P.NETWORK_FLOATS
        self._ints.append(_row(ints, P.NETWORK_INTS, np.int64))
        self._floats.append(_row(floats, P.NETWORK_FLOATS, np.float64))
        for i, layer in enumerate(learner.network.layers):
            fields = _layer_fields(layer) | _adaptation_fields(layer) | _credit_fields(learner.network.credit, i)
            self._ints.append(_row(fields, P.LAYER_INTS, np.int64))
            numbers: Fields = {P.SLOPE: layer.slope, P.RATE_DECAY: layer.rate_decay, P.EPSILON: EPSILON}
            numbers[P.ADAPTATION] = layer.adaptation if isinstance(layer, ALIF) else 0.0
            self._floats.append(_row(numbers, P.LAYER_FLOATS, np.float64))


def _row(fields: Fields, size: int, dtype: type) -> np.ndarray[Any, Any]:
    row: np.ndarray[Any, Any] = np.zeros(size, dtype)
    for field, value in fields.items():
        row[field] = value
    return row


def _agent_fields(agent: "ReflectAgent") -> tuple[Fields, Fields]:
    encoder, settings, scaler = agent.encoder, agent.settings, agent.reward_scaler
    contrast = isinstance(encoder, ContrastEncoder)
    baseline = agent.baseline if isinstance(agent.baseline, AdvantageSignal) else None
    moments = encoder.normalizer.moments if encoder.normalizer is not None else None
    ints: Fields = {
        P.N_OBSERVED: encoder.n_out // 2 if contrast else encoder.n_out,
        P.N_CODE: encoder.n_out,
        P.CONTRAST: contrast,
        P.NORMALIZE: moments is not None,
        P.SCALE_REWARD: scaler is not None,
        P.SIGNAL_KIND: {"td": P.TD, "advantage": P.ADVANTAGE, "reward": P.REWARD}[settings.signal],
        P.VALUE: offset(agent.value),
        P.SIGNAL: offset(agent.signal),
        P.ENTROPY: offset(agent.entropy),
        P.LOG_PROB_TRACE: offset(agent.log_prob_trace.trace),
        P.SUMS: offset(agent.sums),
        P.AVERAGE: offset(baseline.average if baseline else None),
        P.AVERAGE_UNSEEN: offset(baseline.unseen if baseline else None),
        P.CONTRAST_TRACE: offset(encoder.trace) if isinstance(encoder, ContrastEncoder) else P.ABSENT,
        P.COUNTER: offset(agent.stream.counter),
        P.FAULT: offset(agent.fault),
    }
    if moments is not None:
        seen = (P.SEEN_COUNT, moments.count), (P.SEEN_MEAN, moments.mean), (P.SEEN_SQUARES, moments.squares)
        ints.update({field: offset(tensor) for field, tensor in seen})
    if scaler is not None:
        ints[P.REWARD_COUNT], ints[P.REWARD_MEAN] = offset(scaler.moments.count), offset(scaler.moments.mean)
        ints[P.REWARD_SQUARES], ints[P.DISCOUNTED] = offset(scaler.moments.squares), offset(scaler.discounted)
    floats: Fields = {
        P.DISCOUNT: settings.discount,
        P.AGENT_TRACE_DECAY: agent.log_prob_trace.trace_decay,
        P.ENTROPY_WEIGHT: settings.entropy,
        P.OBSERVATION_CLIP: encoder.normalizer.clip if encoder.normalizer is not None else 0.0,
        P.CONTRAST_DECAY: encoder.trace_decay if isinstance(encoder, ContrastEncoder) else 0.0,
        P.AVERAGE_DECAY: settings.average_decay,
    }
    return ints, floats


def _head_fields(head: Head) -> Fields:
    found: Fields = {P.N_OUTPUTS: head.n_outputs, P.ACTION: offset(head.action)}
    if isinstance(head, (Categorical, MultiCategorical)):
        found.update({P.HEAD: P.CATEGORICAL, P.N_COMPONENTS: len(head.sizes)})
        found.update({P.LOG_PROBABILITIES: offset(head.log_probabilities), P.PROBABILITIES: offset(head.probabilities)})
    elif isinstance(head, Bernoulli):
        found.update({P.HEAD: P.BERNOULLI, P.N_COMPONENTS: head.n_outputs})
        found.update({P.LOGITS: offset(head.logits), P.PROBABILITIES: offset(head.probabilities)})
    else:
        assert isinstance(head, Gaussian)
        found.update({P.HEAD: P.GAUSSIAN, P.N_COMPONENTS: head.n_outputs // 2})
        found.update({P.MEAN: offset(head.mean), P.STD: offset(head.std)})
        found.update({P.STD_GAIN: offset(head.std_gain), P.SENT: offset(head.sent)})
    return found


def _network_fields(learner: TraceLearner) -> tuple[Fields, Fields]:
    network, readout, rule = learner.network, learner.network.readout, learner.step_rule
    ints: Fields = {
        P.N_PARAMETERS: network.flat.shape[-1],
        P.FLAT: offset(network.flat),
        P.SCORE: offset(network.score),
        P.TRACE: offset(learner.eligibility_trace),
        P.N_LAYERS: len(network.layers),
        P.TICKS: network.ticks,
        P.READOUT_IN: readout.n_in,
        P.READOUT_OUT: readout.n_out,
        P.READOUT_AFFINE: offset(readout.affine),
        P.FILTERED: offset(readout.filtered),
        P.READOUT_DECAY: offset(readout.decay.value),
        P.READOUT_DECAY_N: readout.decay.value.shape[-1],
        P.READOUT_COMPLEMENT: offset(readout.decay.complement),
        P.READOUT_RAW: offset(readout.decay.raw),
        P.DECAY_SENSITIVITY: offset(readout.decay_sensitivity),
        P.STEP_SIZE: offset(rule.step_size),
    }
    floats: Fields = {P.TRACE_DECAY: learner.trace_decay}
    if isinstance(rule, BoundedIntentional):
        ints.update({P.RULE: P.INTENTIONAL, P.NORMALIZE_SIGNAL: rule.settings.normalize_signal})
        ints.update({P.SECOND_MOMENT: offset(rule.second_moment), P.SCORE_NORM: offset(rule.score_norm)})
        ints.update({P.MEAN_DENOMINATOR: offset(rule.mean_denominator), P.UNSEEN: offset(rule.unseen)})
        ints.update({P.SIGNAL_SQUARE: offset(rule.signal_square), P.SIGNAL_MAGNITUDE: offset(rule.signal_magnitude)})
        floats.update({P.ETA: rule.settings.eta, P.FLOOR: rule.settings.floor, P.CLIP: rule.settings.clip})
        floats.update({P.SCORE_DECAY: rule.settings.score_decay, P.SLOW_DECAY: rule.settings.slow_decay})
        ints[P.PEAK_DENOMINATOR] = offset(rule.peak_denominator)
        floats.update({P.SIGNAL_FLOOR: rule.settings.signal_floor, P.PEAK_DECAY: rule.settings.peak_decay})
    elif isinstance(rule, OvershootingBounded):
        ints[P.RULE] = P.OBGD
        floats.update({P.LR: rule.settings.lr, P.KAPPA: rule.settings.kappa})
    elif isinstance(rule, AdaptiveOvershootingBounded):
        ints.update({P.RULE: P.ADAPTIVE_OBGD, P.SECOND_MOMENT: offset(rule.second_moment)})
        ints[P.UNSEEN] = offset(rule.unseen)
        floats.update(
            {P.LR: rule.settings.lr, P.KAPPA: rule.settings.kappa, P.UPDATE_DECAY: rule.settings.update_decay}
        )
    else:
        assert isinstance(rule, FixedStep)
        ints[P.RULE] = P.SGD
    return ints, floats


def _layer_fields(layer: SpikingLayer) -> Fields:
    synapses, norm = layer.synapses, layer.norm
    assert isinstance(synapses, DenseSynapses)
    return {
        P.N_IN: layer.n_in,
        P.N_OUT: layer.n_out,
        P.SYNAPSE_ROWS: synapses.rows,
        P.ROWS: layer.rows,
        P.AFFINE: offset(synapses.affine),
        P.INPUTS: offset(synapses.inputs),
        P.NORMALIZED: offset(norm.normalized if norm else None),
        P.INVERSE: offset(norm.inverse if norm else None),
        P.MEMBRANE: offset(layer.membrane),
        P.SPIKES: offset(layer.spikes),
        P.SURROGATE: offset(layer.surrogate),
        P.RESET_GAIN: offset(layer.reset_gain),
        P.RESET_DRIVE: offset(layer.reset_drive),
        P.SENSITIVITY: offset(layer.sensitivity),
        P.RATE: offset(layer.rate),
        P.DECAY: offset(layer.membrane_decay.value),
        P.DECAY_N: layer.membrane_decay.value.shape[-1],
        P.DECAY_COMPLEMENT: offset(layer.membrane_decay.complement),
        P.DECAY_RAW: offset(layer.membrane_decay.raw),
        P.THRESHOLD: offset(layer.threshold.value),
        P.THRESHOLD_N: layer.threshold.value.shape[-1],
        P.THRESHOLD_RAW: offset(layer.threshold.raw),
        P.HARD_RESET: layer.reset == "hard",
        P.DETACH_RESET: layer.detach_reset,
        P.ARCTAN: layer.surrogate_kind == "arctan",
    }


def _adaptation_fields(layer: SpikingLayer) -> Fields:
    if not isinstance(layer, ALIF):
        return {P.ADAPTED: P.ABSENT, P.ADAPTATION_SENSITIVITY: P.ABSENT}
    return {
        P.ADAPTED: offset(layer.adapted),
        P.ADAPTATION_SENSITIVITY: offset(layer.adaptation_sensitivity if layer.sensitivity is not None else None),
        P.ADAPTATION_DECAY: offset(layer.adaptation_decay.value),
        P.ADAPTATION_DECAY_N: layer.adaptation_decay.value.shape[-1],
    }


def _credit_fields(credit: Credit, node: int) -> Fields:
    fields: Fields = dict.fromkeys((P.ELIGIBILITY, P.CARRIED, P.PROJECTED, P.PRESYNAPTIC), P.ABSENT)
    if isinstance(credit, Presynaptic):
        fields[P.PRESYNAPTIC] = offset(credit.traces[node].trace)
        return fields
    assert isinstance(credit, OTPE)
    if node in credit.direct:
        fields[P.ELIGIBILITY] = offset(credit.direct[node].eligibility)
    if node in credit.indirect:
        path = credit.indirect[node]
        fields[P.CARRIED], fields[P.PROJECTED] = offset(path.carried), offset(path.projected)
        fields[P.N_ABOVE] = path.carried.shape[-3]
    return fields
