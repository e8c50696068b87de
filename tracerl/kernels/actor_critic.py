"""What the kernels of actor-critics have in common: ``agents/common/actor_critic.py``, one to one."""

import math
from typing import Any

from tracerl.kernels import heads
from tracerl.kernels import plan as P
from tracerl.kernels.jit import kernel


@kernel
def choose(f: Any, w: Any, p: Any, q: Any, outputs: Any) -> float:
    """``ActorCritic._act`` once the policy has seen the code: sample an action from its outputs and return it."""
    heads.sample(f, w, p, q, outputs)
    decay = f.dtype.type(q[P.AGENT_TRACE_DECAY])
    f[p[P.LOG_PROB_TRACE]] = decay * f[p[P.LOG_PROB_TRACE]] + heads.log_probability(f, w, p, q)
    f[p[P.ENTROPY]] = heads.entropy(f, p)
    if not math.isfinite(f[p[P.ENTROPY]]):
        w[p[P.FAULT]] = 1
        return math.nan
    return heads.chosen(w, p)


@kernel
def watch(f: Any, p: Any, q: Any) -> None:
    """``ActorCritic._watch``, in the order of ``WATCHED``."""
    sums = p[P.SUMS]
    f[sums] += f[p[P.SIGNAL]]
    f[sums + 1] += abs(f[p[P.SIGNAL]])
    f[sums + 2] += f[p[P.ENTROPY]]
    f[sums + 3] += f.dtype.type(1 - q[P.AGENT_TRACE_DECAY]) * f[p[P.LOG_PROB_TRACE]]
    f[sums + 4] += f[p[p[P.POLICY] + P.STEP_SIZE]]
    if p[P.CRITIC] >= 0:
        f[sums + 5] += f[p[P.VALUE]]
        f[sums + 6] += f[p[p[P.CRITIC] + P.STEP_SIZE]]
    f[sums + 7] += 1
