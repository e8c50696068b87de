"""The steps of the agents with kernels: ``reflect``, ``stream_ac`` and ``q_lambda`` of ``agents``, one to one.

The type of ``layers`` selects the kernels of their networks, the head what their outputs are. Arguments as in
``neurons``.
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels import heads, networks, perceptron, rounding, steps, streams
from tracerl.kernels.calls import borrow
from tracerl.kernels.denormals import flush_denormals, restore
from tracerl.kernels.functional import accumulate
from tracerl.kernels.jit import by_layers, entry, inlined, kernel
from tracerl.kernels.layout import ABSENT, ADVANTAGE, EPSILON_GREEDY, WATKINS
from tracerl.kernels.memory import part, row_of, zero
from tracerl.kernels.scratch import CRITIC_SUMS, ENCODED, KEPT, KNOWN_SIGNAL, OUTPUT, POLICY_SUMS, SIGNAL
from tracerl.kernels.step_types import FIRST, MID, SKIP, TERMINATED


@kernel
def keep_value(memory: Any, agent: Any, layers: Any, scratch: Any) -> None:
    """Leave V of the last observation as it was computed when that was new: ``reflect``."""


@kernel
def compute_value_again(memory: Any, agent: Any, layers: Any, scratch: Any) -> None:
    """Compute V of the last observation by the critic's present weights: ``stream_ac``."""
    if not agent.has_critic:
        return
    perceptron.forward_again(memory, agent.critic.network, layers, scratch[OUTPUT], scratch)
    memory[agent.value] = scratch[OUTPUT, 0]


forward = by_layers(networks.forward, perceptron.forward)
backward = by_layers(networks.backward, perceptron.backward)
clear = by_layers(networks.clear, perceptron.clear)
prepare_value = by_layers(keep_value, compute_value_again)


@entry
def advance(
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    step_type: int,
    reward: float,
    observation: Any,
) -> float:
    """Advance one lifetime by one step type.

    Args:
        memory: what has the network's dtype, [n].
        words: its 64-bit words, int64, [m].
        agents: the agent's record, and the same frozen, [2].
        layers: records of the layers of both networks, [layers].
        constants: see ``describe.Layout``, float64, [n].
        scratch: see ``scratch``, as wide as the widest layer or encoded observation.
        step_type: what happened.
        reward: of the last action; not read at a SKIP or FIRST.
        observation: float64, [n_observed]; not read at a SKIP.

    Returns:
        The lifetime's newest action, see ``heads.chosen``; NaN where it has diverged, or, with nothing changed, where
        the reward or the observation is not finite.
    """
    before = flush_denormals()
    memory, words, agents, layers = borrow(memory), borrow(words), borrow(agents), borrow(layers)
    constants, scratch, observation = borrow(constants), borrow(scratch), borrow(observation)
    action = step(memory, words, agents, layers, constants, scratch, step_type, reward, observation)
    restore(before)
    return action


@inlined
def step(
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    step_type: int,
    reward: float,
    observation: Any,
) -> float:
    """Take the step of ``advance``; the caller sets the mode for denormal numbers."""
    agent = agents[0]
    if step_type == SKIP:
        return heads.chosen(words, agent.head, constants)
    if words[agent.fault] != 0 or not streams.finite(step_type, reward, observation):
        return math.nan
    wide = words.view(np.float64)
    if step_type == FIRST:
        streams.encode(wide, agent, constants, observation, True, scratch)
        if agent.has_critic:
            memory[agent.value] = value_of(memory, words, agents, layers, constants, scratch)
        return act(memory, words, agent, layers, constants, scratch)
    learn(memory, wide, words, agents, layers, constants, scratch, step_type, reward, observation)
    if words[agent.fault] != 0:
        return math.nan
    if step_type == MID:
        return act(memory, words, agent, layers, constants, scratch)
    clear(memory, agent.policy, layers)
    if agent.has_critic:
        clear(memory, agent.critic, layers)
    memory[agent.log_prob_trace.trace] = 0
    if agent.reward_scaler.discounted != ABSENT:
        wide[agent.reward_scaler.discounted] = 0
    return heads.chosen(words, agent.head, constants)


@inlined
def value_of(memory: Any, words: Any, agents: Any, layers: Any, constants: Any, scratch: Any) -> Any:
    """Return V of the encoded observation."""
    agent = agents[0]
    if agent.looks_ahead:
        return look_ahead(memory, words, agents, layers, constants, scratch)
    forward(memory, agent, agent.critic.network, layers, scratch[ENCODED], scratch[OUTPUT], scratch)
    return scratch[OUTPUT, 0]


@inlined
def look_ahead(memory: Any, words: Any, agents: Any, layers: Any, constants: Any, scratch: Any) -> Any:
    """Return the value of the encoded observation by a forward pass of the policy's network that leaves its state."""
    agent = agents[0]
    copy_states(memory, agent, constants, scratch[KEPT], False)
    forward(memory, agents[1], agent.policy.network, layers, scratch[ENCODED], scratch[OUTPUT], scratch)
    if agent.target != ABSENT:
        scratch[SIGNAL, 0] = target_value(memory, agent, agent.policy.network.readout)
    copy_states(memory, agent, constants, scratch[KEPT], True)
    if agent.head.kind == EPSILON_GREEDY:
        return heads.bootstrap(words, agent, scratch[OUTPUT], row_of(scratch, SIGNAL, agent.head.n_actions))
    return scratch[OUTPUT, agent.head.n_outputs]


@kernel
def target_value(memory: Any, agent: Any, readout: Any) -> Any:
    """Return V by the copy of its readout, as ``ReflectAgent._values``."""
    total, zbar = memory.dtype.type(0), readout.filtered
    for h in range(readout.n_in + 1):
        total += memory[agent.target + h] * memory[zbar + h]
    return total


@kernel
def follow(memory: Any, agent: Any, readout: Any) -> None:
    """Move the copy of V's readout towards the last row of a network's readout."""
    n, rate = readout.n_in + 1, memory.dtype.type(agent.target_rate)
    target, weights = part(memory, agent.target, n), part(memory, readout.affine + (readout.n_out - 1) * n, n)
    for h in range(n):
        target[h] += rate * (weights[h] - target[h])


@kernel
def copy_states(memory: Any, agent: Any, constants: Any, kept: Any, back: bool) -> None:
    """Copy the states of a shared network to ``kept`` or back."""
    at = 0
    for i in range(agent.kept, agent.kept + agent.len_kept, 2):
        size = int(constants[i + 1])
        states, copies = part(memory, int(constants[i]), size), part(kept, at, size)
        for k in range(size):
            if back:
                states[k] = copies[k]
            else:
                copies[k] = states[k]
        at += size


@inlined
def learn(
    memory: Any,
    wide: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    step_type: int,
    reward: float,
    observation: Any,
) -> None:
    """``_learn`` of these agents: update the networks from one transition, leaving the new observation encoded."""
    real, agent = memory.dtype.type, agents[0]
    streams.find_active(wide, agent, scratch)
    prepare_value(memory, agent, layers, scratch)
    if agent.has_critic and not agent.frozen:
        g = row_of(scratch, SIGNAL, 1)
        g[0], scratch[CRITIC_SUMS, KNOWN_SIGNAL] = 1, math.nan
        backward(memory, wide, agent, agent.critic, layers, g, scratch, scratch[CRITIC_SUMS])
    streams.encode(wide, agent, constants, observation, False, scratch)
    gamma = streams.discount(wide, agent)
    scaled = real(streams.scale_reward(wide, agent, reward, gamma))
    if agent.has_critic or agent.looks_ahead:
        signal = td_signal(memory, words, agents, layers, constants, scratch, step_type, scaled, real(gamma))
    else:
        signal = baseline_signal(memory, agent.baseline, scaled)
    memory[agent.signal] = signal
    if not math.isfinite(signal):
        words[agent.fault] = 1
        return
    if not agent.frozen and not improve(memory, wide, words, agent, layers, constants, scratch, signal):
        words[agent.fault] = 1
    add_to_sums(memory, wide, agent)


@inlined
def td_signal(
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    step_type: int,
    reward: Any,
    gamma: Any,
) -> Any:
    """``functional.td_error``, while V becomes that of the new observation.

    It is written out: as a function of its own, its sum would be rounded in another order.
    """
    real, agent = memory.dtype.type, agents[0]
    value_tp1 = value_of(memory, words, agents, layers, constants, scratch)
    following = value_tp1
    if agent.target != ABSENT and agent.is_shared:
        following = scratch[SIGNAL, 0]  # by look_ahead, which has left the network's state at s
    elif agent.target != ABSENT:
        following = target_value(memory, agent, agent.critic.network.readout)
    bootstrap = real(0) if step_type == TERMINATED else gamma * following
    signal = reward - memory[agent.value] + bootstrap
    memory[agent.value] = value_tp1
    return signal


@kernel
def baseline_signal(memory: Any, baseline: Any, reward: Any) -> Any:
    """``AdvantageSignal`` or ``RewardSignal``."""
    if baseline.kind != ADVANTAGE:
        return reward
    real = memory.dtype.type
    bias_correction, decay, average = memory[baseline.bias_correction], real(baseline.decay), memory[baseline.average]
    signal = reward - (average if bias_correction < 1 else reward)
    memory[baseline.bias_correction] = bias_correction * decay
    share = (real(1) - decay) / (real(1) - bias_correction * decay)
    memory[baseline.average] = average + share * (reward - average) if bias_correction < 1 else reward
    return signal


@inlined
def improve(
    memory: Any,
    wide: Any,
    words: Any,
    agent: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    signal: Any,
) -> bool:
    """Step along the traces of both networks once the critic's is up to date; return whether all numbers are finite."""
    weight = memory.dtype.type(agent.entropy_weight) * np.sign(signal)
    n_outputs, sums = agent.head.n_outputs, scratch[POLICY_SUMS]
    g = row_of(scratch, SIGNAL, n_outputs + agent.is_shared)
    heads.learning_signal(memory, words, agent.head, constants, weight, g)
    if agent.is_shared:
        g[n_outputs] = agent.value_weight
    if agent.head.kind == EPSILON_GREEDY and agent.head.target == WATKINS and words[agent.head.explored] != 0:
        zero(memory, agent.policy.eligibility_trace, agent.policy.network.len_flat)
    sums[KNOWN_SIGNAL] = signal
    backward(memory, wide, agent, agent.policy, layers, g, scratch, sums)
    sound = steps.update(memory, wide, agent, agent.policy, layers, signal, sums, scratch)
    if agent.rounding.len_spans:
        rounding.round_weights(memory, words, wide, agent, constants)
    if agent.has_critic:
        sound &= steps.update(memory, wide, agent, agent.critic, layers, signal, scratch[CRITIC_SUMS], scratch)
    if agent.target != ABSENT:
        follow(memory, agent, agent.critic.network.readout if agent.has_critic else agent.policy.network.readout)
    return sound


@inlined
def act(memory: Any, words: Any, agent: Any, layers: Any, constants: Any, scratch: Any) -> float:
    """``_act`` of these agents: sample an action from the policy at the encoded observation and return it."""
    outputs, trace = scratch[OUTPUT], agent.log_prob_trace
    forward(memory, agent, agent.policy.network, layers, scratch[ENCODED], outputs, scratch)
    if agent.is_shared:
        memory[agent.value] = outputs[agent.head.n_outputs]
    heads.sample(memory, words, agent, constants, outputs)
    if agent.head.kind == EPSILON_GREEDY:
        memory[agent.value] = memory[agent.head.values + words[agent.head.action]]
    log_probability = heads.log_probability(memory, words, agent.head, constants)
    memory[trace.trace] = accumulate(memory[trace.trace], memory.dtype.type(trace.trace_decay), log_probability)
    memory[agent.entropy] = heads.entropy(memory, agent.head)
    checked = agent.value if agent.head.kind == EPSILON_GREEDY else agent.entropy
    if not math.isfinite(memory[checked]):
        words[agent.fault] = 1
        return math.nan
    return heads.chosen(words, agent.head, constants)


@kernel
def add_to_sums(memory: Any, wide: Any, agent: Any) -> None:
    """``TraceAgent._watch``, in the order of ``WATCHED``."""
    sums = agent.sums
    wide[sums] += memory[agent.signal]
    wide[sums + 1] += abs(memory[agent.signal])
    wide[sums + 2] += memory[agent.entropy]
    fresh = memory.dtype.type(1 - agent.log_prob_trace.trace_decay)
    wide[sums + 3] += fresh * memory[agent.log_prob_trace.trace]
    wide[sums + 4] += memory[agent.policy.step_rule.step_size]
    if agent.has_critic or agent.looks_ahead:
        wide[sums + 5] += memory[agent.value]
    if agent.has_critic:
        wide[sums + 6] += memory[agent.critic.step_rule.step_size]
    wide[sums + 7] += 1
