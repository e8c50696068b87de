"""Many lives in one kernel call: one verb for each, or whole lives with a twin of the env in the same loop.

The agent is called by the address of its ``advance_life`` (``calls.call_at``). Mirrors ``lifetimes`` and ``lifetime``.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from tracerl.kernels.calls import call_at
from tracerl.kernels.envs.dispatch import ELAPSED, advance_world, begin
from tracerl.kernels.jit import entry, kernel, shared
from tracerl.kernels.plan import FAULT
from tracerl.kernels.streams import finite
from tracerl.kernels.verbs import SKIP, START, STEP, TERMINATED, TRUNCATED

VERB, REWARD, OBSERVATION = range(3)  # columns of what reaches a life

# What a life remembers beside its world and its agent: a row of 64-bit words.
LIVED, NEXT_VERB, RETURN, LIFE_WORDS = range(4)  # env steps; START or SKIP; return of the running episode, a float
ENDED_AT, ENDED_RETURN, ENDED_LENGTH, ENDED_FIELDS = range(4)  # of an ended episode


@entry
def advance_in_turn(agent: int, real: Any, wide: Any, p: Any, scratch: Any, arrived: Any) -> bool:
    """Do what ``advance_all`` does on one thread: for few lives, waking others takes longer than the work."""
    if not ready(wide, p, arrived):
        return False
    return advance_share(agent, real, wide, p, scratch[0], arrived, 0, len(real)) == 0


@kernel
def ready(wide: Any, p: Any, arrived: Any) -> bool:
    """Return whether every life that is not skipped can be advanced: it has not diverged, its inputs are finite."""
    for life in range(len(arrived)):
        row = arrived[life]
        verb = int(row[VERB])
        if verb != SKIP and (wide[life, p[FAULT]] != 0 or not finite(verb, row[REWARD], row[OBSERVATION:])):
            return False
    return True


@kernel
def advance_share(agent: int, real: Any, wide: Any, p: Any, s: Any, arrived: Any, start: int, stop: int) -> int:
    """Carry out the verbs of the lives from ``start`` to ``stop``; return how many of them diverged."""
    diverged = 0
    for life in range(start, stop):
        row = arrived[life]
        verb, reward, observation = int(row[VERB]), row[REWARD], row[OBSERVATION:]
        call_at(agent, real[life], wide[life], p, s, verb, reward, observation)
        if verb != SKIP and wide[life, p[FAULT]] != 0:
            diverged += 1
    return diverged


@shared
def advance_all(agent: int, real: Any, wide: Any, p: Any, scratch: Any, arrived: Any) -> bool:
    """Carry out one verb for each of many lives, in as many shares as there is scratch for.

    Which share a life is in does not matter to it.

    Args:
        agent: address of ``advance_life``.
        real: memory of the agents in the network's dtype, [lives, n].
        wide: their 64-bit words, int64, [lives, m].
        p: the plan's tables.
        scratch: of each share, [shares, rows, width].
        arrived: what reaches each life: its verb, reward and observation, float64, [lives, 2 + n_observed].

    Returns:
        False where a life that is not skipped has diverged, or, with nothing changed, where an input is not finite.
    """
    n, shares, diverged = len(real), len(scratch), 0
    if not ready(wide, p, arrived):
        return False
    for share in prange(shares):
        start, stop = share * n // shares, (share + 1) * n // shares
        diverged += advance_share(agent, real, wide, p, scratch[share], arrived, start, stop)
    return diverged == 0


@shared
def live(
    agent: int,
    real: Any,
    wide: Any,
    p: Any,
    scratch: Any,
    worlds: Any,
    lived: Any,
    seen: Any,
    ended: Any,
    n_ended: Any,
    kind: int,
    limit: int,
    until: int,
    steps: int,
) -> None:
    """Live every life up to an env step, in as many shares as there is scratch for.

    Args:
        agent: as for ``advance_all``, and the next four.
        real: see there.
        wide: see there.
        p: see there.
        scratch: see there.
        worlds: int64, [lives, WORLD_WORDS].
        lived: int64, [lives, LIFE_WORDS].
        seen: the newest observations, float64, [lives, n_observed].
        ended: where the episodes that end are written, float64, [lives, until - LIVED or more, ENDED_FIELDS].
        n_ended: how many did, int64, [lives].
        kind: of the twin.
        limit: env steps after which an episode is cut off.
        until: env step to live up to in this call.
        steps: env steps of the whole life: after the last one no episode begins.
    """
    n, shares = len(real), len(scratch)
    for share in prange(shares):
        s = scratch[share]
        for life in range(share * n // shares, (share + 1) * n // shares):
            mine = worlds[life], lived[life], seen[life], ended[life]
            n_ended[life] = live_one(agent, real[life], wide[life], p, s, *mine, kind, limit, until, steps)


@kernel
def live_one(
    agent: int,
    f: Any,
    w: Any,
    p: Any,
    s: Any,
    world: Any,
    lived: Any,
    seen: Any,
    ended: Any,
    kind: int,
    limit: int,
    until: int,
    steps: int,
) -> int:
    """Live one life up to an env step and return how many episodes ended."""
    e, numbers = world.view(np.float64), lived.view(np.float64)
    count, verb, reward = 0, int(lived[NEXT_VERB]), 0.0
    if verb == START:
        begin(kind, world, e, seen)
    lived[NEXT_VERB] = SKIP
    while True:
        action = call_at(agent, f, w, p, s, verb, reward, seen)
        if math.isnan(action):  # of a policy's own NaN too, which no twin can take
            w[p[FAULT]] = 1
            return count
        if verb >= TERMINATED:
            ended[count, ENDED_AT] = lived[LIVED]
            ended[count, ENDED_RETURN] = numbers[RETURN]
            ended[count, ENDED_LENGTH] = world[ELAPSED]
            count += 1
            numbers[RETURN] = 0.0
            if lived[LIVED] >= steps:
                world[ELAPSED] = 0
                lived[NEXT_VERB] = START  # for a life that is given more steps
                return count
            begin(kind, world, e, seen)
            verb = START
            continue
        if lived[LIVED] >= until:
            return count
        reward, terminated = advance_world(kind, world, e, action, seen)
        lived[LIVED] += 1
        numbers[RETURN] += reward
        verb = TERMINATED if terminated else TRUNCATED if world[ELAPSED] >= limit else STEP
