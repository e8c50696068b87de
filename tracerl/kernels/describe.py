"""Write an agent's plan: from its modules to the tables that the kernels read."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tracerl.kernels import plan as P
from tracerl.kernels.describe_networks import tables_of, widths_of
from tracerl.kernels.plan import Fields, offset, row
from tracerl.kernels.scratch import N_SUMS, SCRATCH_ROWS
from tracerl.kernels.steps import MOST_AT_ONCE
from tracerl.nn.encoders import ContrastEncoder, decays_of
from tracerl.nn.heads import Bernoulli, Categorical, Gaussian, Head, MultiCategorical
from tracerl.rules.signals import AdvantageSignal

if TYPE_CHECKING:
    from tracerl.agents.common.actor_critic import ActorCritic


class Plan:
    """The tables of one agent, the same for all its lives.

    Attributes:
        tables: sizes, switches and offsets, then the bits of rates and decays, int64.
        scratch_rows: rows of scratch a kernel needs.
        scratch_width: their width.
    """

    def __init__(self, agent: "ActorCritic") -> None:
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
            network_ints, network_floats = tables_of(learner, at, floats_at)
            self._ints.append(network_ints)
            self._floats.append(network_floats)
            at += network_ints.size
            floats_at += network_floats.size
        ints |= self._add_head(agent.head, at, floats_at)
        ints[P.TRACE_DECAYS] = P.AGENT_FLOATS + sum(numbers.size for numbers in self._floats)
        self._floats.append(np.concatenate(decays_of(agent.encoder), dtype=np.float64))
        ints[P.FLOATS] = at + self._ints[-1].size
        numbers = np.concatenate([row(floats, P.AGENT_FLOATS, np.float64), *self._floats])
        self.tables = np.concatenate([row(ints, P.AGENT_INTS, np.int64), *self._ints, numbers.view(np.int64)])
        hidden = [widths_of(learner) for learner in learners.values() if learner is not None]
        widths = [agent.encoder.n_out, agent.head.n_outputs, *map(len, hidden), *map(max, hidden)]
        self.scratch_rows, self.scratch_width = SCRATCH_ROWS, max(N_SUMS, *widths)

    def _add_head(self, head: Head, at: int, floats_at: int) -> Fields:
        sizes = head.sizes if isinstance(head, (Categorical, MultiCategorical)) else ()
        self._ints.append(np.array(sizes, np.int64))
        if isinstance(head, Gaussian):
            numbers = head.low, head.high, head.centre, head.half_range, head.least, head.most, *head.ends
            self._floats.append(torch.cat(numbers).numpy())
        return _head_fields(head) | {P.SIZES: at, P.BOUNDS: floats_at}


def _agent_fields(agent: "ActorCritic") -> tuple[Fields, Fields]:
    encoder, scaler = agent.encoder, agent.reward_scaler
    contrasts, memories = map(len, decays_of(encoder))
    baseline = agent.baseline if isinstance(agent.baseline, AdvantageSignal) else None
    moments = encoder.normalizer.moments if encoder.normalizer is not None else None
    sizes = [learner.network.flat.shape[-1] for learner in (agent.policy, agent.critic) if learner is not None]
    ints: Fields = {
        P.N_OBSERVED: encoder.n_out // (1 + contrasts + memories),
        P.N_CODE: encoder.n_out,
        P.CONTRASTS: contrasts,
        P.MEMORIES: memories,
        P.BY_ROWS: max(sizes) > MOST_AT_ONCE,
        P.NORMALIZE: moments is not None,
        P.SCALE_REWARD: scaler is not None,
        P.SIGNAL_KIND: P.TD if agent.critic is not None else P.ADVANTAGE if baseline else P.REWARD,
        P.VALUE: offset(agent.value),
        P.SIGNAL: offset(agent.signal),
        P.ENTROPY: offset(agent.entropy),
        P.LOG_PROB_TRACE: offset(agent.log_prob_trace.trace),
        P.SUMS: offset(agent.sums),
        P.AVERAGE: offset(baseline.average if baseline else None),
        P.AVERAGE_UNSEEN: offset(baseline.unseen if baseline else None),
        P.INPUT_TRACE: offset(encoder.trace) if isinstance(encoder, ContrastEncoder) else P.ABSENT,
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
        P.DISCOUNT: agent.discount,
        P.AGENT_TRACE_DECAY: agent.log_prob_trace.trace_decay,
        P.ENTROPY_WEIGHT: agent.entropy_weight,
        P.OBSERVATION_CLIP: encoder.normalizer.clip if encoder.normalizer is not None else 0.0,
        P.AVERAGE_DECAY: baseline.decay if baseline else 0.0,
    }
    if isinstance(agent.head, Gaussian):
        floats[P.EACH_STD] = agent.head.each_std or 0.0
        floats[P.MEAN_MARGIN] = P.ABSENT if agent.head.mean_margin is None else agent.head.mean_margin
    return ints, floats


def _head_fields(head: Head) -> Fields:
    found: Fields = {P.N_OUTPUTS: head.n_outputs, P.N_COMPONENTS: head.n_components, P.ACTION: offset(head.action)}
    if isinstance(head, (Categorical, MultiCategorical)):
        found[P.HEAD] = P.CATEGORICAL
        found.update({P.LOG_PROBABILITIES: offset(head.log_probabilities), P.PROBABILITIES: offset(head.probabilities)})
    elif isinstance(head, Bernoulli):
        found[P.HEAD] = P.BERNOULLI
        found.update({P.LOGITS: offset(head.logits), P.PROBABILITIES: offset(head.probabilities)})
    else:
        assert isinstance(head, Gaussian)
        found[P.HEAD] = P.GAUSSIAN
        found.update({P.MEAN: offset(head.mean), P.STD: offset(head.std)})
        found.update({P.STD_GAIN: offset(head.std_gain), P.EXCESS: offset(head.excess), P.SENT: offset(head.sent)})
    return found
