"""The verbs of the reflect agent over its memory: ``agents/reflect.py``, one to one."""

import math
from typing import Any

import numpy as np

from tracerl.kernels import heads, networks, steps, streams
from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.actor_critic import choose, watch
from tracerl.kernels.denormals import flush_denormals, restore
from tracerl.kernels.jit import entry, kernel
from tracerl.kernels.memory import row_of
from tracerl.kernels.verbs import SKIP, START, STEP, TERMINATED


@entry
def advance_life(f: Any, w: Any, p: Any, s: Any, verb: int, reward: float, observation: Any) -> float:
    """Carry out one verb for one life.

    Args:
        f: memory of the life in the network's dtype, [n].
        w: its 64-bit words, int64, [m].
        p: the plan's tables.
        s: scratch, a row per use, as wide as the widest layer or code.
        verb: what happened.
        reward: of the last action; not read at a SKIP or START.
        observation: float64, [n_observed]; not read at a SKIP.

    Returns:
        The life's newest action, see ``heads.chosen``; NaN where it has diverged, or, with nothing changed, where the
        reward or the observation is not finite.
    """
    before = flush_denormals()
    action = carry_out(f, w, p, s, verb, reward, observation)
    restore(before)
    return action


@kernel
def carry_out(f: Any, w: Any, p: Any, s: Any, verb: int, reward: float, observation: Any) -> float:
    """Do what ``advance_life`` does, with numbers next to zero as they come."""
    if verb == SKIP:
        return heads.chosen(w, p)
    if w[p[P.FAULT]] != 0 or not streams.finite(verb, reward, observation):
        return math.nan
    d, q, code = w.view(np.float64), p[p[P.FLOATS] :].view(np.float64), s[S.CODE]
    if verb == START:
        streams.encode(d, p, q, observation, True, s)
        if p[P.CRITIC] >= 0:
            value = s[S.OUTPUT]
            networks.forward(f, p, p[P.CRITIC], q, code, value, s)
            f[p[P.VALUE]] = value[0]
        return act(f, w, p, q, code, s)
    learn(f, d, w, p, q, s, code, verb, reward, observation)
    if w[p[P.FAULT]] != 0:
        return math.nan
    if verb == STEP:
        return act(f, w, p, q, code, s)
    networks.clear(f, p, p[P.POLICY])
    if p[P.CRITIC] >= 0:
        networks.clear(f, p, p[P.CRITIC])
    f[p[P.LOG_PROB_TRACE]] = 0
    if p[P.SCALE_REWARD] == 1:
        d[p[P.DISCOUNTED]] = 0
    return heads.chosen(w, p)


@kernel
def learn(
    f: Any, d: Any, w: Any, p: Any, q: Any, s: Any, code: Any, verb: int, reward: float, observation: Any
) -> None:
    """``ReflectAgent._learn``: update both networks from one transition, leaving the new observation's code."""
    real, critic = f.dtype.type, p[P.CRITIC]
    streams.find_live(d, p, s)
    if critic >= 0 and p[P.FROZEN] == 0:
        g = row_of(s, S.SIGNAL, 1)
        g[0] = 1
        networks.backward(f, d, p, critic, q, p[P.CRITIC_FLOATS], g, s, s[S.CRITIC_SUMS])
    streams.encode(d, p, q, observation, False, s)
    signal = compute_signal(f, d, p, q, s, code, verb, real(streams.scale_reward(d, p, q, reward)))
    if not math.isfinite(signal):
        w[p[P.FAULT]] = 1
    elif p[P.FROZEN] == 1:
        watch(f, p, q)
    else:
        improve(f, d, w, p, q, s, signal)


@kernel
def improve(f: Any, d: Any, w: Any, p: Any, q: Any, s: Any, signal: Any) -> None:
    """``ActorCritic._improve``, once the critic's score has joined its trace."""
    real, policy, critic = f.dtype.type, p[P.POLICY], p[P.CRITIC]
    weight = real(q[P.ENTROPY_WEIGHT]) * np.sign(signal)
    g = row_of(s, S.SIGNAL, p[P.N_OUTPUTS])
    heads.learning_signal(f, w, p, q, weight, g)
    networks.backward(f, d, p, policy, q, p[P.POLICY_FLOATS], g, s, s[S.POLICY_SUMS])
    sound = steps.step(f, d, p, policy, q, p[P.POLICY_FLOATS], signal, s[S.POLICY_SUMS], s)
    if critic >= 0:
        sound &= steps.step(f, d, p, critic, q, p[P.CRITIC_FLOATS], signal, s[S.CRITIC_SUMS], s)
    if not sound:
        w[p[P.FAULT]] = 1
    watch(f, p, q)


@kernel
def compute_signal(f: Any, d: Any, p: Any, q: Any, s: Any, code: Any, verb: int, reward: Any) -> Any:
    """``ReflectAgent._compute_signal``, with the signals of ``rules/signals.py``."""
    real = f.dtype.type
    if p[P.SIGNAL_KIND] == P.TD:
        value = s[S.OUTPUT]
        networks.forward(f, p, p[P.CRITIC], q, code, value, s)
        bootstrap = real(0) if verb == TERMINATED else real(q[P.DISCOUNT]) * value[0]
        signal = reward - f[p[P.VALUE]] + bootstrap
        f[p[P.VALUE]] = value[0]
    elif p[P.SIGNAL_KIND] == P.ADVANTAGE:
        unseen, decay = f[p[P.AVERAGE_UNSEEN]], real(q[P.AVERAGE_DECAY])
        average = f[p[P.AVERAGE]]
        signal = reward - (average if unseen < 1 else reward)
        f[p[P.AVERAGE_UNSEEN]] = unseen * decay
        share = (real(1) - decay) / (real(1) - unseen * decay)
        f[p[P.AVERAGE]] = average + share * (reward - average) if unseen < 1 else reward
    else:
        signal = reward
    f[p[P.SIGNAL]] = signal
    return signal


@kernel
def act(f: Any, w: Any, p: Any, q: Any, code: Any, s: Any) -> float:
    """``ActorCritic._act``: let the policy see the code and sample an action."""
    outputs = s[S.OUTPUT]
    networks.forward(f, p, p[P.POLICY], q, code, outputs, s)
    return choose(f, w, p, q, outputs)
