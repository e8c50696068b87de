"""Write a network's part of a plan: from its layers, credit and step-size rule to the tables that the kernels read."""

from typing import Any

import numpy as np

from tracerl.kernels import plan as P
from tracerl.kernels.plan import Fields, offset, row
from tracerl.nn.credit import OTPE, Credit, Presynaptic
from tracerl.nn.layers import ALIF, DenseSynapses, Graded, SpikingLayer
from tracerl.nn.layers.normalization import EPSILON
from tracerl.nn.layers.rectified import Rectified
from tracerl.nn.networks import Network, Perceptron
from tracerl.optim.adaptive_obgd import AdaptiveOvershootingBounded
from tracerl.optim.intentional import BoundedIntentional
from tracerl.optim.obgd import OvershootingBounded
from tracerl.optim.rule import StepRule
from tracerl.optim.sgd import FixedStep
from tracerl.rules.reflect import TraceLearner

Tables = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def tables_of(learner: TraceLearner, at: int, floats_at: int) -> Tables:
    """Return the ints and floats of a network, of its rule and trace, then of each of its layers.

    Args:
        learner: with a network that the kernels know.
        at: place in the plan where the ints will stand.
        floats_at: the same of the floats.
    """
    network = learner.network
    ints: Fields = {
        P.N_PARAMETERS: network.flat.shape[-1],
        P.FLAT: offset(network.flat),
        P.SCORE: offset(network.score),
        P.TRACE: offset(learner.eligibility_trace),
        P.FIRST_LAYER: at + P.NETWORK_INTS,
        P.FIRST_LAYER_FLOATS: floats_at + P.NETWORK_FLOATS,
    }
    if isinstance(network, Perceptron):
        ints |= _perceptron_fields(network)
        layers = [(_rectified_fields(layer), {P.EPSILON: EPSILON}) for layer in network.in_a_row]
    else:
        assert isinstance(network, Network)
        ints |= _spiking_fields(network)
        layers = [_layer_of(network, i) for i in range(len(network.layers))]
    rule_ints, rule_floats = _rule_fields(learner.step_rule)
    layers[0][0][P.SEES_CODE] = True
    floats = rule_floats | {P.TRACE_DECAY: learner.trace_decay}
    int_rows = [row(ints | rule_ints, P.NETWORK_INTS, np.int64)]
    float_rows = [row(floats, P.NETWORK_FLOATS, np.float64)]
    for layer_ints, layer_floats in layers:
        int_rows.append(row(layer_ints, P.LAYER_INTS, np.int64))
        float_rows.append(row(layer_floats, P.LAYER_FLOATS, np.float64))
    return np.concatenate(int_rows), np.concatenate(float_rows)


def widths_of(learner: TraceLearner) -> list[int]:
    """Return the width of each hidden layer and how many parameters each of its neurons has."""
    network = learner.network
    if isinstance(network, Perceptron):
        return [size for layer in network.in_a_row for size in (layer.n_out, layer.n_in + 1)]
    return [size for layer in network.layers for size in (layer.n_out, layer.rows)]


def _perceptron_fields(network: Perceptron) -> Fields:
    readout = network.readout
    return {
        P.N_LAYERS: len(network.in_a_row),
        P.READOUT_IN: readout.n_in,
        P.READOUT_OUT: readout.n_out,
        P.READOUT_AFFINE: offset(readout.affine),
        P.FILTERED: offset(readout.inputs),
    }


def _rectified_fields(layer: Rectified) -> Fields:
    return {
        P.N_IN: layer.n_in,
        P.N_OUT: layer.n_out,
        P.AFFINE: offset(layer.affine),
        P.INPUTS: offset(layer.inputs),
        P.NORMALIZED: offset(layer.norm.normalized),
        P.INVERSE: offset(layer.norm.inverse),
        P.SURROGATE: offset(layer.slopes),
    }


def _spiking_fields(network: Network) -> Fields:
    readout = network.readout
    return {
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
    }


def _rule_fields(rule: StepRule) -> tuple[Fields, Fields]:
    ints: Fields = {P.STEP_SIZE: offset(rule.step_size)}
    floats: Fields = {}
    if isinstance(rule, BoundedIntentional):
        ints.update({P.RULE: P.INTENTIONAL, P.NORMALIZE_SIGNAL: rule.settings.normalize_signal})
        ints.update({P.SECOND_MOMENT: offset(rule.second_moment), P.SCORE_NORM: offset(rule.score_norm)})
        ints.update({P.MEAN_DENOMINATOR: offset(rule.mean_denominator), P.UNSEEN: offset(rule.unseen)})
        ints.update({P.SIGNAL_SQUARE: offset(rule.signal_square), P.SIGNAL_MAGNITUDE: offset(rule.signal_magnitude)})
        floats.update({P.ETA: rule.settings.eta, P.FLOOR: rule.settings.floor, P.CLIP: rule.settings.clip})
        floats.update({P.SCORE_DECAY: rule.settings.score_decay, P.SLOW_DECAY: rule.settings.slow_decay})
        ints[P.PEAK_DENOMINATOR] = offset(rule.peak_denominator)
        floats.update({P.SIGNAL_FLOOR: rule.settings.signal_floor, P.RMS_FLOOR: rule.settings.rms_floor})
        floats[P.PEAK_DECAY] = rule.settings.peak_decay
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


def _layer_of(network: Network, i: int) -> tuple[Fields, Fields]:
    layer = network.layers[i]
    floats: Fields = {P.SLOPE: layer.slope, P.RATE_DECAY: layer.rate_decay, P.EPSILON: EPSILON}
    floats[P.ADAPTATION] = layer.adaptation if isinstance(layer, ALIF) else 0.0
    return _layer_fields(layer) | _adaptation_fields(layer) | _credit_fields(network.credit, i), floats


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
        P.GRADED: isinstance(layer, Graded),
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
