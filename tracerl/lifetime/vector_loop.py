"""The loop over many lifetimes, which step together, each in its own env."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from tracerl.config.checks import ConfigError
from tracerl.config.moved import keep_names
from tracerl.lifetime.divergence import Diverged, DivergenceCheck, faults_of, finite, first_nonfinite
from tracerl.lifetime.env_errors import about_action
from tracerl.lifetime.env_outputs import check_outputs, failed_env
from tracerl.lifetime.loop import (
    NOT_FAILURES,
    Ending,
    LoopState,
    Schedule,
    ScheduledCallback,
    failure_of_reset,
    failure_of_step,
)
from tracerl.lifetime.protocol import ManyAgents, StepType
from tracerl.lifetime.record import VectorStatistics

Array = np.ndarray[Any, Any]
Envs = VectorEnv[Any, Any, Any]


def run_lifetimes(
    agents: ManyAgents,
    envs: Envs,
    steps: int,
    seeds: Sequence[int],
    statistics: VectorStatistics,
    callbacks: Sequence[ScheduledCallback] = (),
    interrupted: Callable[[], bool] = lambda: False,
    loop_state: LoopState | None = None,
) -> Ending:
    """Run many lifetimes, each like ``loop.run_lifetime``.

    Envs without automatic resets (``AutoresetMode.DISABLED``) are reset here, each after the end of its episode, so
    that every lifetime is bit-identical to a run of its own. Envs of ``AutoresetMode.NEXT_STEP`` reset themselves in
    the step after the end, which is not counted.

    Args:
        agents: agents, which learn and act, one per lifetime.
        envs: as many envs.
        steps: number of env steps of each lifetime, at least one.
        seeds: seeds of the envs' first resets.
        statistics: statistics of the lifetimes so far, updated in place.
        callbacks: called on their schedules, in env steps per lifetime.
        interrupted: called after every step; True ends the run.
        loop_state: state to continue from, updated in place.

    Returns:
        How the lifetimes ended.

    Raises:
        EnvFailed: an env raised.
        Diverged: a number of an env or an agent is not finite, and the run ends by ``on_nonfinite`` or because no
            lifetime is left.
    """
    check_outputs(envs, statistics.frozen)
    try:
        schedule = Schedule(callbacks, statistics.step())
        return _run(agents, envs, steps, seeds, statistics, schedule, interrupted, loop_state or LoopState())
    finally:
        statistics.records()  # updates the records, also after an error


def _run(
    agents: ManyAgents,
    envs: Envs,
    steps: int,
    seeds: Sequence[int],
    statistics: VectorStatistics,
    schedule: Schedule,
    interrupted: Callable[[], bool],
    loop_state: LoopState,
) -> Ending:
    by_themselves = envs.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
    no_envs = np.zeros(envs.num_envs, np.bool_)
    if not loop_state.begun:
        loop_state.action = _begin(agents, envs, ~no_envs, statistics, loop_state.divergence, seeds)
        loop_state.begun, loop_state.ended = True, no_envs
    elif loop_state.ended.any() and not by_themselves and statistics.step() < steps:
        loop_state.action = _begin(agents, envs, loop_state.ended, statistics, loop_state.divergence)
        loop_state.ended = no_envs
        schedule.call_after_reset(statistics.records(), agents)
    starting = loop_state.ended  # lifetimes whose env, if it resets itself, next returns a first observation
    actions = loop_state.action
    while statistics.step() < steps:
        observations, rewards, terminated, truncated = _step(envs, actions, statistics, loop_state.divergence)
        complete = statistics.steps >= steps
        loop_state.outrun = steps if by_themselves and (complete & ~statistics.frozen).any() else 0
        step_types = _step_types(terminated, truncated, starting, complete | statistics.frozen)
        actions, ended = _advance(agents, step_types, rewards, observations), step_types >= StepType.TERMINATED
        actions = _examine(agents, actions, observations, statistics, loop_state.divergence, 1, ended)
        statistics.add(rewards, step_types >= StepType.MID, ended)
        some_ended = schedule.by_episode and ended.any()
        if by_themselves:
            starting = ended
        elif (ended := ended | (statistics.frozen & (terminated | truncated))).any() and statistics.step() < steps:
            loop_state.action, loop_state.ended = actions, ended  # if a reset fails: the next call tries it again
            actions, ended = _begin(agents, envs, ended, statistics, loop_state.divergence), no_envs
        loop_state.action, loop_state.ended = actions, ended
        if some_ended:
            schedule.call_after_episodes(statistics.records(), agents)
        if statistics.step() >= schedule.next:
            schedule.call(statistics.step(), statistics.records(), agents)
        if interrupted():
            break
    schedule.call_at_end(statistics.records(), agents)
    return "finished" if statistics.step() >= steps else "interrupted"


def _step_types(terminated: Array, truncated: Array, starting: Array, done: Array) -> Array:
    """Return the step type of each lifetime: int8, [lifetimes].

    Args:
        terminated: the episode ended by the task's own rules.
        truncated: the episode was cut off.
        starting: the env has just reset itself.
        done: all steps were taken before.
    """
    step_types: Array = np.full(len(done), StepType.MID, np.int8)
    step_types[truncated] = StepType.TRUNCATED
    step_types[terminated] = StepType.TERMINATED
    step_types[starting] = StepType.FIRST
    step_types[done] = StepType.SKIP
    return step_types


def _begin(
    agents: ManyAgents,
    envs: Envs,
    which: Array,
    statistics: VectorStatistics,
    divergence: DivergenceCheck,
    seeds: Sequence[int] | None = None,
) -> Array:
    """Reset envs and begin episodes, except in frozen lifetimes, and return the newest actions of all."""
    seed: Any = None if seeds is None else list(seeds)
    if seeds is not None and envs.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
        seed = seeds[0]  # such an env has one generator for all lifetimes
    options = None if which.all() else {"reset_mask": which}
    try:
        observations, _ = envs.reset(seed=seed, options=options)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        raise failure_of_reset(
            f"{failed_env(envs)} failed in reset after {statistics.step():,} steps", error
        ) from error
    _check_finite(observations, statistics, divergence)
    actions = _start(agents, which & ~statistics.frozen, observations)
    return _examine(agents, actions, observations, statistics, divergence, 0, np.zeros_like(which))


def _start(agents: ManyAgents, which: Array, observations: Any) -> Array:
    """Begin an episode in these lifetimes with their observations and return the newest actions of all."""
    step_types = np.where(which, StepType.FIRST, StepType.SKIP).astype(np.int8)
    return _advance(agents, step_types, np.zeros(len(which)), observations)


def _examine(
    agents: ManyAgents,
    actions: Array,
    observations: Any,
    statistics: VectorStatistics,
    divergence: DivergenceCheck,
    steps: int,
    ended: Array,
) -> Array:
    """Apply the policy to the lifetimes that diverged and return the newest actions of all.

    Args:
        agents: agents.
        actions: newest actions.
        observations: newest observations.
        statistics: statistics without the step in which they diverged.
        divergence: check.
        steps: 1 in a step, 0 at the start of an episode.
        ended: lifetimes whose episode has ended. Others begin an episode after they are re-initialised.
    """
    faults = faults_of(agents)
    if faults is None or not faults.any():
        return actions
    diverged = faults != 0
    for lifetime in divergence.examine(agents, (statistics.steps + steps * ~statistics.frozen).tolist()):
        statistics.freeze(lifetime)
    _check_any_left(statistics, list(divergence.problems.values())[-1])  # others can have stopped before a resume
    again = diverged & (faults_of(agents) == 0) & ~ended
    if not again.any():
        return actions
    actions = _start(agents, again, observations)
    for lifetime in np.flatnonzero(again & (faults_of(agents) != 0)).tolist():
        when = f"the agent of lifetime {lifetime} diverges again once it is re-initialised"
        _freeze(lifetime, when, statistics, divergence)
    return actions


def _advance(agents: ManyAgents, step_types: Array, rewards: Array, observations: Any) -> Array:
    """Advance the agents. The divergence check handles those that diverge."""
    try:
        actions = agents.advance(step_types, rewards, observations)
        if not isinstance(actions, np.ndarray) or len(actions) != len(step_types):
            raise ConfigError("agent", f"must return {len(step_types)} actions from advance, got {actions!r:.200}")
        return actions
    except Diverged:
        faults = faults_of(agents)
        if faults is None or not faults.any():
            raise
        skipped = np.full_like(step_types, StepType.SKIP)
        return agents.advance(skipped, rewards, observations)  # the newest actions of all


def _step(
    envs: Envs, actions: Any, statistics: VectorStatistics, divergence: DivergenceCheck
) -> tuple[Any, Array, Array, Array]:
    if isinstance(envs, SyncVectorEnv) and actions.ndim == 1:
        actions = actions.tolist()  # its envs check Python numbers ten times as fast
    try:
        observations, rewards, terminated, truncated, _ = envs.step(actions)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        failed, space = f"{failed_env(envs)} failed in step {statistics.step() + 1:,}", envs.single_action_space
        odd = next((each for each in actions if about_action(space, each)), actions[0])
        raise failure_of_step(failed, error, space, odd) from error
    _check_finite(observations, statistics, divergence)
    if not np.isfinite(rewards).all():
        for lifetime in np.flatnonzero(~np.isfinite(rewards) & ~statistics.frozen).tolist():
            where = f"step {statistics.step() + 1:,} of lifetime {lifetime}: rewards must be finite"
            _freeze(lifetime, f"the env returned the reward {rewards[lifetime]} in {where}", statistics, divergence)
    return observations, np.asarray(rewards, np.float64), terminated, truncated


def _check_finite(observations: Any, statistics: VectorStatistics, divergence: DivergenceCheck) -> None:
    """Freeze the lifetimes whose float observation has NaN or infinity, or raise Diverged."""
    if finite(observations):
        return
    for lifetime in range(len(observations)):
        found = first_nonfinite(observations[lifetime])
        if found is not None and not statistics.frozen[lifetime]:
            index, value = found
            where = f"lifetime {lifetime} at index {index} after {statistics.step():,} steps"
            problem = f"the env returned {value} in the observation of {where}: observations must be finite"
            _freeze(lifetime, problem, statistics, divergence)


def _freeze(lifetime: int, problem: str, statistics: VectorStatistics, divergence: DivergenceCheck) -> None:
    """End a lifetime whose env or re-initialised agent has numbers that are not finite, under every policy."""
    statistics.freeze(lifetime)
    divergence.report(lifetime, problem, len(statistics.frozen), stops=True)
    _check_any_left(statistics, problem)


def _check_any_left(statistics: VectorStatistics, newest: str) -> None:
    """Raise Diverged, with the newest problem, if every lifetime has stopped."""
    if statistics.frozen.all():
        raise Diverged(f"no lifetime is left; the last that stopped: {newest}")


keep_names(globals(), live_many="run_lifetimes")
