"""Fill the records of ``layout`` from an agent's parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.kernels.coverage import HEADS, LAYERS, STEP_RULES
from tracerl.kernels.layout import ABSENT, ADVANTAGE, AGENT, CHOICES, FLAG, LAYER, RECTIFIED, REWARD
from tracerl.nn.discount import GrowingDiscount
from tracerl.nn.encoders import Encoder
from tracerl.nn.heads import Head
from tracerl.nn.networks import Perceptron
from tracerl.nn.normalizers import RewardScaler
from tracerl.nn.packed_state import PackedState
from tracerl.nn.random import UniformStream
from tracerl.nn.stochastic_rounding import StochasticRounding
from tracerl.rules.reflect import LogProbTrace, TraceLearner
from tracerl.rules.signals import AdvantageSignal, RewardSignal

KINDS: dict[type, int] = {**STEP_RULES, **HEADS, **LAYERS, AdvantageSignal: ADVANTAGE, RewardSignal: REWARD}
LARGEST_AT_ONCE = 1 << 15  # parameters of a network that steps.add_to_traces goes through in one pass
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """What the kernels need of an actor-critic, or of Q(lambda), whose state is packed.

    Attributes:
        state: the packed state of all its lifetimes, which every tensor below is a view of.
        policy: network, eligibility trace and step-size rule.
        critic: the same of V; None without one.
        encoder: of observations.
        head: distribution of the actions.
        stream: uniform random numbers.
        reward_scaler: None where rewards are not scaled.
        growing_discount: None where gamma is constant.
        baseline: what the signal is made of without a critic.
        log_prob_trace: decaying sum of log pi.
        rounding: of the policy's weights after every update; None where they are not rounded.
        value: V of the newest observation, [*lifetimes].
        signal: what the last transition was multiplied by, [*lifetimes].
        entropy: of the policy at the newest action, in nats, [*lifetimes].
        sums: what ``actor_critic.add_to_sums`` adds up, float64, [*lifetimes, 8].
        fault: 1 where a lifetime has diverged, int64, [*lifetimes].
        n_observed: numbers in an observation.
        discount: gamma per env step.
        entropy_weight: tau.
        is_shared: V is the last output of the policy's network.
        looks_ahead: the value of s' is by a forward pass of the policy's network that leaves no state.
        value_weight: of V in the objective of a shared network.
        target: copy of V's readout that computes V(s'), [*lifetimes, n + 1]; None without one.
        target_rate: rate per env step at which it follows.
    """

    state: PackedState
    policy: TraceLearner
    critic: TraceLearner | None
    encoder: Encoder
    head: Head
    stream: UniformStream
    reward_scaler: RewardScaler | None
    growing_discount: GrowingDiscount | None
    baseline: torch.nn.Module | None
    log_prob_trace: LogProbTrace
    rounding: StochasticRounding | None
    value: Tensor
    signal: Tensor
    entropy: Tensor
    sums: Tensor
    fault: Tensor
    n_observed: int
    discount: float
    entropy_weight: float
    is_shared: bool
    looks_ahead: bool
    value_weight: float
    target: Tensor | None
    target_rate: float

    @property
    def learners(self) -> list[TraceLearner]:
        """The policy and, where there is one, the critic."""
        return [self.policy] if self.critic is None else [self.policy, self.critic]

    @property
    def has_critic(self) -> bool:
        """Whether the signal is the td error of a critic."""
        return self.critic is not None

    @property
    def kept(self) -> list[int]:
        """Ranges of the packed state, start and size, that a forward pass of the policy's network writes."""
        real, ranges = self.state.real, list[int]()
        states = self.policy.network.states(traces=False) if self.looks_ahead else []
        for state in sorted(states, key=Tensor.storage_offset):
            start, size = int(state.storage_offset()), state.numel() // real[..., 0].numel()
            if state.dtype != real.dtype:
                continue
            if ranges and start == sum(ranges[-2:]):
                ranges[-1] += size
            else:
                ranges += [start, size]
        return ranges

    @property
    def by_rows(self) -> bool:
        """Whether a network is too large for all its traces to be advanced in one pass."""
        return max(learner.network.flat.shape[-1] for learner in self.learners) > LARGEST_AT_ONCE


class Layout:
    """The records of one agent, the same for all its lifetimes.

    Attributes:
        agent: of type AGENT, [2]: the agent, and the same frozen, for a forward pass that updates no traces.
        layers: those of the policy, then those of the critic, of type LAYER or RECTIFIED, [layers].
        constants: numbers that offsets point at and no state holds, float64, [n].
        width: of the longest vector that a kernel keeps for itself.
    """

    def __init__(self, parts: AgentParts) -> None:
        """Describe an agent."""
        self._packed = {memory.untyped_storage().data_ptr() for memory in (parts.state.real, parts.state.wide)}
        self._constants: list[float] = []
        self.agent = np.zeros(2, AGENT)
        self._fill(self.agent[0], parts)
        kind = RECTIFIED if isinstance(parts.policy.network, Perceptron) else LAYER
        self.layers = np.zeros(0, kind)
        for name, learner in zip(("policy", "critic"), parts.learners, strict=False):
            network, record = learner.network, self.agent[0][name]["network"]
            layers = np.array([self._layer(network, i, kind) for i in range(record["len_hidden"])])
            bottom: Any = layers[0] if kind is RECTIFIED else layers[0]["synapses"]
            record["first_layer"], record["input_weights"] = len(self.layers), bottom["affine"]
            self.layers = np.concatenate([self.layers, layers])
        self.agent["adapts"] = True
        self.agent["finds_active"] = parts.by_rows and bool(self.layers["is_bottom"].any())
        self.agent[1] = self.agent[0]
        self.agent[1]["frozen"] = True
        self.constants = np.array(self._constants, np.float64)
        rows = self.layers["n_in"] + 1 if kind is RECTIFIED else self.layers["rows"]
        padded = self.layers["synapses"]["padded"]
        widest = self.layers["n_out"].max(), rows.max(), padded.max(), len(self.layers), sum(parts.kept[1::2])
        self.width = int(max(parts.encoder.n_out, parts.head.n_outputs + 1, *widest))

    def _layer(self, network: Any, i: int, kind: np.dtype[Any]) -> Any:
        """Return the record of hidden layer i and of what its credit keeps."""
        record = np.zeros((), kind)
        self._fill(record, network.hidden[i])
        record["is_bottom"] = i == 0 and record["synapses"]["kernel"] == ABSENT
        if kind is LAYER:
            credits = {"readout_credit": "direct", "path_credit": "indirect", "presynaptic": "traces"}
            for name, owner in credits.items():
                self._fill(record[name], getattr(network.credit, owner, {}).get(i))
        return record

    def _fill(self, record: Any, part: Any) -> None:
        """Set every field of a record from the attribute of its name."""
        for name in record.dtype.names:
            if record.dtype[name].names:
                self._fill(record[name], getattr(part, name, None))
            elif name == "kind":
                record[name] = KINDS.get(type(part), ABSENT)
            elif name.startswith("len_"):
                counted = getattr(part, name.removeprefix("len_"), ())
                record[name] = counted.shape[-1] if isinstance(counted, Tensor) else len(counted)
            else:
                value = getattr(part, name, None)
                absent = False if record.dtype[name] == FLAG else ABSENT
                record[name] = absent if value is None else self._number(value)

    def _number(self, value: Any) -> float:
        """Return what stands for an attribute: a place for a tensor or a sequence, else a number."""
        if isinstance(value, str):
            return CHOICES[value]
        if isinstance(value, Tensor):
            if value.untyped_storage().data_ptr() in self._packed:
                return int(value.storage_offset())
            value = value.flatten().tolist()
        if not isinstance(value, Sequence):
            return float(value) if isinstance(value, float) else int(value)
        self._constants.extend(value)
        return len(self._constants) - len(value)
