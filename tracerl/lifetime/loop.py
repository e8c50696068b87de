"""The loop over one lifetime, and the checked reset and step of an env."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

from tracerl.config.checks import described
from tracerl.config.moved import keep_names
from tracerl.lifetime.divergence import Diverged as Diverged
from tracerl.lifetime.divergence import DivergenceCheck, Faults, faults_of, finite, first_nonfinite
from tracerl.lifetime.env_errors import about_action, is_of_other_api
from tracerl.lifetime.env_outputs import flag, observation_of, reward_of
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record

Ending = Literal["finished", "interrupted"]
Shape = tuple[int, ...] | None  # of the observations; None if the space has none


class EnvFailed(RuntimeError):
    """The env raised an exception, which is this error's ``__cause__``, or returned values outside its spaces.

    The cause can also be an exception that would end the process, such as that of ``sys.exit``. The text ends with it.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.__cause__ is None else f"{text}: {described(self.__cause__)}"


_RESET = "reset must return (observation, info), as Gymnasium's does"
_STEP = "step must return (observation, reward, terminated, truncated, info), as Gymnasium's does"
NOT_FAILURES = (KeyboardInterrupt, GeneratorExit)  # exceptions that are not caught


class WrongEnvApi(EnvFailed, TypeError):
    """The env's ``reset`` or ``step`` takes or returns other values than Gymnasium's do, like those of old Gym."""


class ScheduledCallback(Protocol):
    """Called every so many env steps of a run."""

    every: int

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Called every ``every`` env steps (per lifetime) and once at the end.

        Args:
            records: one per lifetime.
            agent: agent of all lifetimes.
        """


class Step(NamedTuple):
    """One env step.

    Attributes:
        observation: observation before the action; None in the first step after a checkpoint.
        action: action, in the env's action space.
        reward: reward of the action.
        next_observation: observation after the action.
        terminated: whether the episode ended by the task's own rules.
        truncated: whether the episode was cut off.
    """

    observation: Any
    action: Any
    reward: float
    next_observation: Any
    terminated: bool
    truncated: bool

    @property
    def last(self) -> bool:
        """Whether the episode ended with this step."""
        return self.terminated or self.truncated


@dataclass
class LoopState:
    """State of the loop between two steps, of one lifetime or of many: part of a checkpoint.

    Attributes:
        begun: whether the first episode has begun.
        ended: whether an episode has ended and the next one has not begun; for many lifetimes a mask, bool,
            [lifetimes].
        action: next action; for many lifetimes those of all.
        observation: observation of that action, for one lifetime; None after a checkpoint.
        outrun: env steps after which a lifetime of many was complete while its env, which resets itself, was stepped
            with the others; 0: none was.
        divergence: what is done about numbers that are not finite.
    """

    begun: bool = False
    ended: Any = False
    action: Any = None
    observation: Any = None
    outrun: int = 0
    divergence: DivergenceCheck = field(default_factory=DivergenceCheck)


def next_multiple(step: int, every: int) -> int:
    """Return the lowest multiple of ``every`` above ``step``."""
    return (step // every + 1) * every


def next_call(callback: ScheduledCallback, step: int) -> int:
    """Return the env step after ``step`` at which a callback is called: the next multiple of ``every``.

    A callback with another schedule, such as several steps in a row, has a method ``next_call(step)``.
    """
    schedule: Callable[[int], int] | None = getattr(callback, "next_call", None)
    return next_multiple(step, callback.every) if schedule is None else schedule(step)


class Schedule:
    """The next call of each callback; see ``next_call``.

    Attributes:
        next: env step of the next call of any callback; infinity without callbacks.
        by_episode: whether a callback is to be called after episodes have ended.
    """

    def __init__(self, callbacks: Sequence[ScheduledCallback], step: int) -> None:
        self._due = {callback: next_call(callback, step) for callback in callbacks}
        self._by_episode: list[Any] = [callback for callback in callbacks if getattr(callback, "by_episode", False)]
        self.by_episode = bool(self._by_episode)
        self.next: float = min(self._due.values(), default=math.inf)

    def call_after_episodes(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the callbacks with a true ``by_episode`` by their method of this name: episodes have ended."""
        for callback in self._by_episode:
            callback.call_after_episodes(records, agent)

    def call(self, step: int, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the callbacks that are due."""
        for callback, due in self._due.items():
            if step >= due:
                callback.call(records, agent)
                self._due[callback] = next_call(callback, step)
        self.next = min(self._due.values(), default=math.inf)

    def call_after_reset(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Tell callbacks with a method ``call_after_reset`` that the agent has begun an episode without an env step.

        A run that reaches its last step does not begin another episode; the run that continues it does.
        """
        for callback in self._due:
            if (method := getattr(callback, "call_after_reset", None)) is not None:
                method(records, agent)

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call all callbacks at the end of the run, by their method ``call_at_end`` if they have one.

        Those with a true ``first_at_end`` (checkpoints) come first: they save the state of a run that would continue.
        """
        for callback in sorted(self._due, key=lambda each: not getattr(each, "first_at_end", False)):
            getattr(callback, "call_at_end", callback.call)(records, agent)


def run_lifetime(
    agent: Agent,
    env: gym.Env[Any, Any],
    steps: int,
    seed: int,
    record: Record,
    callbacks: Sequence[ScheduledCallback] = (),
    interrupted: Callable[[], bool] = lambda: False,
    loop_state: LoopState | None = None,
) -> Ending:
    """Run one lifetime and return how it ended; see ``stream`` for arguments and errors."""
    steps_taken = stream(agent, env, steps, seed, record, callbacks, interrupted, loop_state)
    try:
        while True:
            next(steps_taken)
    except StopIteration as ended:
        ending: Ending = ended.value
        return ending


def stream(
    agent: Agent,
    env: gym.Env[Any, Any],
    steps: int,
    seed: int,
    record: Record,
    callbacks: Sequence[ScheduledCallback] = (),
    interrupted: Callable[[], bool] = lambda: False,
    loop_state: LoopState | None = None,
) -> Generator[Step, None, Ending]:
    """Run one lifetime: stream the env through the agent, each observation once.

    ``terminated`` (the task ended) and ``truncated`` (cut off, such as by a time limit) are passed to the agent
    separately: it bootstraps from the final observation of a truncated episode only.

    Args:
        agent: agent, which learns and acts.
        env: Gymnasium env without automatic resets.
        steps: number of env steps, at least one.
        seed: seed of the env's first reset.
        record: statistics of the lifetime so far, updated in place.
        callbacks: called on their schedules.
        interrupted: called after every step; True ends the run.
        loop_state: state to continue from, updated in place.

    Yields:
        Every step, after the agent has learned from it and the next action is chosen.

    Returns:
        How the lifetime ended.

    Raises:
        EnvFailed: the env raised, or returned an observation of another shape or a reward that is no number.
        Diverged: the env returned a number that is not finite, or the agent computed one.
    """
    schedule, loop_state = Schedule(callbacks, record.step), loop_state or LoopState()
    shape = env.observation_space.shape or None
    if record.step < steps and (loop_state.ended or not loop_state.begun):
        _begin(agent, env, seed, record, schedule, loop_state)
    action, observation, faults = loop_state.action, loop_state.observation, faults_of(agent)
    while record.step < steps:
        before = observation
        observation, reward, terminated, truncated = step_env(env, action, record, shape)
        record.add(reward)
        step = Step(before, action, reward, observation, terminated, truncated)
        try:
            if terminated or truncated:
                agent.end(reward, observation, terminated)
            else:
                action = agent.step(reward, observation)
            diverged = _faulty(faults)
        except Diverged:
            if not (diverged := _faulty(faults_of(agent))):
                raise
        if terminated or truncated:
            record.end_episode()
            loop_state.ended = True  # and stays so if the reset fails: the next call of the loop tries it again
            if record.step < steps:
                observation = reset_env(env, None, record, shape)
                if not diverged:
                    action = _start(agent, observation, loop_state, record)
                loop_state.ended = False
        if diverged:
            loop_state.divergence.examine(agent, [record.step])
            if not loop_state.ended:
                action = agent.start(observation)  # the agent was re-initialised
        loop_state.action, loop_state.observation = action, observation
        if step.last and schedule.by_episode:
            schedule.call_after_episodes([record], agent)
        if record.step >= schedule.next:
            schedule.call(record.step, [record], agent)
        yield step
        if interrupted():
            break
    schedule.call_at_end([record], agent)
    return "finished" if record.step >= steps else "interrupted"


def _begin(
    agent: Agent, env: gym.Env[Any, Any], seed: int, record: Record, schedule: Schedule, loop_state: LoopState
) -> None:
    """Begin the first episode of this call of the loop, updating its state in place."""
    shape = env.observation_space.shape or None
    loop_state.observation = reset_env(env, None if loop_state.begun else seed, record, shape)
    loop_state.action = _start(agent, loop_state.observation, loop_state, record)
    if loop_state.begun:
        schedule.call_after_reset([record], agent)
    loop_state.begun, loop_state.ended = True, False


def _start(agent: Agent, observation: Any, loop_state: LoopState, record: Record) -> Any:
    """Begin an episode and return the action; an agent that diverges there is re-initialised, or raises Diverged."""
    try:
        return agent.start(observation)
    except Diverged:
        if not _faulty(faults_of(agent)):
            raise
    loop_state.divergence.examine(agent, [record.step])
    return agent.start(observation)


def _faulty(faults: Faults | None) -> bool:
    """Return whether the agent itself diverged, which the loop's divergence check handles."""
    return faults is not None and bool(faults[()])


def reset_env(env: gym.Env[Any, Any], seed: int | None, record: Record, shape: Shape) -> Any:
    """Reset an env and return its first observation, checked; see ``stream`` for errors."""
    failed = f"the env failed in reset after {record.step:,} steps"
    try:
        returned = env.reset(seed=seed)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        if isinstance(error, TypeError) and "'seed'" in str(error):
            raise WrongEnvApi(f"{failed}: reset must take seed=, as Gymnasium's does") from error
        raise failure_of_reset(failed, error) from error
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise WrongEnvApi(f"{failed}: {_RESET}, got {returned!r:.80}")
    return _check_observation(returned[0], record, shape)


def step_env(env: gym.Env[Any, Any], action: Any, record: Record, shape: Shape) -> tuple[Any, float, bool, bool]:
    """Step an env; return observation, reward, terminated and truncated, checked; see ``stream`` for errors."""
    try:
        returned = env.step(action)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        raise failure_of_step(
            f"the env failed in step {record.step + 1:,}", error, getattr(env, "action_space", None), action
        ) from error
    try:
        observation, raw_reward, terminated, truncated, _ = returned
        if type(terminated) is not bool or type(truncated) is not bool:
            terminated, truncated = flag("terminated", terminated), flag("truncated", truncated)
    except Exception as error:
        failed = f"the env failed in step {record.step + 1:,}"
        if isinstance(returned, tuple) and len(returned) == 5:
            raise EnvFailed(failed) from error
        raise WrongEnvApi(f"{failed}: {_STEP}, got {returned!r:.80}") from error
    try:
        reward = raw_reward if type(raw_reward) is float else reward_of(raw_reward)
    except Exception as error:
        raise EnvFailed(f"the env returned the reward {raw_reward!r} in step {record.step + 1:,}") from error
    try:
        observation = _check_observation(observation, record, shape)
    except (EnvFailed, Diverged) as error:
        if not (cause := about_action(getattr(env, "action_space", None), action)):
            raise
        raise type(error)(f"{error.args[0]}; it was stepped{cause}") from error.__cause__
    if not math.isfinite(reward):
        raise Diverged(f"the env returned the reward {reward} in step {record.step + 1:,}: rewards must be finite")
    return observation, reward, terminated, truncated


def failure_of_reset(failed: str, error: BaseException) -> EnvFailed:
    """Return the error for an exception of an env's reset: that of another API if a wrapper could not unpack it."""
    return WrongEnvApi(f"{failed}: {_RESET}") if is_of_other_api(error, 2) else EnvFailed(failed)


def failure_of_step(failed: str, error: BaseException, space: Any, action: Any) -> EnvFailed:
    """Return the error for an exception of an env's step, with the action if it is not in the space."""
    if is_of_other_api(error, 5):
        return WrongEnvApi(f"{failed}: {_STEP}")
    return EnvFailed(failed + about_action(space, action))


def _check_observation(observation: Any, record: Record, shape: Shape) -> Any:
    """Return an observation, as an array if its space has a shape; half a microsecond for a valid one."""
    if shape is not None and type(observation) is not np.ndarray:
        observation = _as_array(observation, record)
    if shape is not None and getattr(observation, "shape", None) != shape:
        after = f"after {record.step:,} steps"
        if hasattr(observation, "shape"):
            came = f"an observation of shape {observation.shape} {after}"
            raise EnvFailed(f"the env returned {came}: its space says {shape}")
        kind = type(observation).__name__
        wanted = f"it must be an array of shape {shape}, got {'an' if kind[0] in 'aeiou' else 'a'} {kind}"
        raise EnvFailed(f"the env returned the observation {observation!r:.80} {after}: {wanted}")
    if not isinstance(observation, np.ndarray):
        return observation
    if observation.dtype.kind != "f":
        return observation if shape is None else _as_array(observation, record)
    if not finite(observation) and (found := first_nonfinite(observation)):
        index, value = found
        where = f"at index {index} after {record.step:,} steps"
        raise Diverged(f"the env returned {value} in the observation {where}: observations must be finite")
    return observation


def _as_array(observation: Any, record: Record) -> Any:
    try:
        return observation_of(observation)
    except Exception as error:
        raise EnvFailed(f"the env returned an observation of no use after {record.step:,} steps") from error


keep_names(
    globals(),
    Monitor="ScheduledCallback",
    Callback="ScheduledCallback",
    Moment="LoopState",
    live="run_lifetime",
    next_look="next_call",
)
