"""The loop over many lives: each has its own env, and all are advanced together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from tracerl.lifetime.divergence import Diverged, Guard, faults_of, finite, first_nonfinite
from tracerl.lifetime.env_outputs import check_outputs
from tracerl.lifetime.loop import NOT_FAILURES, Ending, EnvFailed, Moment, Monitor, Schedule
from tracerl.lifetime.protocol import ManyAgents, Verb
from tracerl.lifetime.record import Tally

Array = np.ndarray[Any, Any]
Envs = VectorEnv[Any, Any, Any]


def live_many(
    agents: ManyAgents,
    envs: Envs,
    steps: int,
    seeds: Sequence[int],
    tally: Tally,
    monitors: Sequence[Monitor] = (),
    interrupted: Callable[[], bool] = lambda: False,
    moment: Moment | None = None,
) -> Ending:
    """Live many lives: what ``live`` does, for each of them.

    Envs that do not reset themselves (``AutoresetMode.DISABLED``) are reset here, each as soon as its episode ends, so
    that every life is the one it would be alone. Envs that reset themselves in the step after the end
    (``AutoresetMode.NEXT_STEP``) cost their life no env step by it: that step is not counted.

    Args:
        agents: learn and act, one per life.
        envs: as many envs.
        steps: env steps of each life, at least one.
        seeds: of the envs' first resets.
        tally: of the lives so far, updated in place.
        monitors: look at the lives on their schedules, in env steps per life.
        interrupted: asked after every step of all; true ends the lives.
        moment: where the lives stand, to go on from there; updated in place.

    Returns:
        How they ended.

    Raises:
        EnvFailed: an env raised.
        Diverged: an env handed out a number that is not finite.
    """
    check_outputs(envs)
    try:
        schedule = Schedule(monitors, tally.step())
        return _live(agents, envs, steps, seeds, tally, schedule, interrupted, moment or Moment())
    finally:
        tally.records()  # brought up to date, however it ended


def _live(
    agents: ManyAgents,
    envs: Envs,
    steps: int,
    seeds: Sequence[int],
    tally: Tally,
    schedule: Schedule,
    interrupted: Callable[[], bool],
    moment: Moment,
) -> Ending:
    by_themselves = envs.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
    nobody = np.zeros(envs.num_envs, np.bool_)
    if not moment.begun:
        moment.action = _begin(agents, envs, ~nobody, tally, moment.guard, seeds)
        moment.begun, moment.ended = True, nobody
    elif moment.ended.any() and not by_themselves and tally.step() < steps:
        moment.action, moment.ended = _begin(agents, envs, moment.ended, tally, moment.guard), nobody
    starting = moment.ended  # lives whose next observation is the first of an episode, of envs that reset themselves
    actions, faults = moment.action, faults_of(agents)
    while tally.step() < steps:
        observations, rewards, terminated, truncated = _step(envs, actions, tally, moment.guard)
        verbs = _verbs(terminated, truncated, starting, (tally.steps >= steps) | tally.frozen)
        actions = _advance(agents, verbs, rewards, observations)
        if faults is not None and faults.any():
            for life in moment.guard.examine(agents, (tally.steps + 1).tolist()):
                tally.freeze(life)
        ended = verbs >= Verb.TERMINATED
        tally.add(rewards, verbs >= Verb.STEP, ended)
        if by_themselves:
            starting = ended
        elif (ended := ended | (tally.frozen & (terminated | truncated))).any() and tally.step() < steps:
            actions, ended = _begin(agents, envs, ended, tally, moment.guard), nobody
        moment.action, moment.ended = actions, ended
        if tally.step() >= schedule.next:
            schedule.look(tally.step(), tally.records(), agents)
        if interrupted():
            break
    schedule.look_at_last(tally.records(), agents)
    return "finished" if tally.step() >= steps else "interrupted"


def _verbs(terminated: Array, truncated: Array, starting: Array, done: Array) -> Array:
    """Say of each life what its step was: int8, [lives].

    Args:
        terminated: the episode ended by the task's own rules.
        truncated: the episode was cut off.
        starting: its env has just reset itself.
        done: it has lived all its steps before this one.
    """
    verbs: Array = np.full(len(done), Verb.STEP, np.int8)
    verbs[truncated] = Verb.TRUNCATED
    verbs[terminated] = Verb.TERMINATED
    verbs[starting] = Verb.START
    verbs[done] = Verb.SKIP
    return verbs


def _begin(
    agents: ManyAgents, envs: Envs, which: Array, tally: Tally, guard: Guard, seeds: Sequence[int] | None = None
) -> Array:
    """Reset the envs of some lives and let them begin an episode, but frozen ones; return the newest actions of all."""
    seed: Any = None if seeds is None else list(seeds)
    if seeds is not None and envs.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
        seed = seeds[0]  # a vector form of an env's own draws for all lives from one generator
    options = None if which.all() else {"reset_mask": which}
    try:
        observations, _ = envs.reset(seed=seed, options=options)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        raise EnvFailed(f"an env failed in reset after {tally.step():,} steps") from error
    _check_finite(observations, tally, guard)
    verbs = np.where(which & ~tally.frozen, Verb.START, Verb.SKIP).astype(np.int8)
    return _advance(agents, verbs, np.zeros(len(which)), observations)


def _advance(agents: ManyAgents, verbs: Array, rewards: Array, observations: Any) -> Array:
    """Advance the lives, leaving to the guard those whose agent diverges."""
    try:
        return agents.advance(verbs, rewards, observations)
    except Diverged:
        faults = faults_of(agents)
        if faults is None or not faults.any():
            raise
        return agents.advance(np.full_like(verbs, Verb.SKIP), rewards, observations)  # the newest actions of all


def _step(envs: Envs, actions: Any, tally: Tally, guard: Guard) -> tuple[Any, Array, Array, Array]:
    if isinstance(envs, SyncVectorEnv) and actions.ndim == 1:
        actions = actions.tolist()  # its envs check a Python number in a tenth of the time
    try:
        observations, rewards, terminated, truncated, _ = envs.step(actions)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        raise EnvFailed(f"an env failed in step {tally.step() + 1:,}") from error
    _check_finite(observations, tally, guard)
    if not np.isfinite(rewards).all():
        for life in np.flatnonzero(~np.isfinite(rewards) & ~tally.frozen).tolist():
            problem = f"reward {rewards[life]} in step {tally.step() + 1:,} of life {life}: rewards must be finite"
            _freeze(life, f"env handed out the {problem}", tally, guard)
    return observations, np.asarray(rewards, np.float64), terminated, truncated


def _check_finite(observations: Any, tally: Tally, guard: Guard) -> None:
    """Freeze, or raise Diverged for, the lives whose float observation holds NaN or infinity."""
    if finite(observations):
        return
    for life in range(len(observations)):
        found = first_nonfinite(observations[life])
        if found is not None and not tally.frozen[life]:
            index, value = found
            where = f"life {life} at index {index} after {tally.step():,} steps"
            problem = f"env handed out {value} in the observation of {where}: observations must be finite"
            _freeze(life, problem, tally, guard)


def _freeze(life: int, problem: str, tally: Tally, guard: Guard) -> None:
    """Let a life end whose env is of no use any more, whatever the guard's policy does about agents."""
    guard.report(life, problem, len(tally.frozen))
    tally.freeze(life)
