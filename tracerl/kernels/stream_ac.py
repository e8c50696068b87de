"""The verbs of Stream AC(lambda) over its memory: ``agents/stream_ac.py``, one to one."""

import math
from typing import Any

import numpy as np

from tracerl.kernels import heads, perceptron, steps, streams
from tracerl.kernels import plan as P
from tracerl.kernels import scratch as S
from tracerl.kernels.actor_critic import choose, watch
from tracerl.kernels.denormals import flush_denormals, restore
from tracerl.kernels.jit import entry, kernel
from tracerl.kernels.memory import row_of
from tracerl.kernels.verbs import SKIP, START, STEP, TERMINATED


@entry
def advance_life(f: Any, w: Any, p: Any, s: Any, verb: int, reward: float, observation: Any) -> float:
    """Carry out one verb for one life; see ``reflect.advance_life``."""
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
        f[p[P.VALUE]] = value_of(f, p, q, code, s)
        return act(f, w, p, q, code, s)
    learn(f, d, w, p, q, s, code, verb, reward, observation)
    if w[p[P.FAULT]] != 0:
        return math.nan
    if verb == STEP:
        return act(f, w, p, q, code, s)
    perceptron.clear(f, p, p[P.POLICY])
    perceptron.clear(f, p, p[P.CRITIC])
    f[p[P.LOG_PROB_TRACE]] = 0
    if p[P.SCALE_REWARD] == 1:
        d[p[P.DISCOUNTED]] = 0
    return heads.chosen(w, p)


@kernel
def value_of(f: Any, p: Any, q: Any, code: Any, s: Any) -> Any:
    """Let the critic see a code and return its value."""
    perceptron.forward(f, p, p[P.CRITIC], q, code, s[S.OUTPUT], s)
    return s[S.OUTPUT, 0]


@kernel
def learn(
    f: Any, d: Any, w: Any, p: Any, q: Any, s: Any, code: Any, verb: int, reward: float, observation: Any
) -> None:
    """``StreamACAgent._learn``: update both networks from one transition, leaving the new observation's code."""
    real, critic = f.dtype.type, p[P.CRITIC]
    streams.find_live(d, p, s)
    perceptron.look_again(f, p, critic, q, s[S.OUTPUT], s)
    value = s[S.OUTPUT, 0]
    if p[P.FROZEN] == 0:
        g = row_of(s, S.SIGNAL, 1)
        g[0] = 1
        perceptron.backward(f, d, p, critic, q, p[P.CRITIC_FLOATS], g, s, s[S.CRITIC_SUMS])
    streams.encode(d, p, q, observation, False, s)
    scaled = real(streams.scale_reward(d, p, q, reward))
    following = value_of(f, p, q, code, s)
    signal = scaled - value + (real(0) if verb == TERMINATED else real(q[P.DISCOUNT]) * following)
    f[p[P.VALUE]], f[p[P.SIGNAL]] = following, signal
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
    g = row_of(s, S.SIGNAL, p[P.N_OUTPUTS])
    heads.learning_signal(f, w, p, q, real(q[P.ENTROPY_WEIGHT]) * np.sign(signal), g)
    perceptron.backward(f, d, p, policy, q, p[P.POLICY_FLOATS], g, s, s[S.POLICY_SUMS])
    sound = steps.step(f, d, p, policy, q, p[P.POLICY_FLOATS], signal, s[S.POLICY_SUMS], s)
    sound &= steps.step(f, d, p, critic, q, p[P.CRITIC_FLOATS], signal, s[S.CRITIC_SUMS], s)
    if not sound:
        w[p[P.FAULT]] = 1
    watch(f, p, q)


@kernel
def act(f: Any, w: Any, p: Any, q: Any, code: Any, s: Any) -> float:
    """``ActorCritic._act``: let the policy see the code and sample an action."""
    perceptron.forward(f, p, p[P.POLICY], q, code, s[S.OUTPUT], s)
    return choose(f, w, p, q, s[S.OUTPUT])
