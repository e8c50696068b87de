"""Many lifetimes in one kernel call: one step type for each, or runs with a compiled env in the same loop.

The agent is called by the address of its ``actor_critic.advance`` (``calls.call_at``), and the next arguments
are as there, with an axis of lifetimes or shares in front. Mirrors ``lifetime.vector_loop`` and ``lifetime.loop``.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from tracerl.kernels.calls import call_at
from tracerl.kernels.envs.dispatch import ELAPSED, advance_env, reset
from tracerl.kernels.jit import entry, kernel, shared
from tracerl.kernels.step_types import FIRST, MID, SKIP, TERMINATED, TRUNCATED
from tracerl.kernels.streams import finite

STEP_TYPE, REWARD, OBSERVATION = range(3)  # columns of what arrives at a lifetime

# What a lifetime keeps beside its env and its agent: a row of 64-bit words.
STEPS, NEXT_STEP_TYPE, RETURN, LIFETIME_WORDS = range(4)  # env steps; see below; of the running episode, a float
# Next step type beside FIRST and SKIP: FIRST without a reset of the env, for an agent that begins again.
FIRST_WITHOUT_RESET = -1
ENDED_AT, ENDED_RETURN, ENDED_LENGTH, ENDED_FIELDS = range(4)  # of an ended episode


@entry
def advance_sequentially(
    address: int, memory: Any, words: Any, agents: Any, layers: Any, constants: Any, scratch: Any, inputs: Any
) -> bool:
    """Do what ``advance_all`` does on one thread: for few lifetimes, waking others takes longer than the work."""
    if not ready(words, agents, inputs):
        return False
    n = len(memory)
    return advance_share(address, memory, words, agents, layers, constants, scratch[0], inputs, 0, n) == 0


@kernel
def ready(words: Any, agents: Any, inputs: Any) -> bool:
    """Return whether every lifetime that is not skipped can be advanced: not diverged, and its inputs are finite."""
    for i in range(len(inputs)):
        row = inputs[i]
        step_type = int(row[STEP_TYPE])
        if step_type == SKIP:
            continue
        if words[i, agents[0].fault] != 0 or not finite(step_type, row[REWARD], row[OBSERVATION:]):
            return False
    return True


@kernel
def advance_share(
    address: int,
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    inputs: Any,
    start: int,
    stop: int,
) -> int:
    """Advance the lifetimes from ``start`` to ``stop``; return how many of them diverged."""
    diverged = 0
    for i in range(start, stop):
        row = inputs[i]
        step_type, reward, observation = int(row[STEP_TYPE]), row[REWARD], row[OBSERVATION:]
        call_at(address, memory[i], words[i], agents, layers, constants, scratch, step_type, reward, observation)
        if step_type != SKIP and words[i, agents[0].fault] != 0:
            diverged += 1
    return diverged


@shared
def advance_all(
    address: int, memory: Any, words: Any, agents: Any, layers: Any, constants: Any, scratch: Any, inputs: Any
) -> bool:
    """Advance each of many lifetimes by one step type, in as many shares as there is scratch for.

    Which share a lifetime is in does not change its numbers.

    Args:
        address: of the agent's machine code.
        memory: [lifetimes, n].
        words: [lifetimes, m].
        agents: [2].
        layers: [layers].
        constants: [n].
        scratch: [shares, rows, width].
        inputs: of each lifetime: its step type, reward and observation, float64,
            [lifetimes, 2 + n_observed].

    Returns:
        False where a lifetime that is not skipped has diverged, or, with nothing changed, where an input is not finite.
    """
    n, shares, diverged = len(memory), len(scratch), 0
    if not ready(words, agents, inputs):
        return False
    for share in prange(shares):
        start, stop = share * n // shares, (share + 1) * n // shares
        diverged += advance_share(
            address, memory, words, agents, layers, constants, scratch[share], inputs, start, stop
        )
    return diverged == 0


@shared
def run_all(
    address: int,
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    envs: Any,
    lifetimes: Any,
    observations: Any,
    ended: Any,
    n_ended: Any,
    kind: int,
    limit: int,
    until: int,
    steps: int,
) -> None:
    """Run every lifetime up to an env step, in as many shares as there is scratch for.

    Args:
        address: as for ``advance_all``, and the next six.
        memory: see there.
        words: see there.
        agents: see there.
        layers: see there.
        constants: see there.
        scratch: see there.
        envs: int64, [lifetimes, ENV_WORDS].
        lifetimes: int64, [lifetimes, LIFETIME_WORDS].
        observations: the newest ones, float64, [lifetimes, n_observed].
        ended: where the episodes that end are written, float64, [lifetimes, until - STEPS or more, ENDED_FIELDS].
        n_ended: how many did, int64, [lifetimes].
        kind: of the compiled env.
        limit: env steps after which an episode is truncated.
        until: env step to run up to in this call.
        steps: env steps of the whole lifetime: after the last one no episode begins.
    """
    n, shares = len(memory), len(scratch)
    for share in prange(shares):
        own_scratch = scratch[share]
        for i in range(share * n // shares, (share + 1) * n // shares):
            agent = address, memory[i], words[i], agents, layers, constants, own_scratch
            rows = envs[i], lifetimes[i], observations[i], ended[i]
            n_ended[i] = run_one(*agent, *rows, kind, limit, until, steps)


@kernel
def run_one(
    address: int,
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    env: Any,
    lifetime: Any,
    observation: Any,
    ended: Any,
    kind: int,
    limit: int,
    until: int,
    steps: int,
) -> int:
    """Run one lifetime up to an env step and return how many episodes ended.

    One that has diverged, or has taken all its steps, is left as it is.
    """
    if words[agents[0].fault] != 0 or lifetime[STEPS] >= steps:
        return 0
    env_floats, floats = env.view(np.float64), lifetime.view(np.float64)
    count, step_type, reward = 0, int(lifetime[NEXT_STEP_TYPE]), 0.0
    if step_type == FIRST:
        reset(kind, env, env_floats, observation)
    elif step_type == FIRST_WITHOUT_RESET:
        step_type = FIRST
    lifetime[NEXT_STEP_TYPE] = SKIP
    while True:
        action = call_at(address, memory, words, agents, layers, constants, scratch, step_type, reward, observation)
        diverged = math.isnan(action)  # also by a policy's own NaN, which no compiled env can take
        if diverged:
            words[agents[0].fault] = 1
            lifetime[NEXT_STEP_TYPE] = FIRST_WITHOUT_RESET
        if step_type >= TERMINATED:
            end_episode(env, lifetime, ended[count])
            count += 1
            if lifetime[STEPS] >= steps:
                env[ELAPSED] = 0
                lifetime[NEXT_STEP_TYPE] = FIRST  # for a lifetime that is given more steps
                return count
            reset(kind, env, env_floats, observation)
            step_type = FIRST
            if not diverged:
                continue
        if diverged:
            return count
        if lifetime[STEPS] >= until:
            return count
        reward, terminated = advance_env(kind, env, env_floats, action, observation)
        lifetime[STEPS] += 1
        floats[RETURN] += reward
        step_type = TERMINATED if terminated else TRUNCATED if env[ELAPSED] >= limit else MID


@kernel
def end_episode(env: Any, lifetime: Any, ended: Any) -> None:
    """Write the fields of an episode that has ended to ``ended``, and set the return to zero."""
    floats = lifetime.view(np.float64)
    ended[ENDED_AT] = lifetime[STEPS]
    ended[ENDED_RETURN] = floats[RETURN]
    ended[ENDED_LENGTH] = env[ELAPSED]
    floats[RETURN] = 0.0
