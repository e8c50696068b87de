"""One lifetime from Python, step by step or to its end; see ``tracerl.live``."""

import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.moved import keep_names
from tracerl.lifetime.arguments import check_methods, check_one_lifetime
from tracerl.lifetime.callbacks import Callback, Events, RunState, named
from tracerl.lifetime.divergence import Diverged, DivergenceCheck
from tracerl.lifetime.equal_rewards import reward_check
from tracerl.lifetime.first_steps import FirstStepsCheck
from tracerl.lifetime.loop import LoopState, ScheduledCallback, Step, stream
from tracerl.lifetime.protocol import Agent, AgentMethods, ManyAgents, is_stateful, reset_episode
from tracerl.lifetime.record import Marker, Milestone, Record
from tracerl.lifetime.statistics import counted


@dataclass(eq=False)
class Every:
    """A callback of ``live`` that calls a function on a schedule.

    Attributes:
        every: env steps between two calls. The last call is at the end of the lifetime.
        function: called with the lifetime's record and its agent.
    """

    every: int
    function: Callable[[Record, Any], None]
    _seen: tuple[Record, int] | None = field(default=None, init=False, repr=False)  # record and step of the last call

    def __post_init__(self) -> None:
        checks.whole("every", self.every, 1)
        checks.function("function", self.function)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the function once per step of a lifetime; see ``Callback.call``."""
        record = records[0]
        if self._seen is None or self._seen[0] is not record or self._seen[1] != record.step:
            self._seen = record, record.step
            self.function(record, agent)


class _Monitor:
    """A callback with the method names of tracerl 0.1: ``look`` and, optionally, ``next_look`` and ``look_at_last``."""

    def __init__(self, monitor: Any) -> None:
        self.every: int = monitor.every
        for name, previous in (("call", "look"), ("next_call", "next_look"), ("call_at_end", "look_at_last")):
            if hasattr(monitor, previous):
                setattr(self, name, getattr(monitor, previous))


def _as_callback(callback: Any) -> Callback | ScheduledCallback:
    """Return a callback of the current or the previous protocol as one of the current."""
    if callable(getattr(callback, "look", None)) and not callable(getattr(callback, "call", None)):
        warnings.warn("a callback's look is now call(records, agent)", DeprecationWarning, stacklevel=4)
        return cast(ScheduledCallback, _Monitor(callback))
    found: Callback | ScheduledCallback = callback
    return found


class Lifetime(Iterator[Step]):
    """One lifetime of an agent in an env: an iterator over its steps, of which none is kept.

    Attributes:
        agent: the agent, which learns.
        env: the env.
        record: steps, episodes, the last 100 returns and milestones, current after every step.
    """

    def __init__(
        self,
        agent: AgentMethods,
        env: gym.Env[Any, Any],
        steps: int,
        seed: int,
        callbacks: Sequence[Callback | ScheduledCallback],
        milestones: Sequence[str],
        on_nonfinite: str,
    ) -> None:
        steps, seed = checks.whole("steps", steps, 1), checks.whole("seed", seed, 0, 2**32 - 1)
        for name, given in (("callbacks", callbacks), ("milestones", milestones)):
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise checks.ConfigError(name, f"must be a list, got {given!r:.200}")
        check_methods(agent)
        check_one_lifetime(agent)
        if not all(hasattr(env, name) for name in ("reset", "step", "observation_space")):
            made = f": tracerl.make_env({env!r}) makes one" if isinstance(env, str) else ""
            raise checks.ConfigError("env", f"must be a Gymnasium env, got {env!r}{made}")
        self.agent, self.env, self.record = agent, env, Record([Milestone.parse(name) for name in milestones])
        self._events = Events(RunState(agent, [self.record], steps), named([_as_callback(each) for each in callbacks]))
        self._callbacks: list[ScheduledCallback] = [
            Marker(),
            *reward_check(agent),
            FirstStepsCheck(),
            *self._events.scheduled,
            self._events,
        ]
        if self._events.by_episode:
            self.record.keep = self._events.keep
        self._seed = seed
        self._loop_state = LoopState(divergence=DivergenceCheck(on_nonfinite))
        self._loop_state.divergence.store_initial_state(agent)
        if is_stateful(agent):
            reset_episode(agent)  # the unfinished episode of an earlier run
        self._failure: Exception | None = None
        self._steps, self._stream = steps, self._begin(steps)

    def _begin(self, steps: int) -> Generator[Step, None, None]:
        """Take the steps, with the callbacks."""
        agent = cast(Agent, self.agent)  # the loop calls start, step and end only
        events, more = self._events, (self._seed, self.record, self._callbacks)
        events.run.steps, events.run.stopped, events.failure = steps, None, None
        status, self._failure = "failed", None
        try:
            events.start()
            if not events.stopping:
                yield from stream(agent, self.env, steps, *more, lambda: events.stopping, self._loop_state)
            status = "failed" if events.failure else "finished"
        except (GeneratorExit, KeyboardInterrupt):
            status = "interrupted"
            raise
        except Exception as error:
            status, self._failure = "diverged" if isinstance(error, Diverged) else "failed", error
            raise
        finally:
            events.end(status)
        if events.failure is not None:
            self._failure = events.failure
            raise events.failure

    def __next__(self) -> Step:
        """Take one env step.

        Raises:
            StopIteration: all steps are taken.
            EnvFailed: the env raised an exception, or returned values outside its spaces.
            Diverged: a number is not finite.
            CallbackFailed: a callback raised an exception. The env step is complete, and ``go_on`` continues.

        After an error it raises the same one, until ``go_on`` continues.
        """
        try:
            return next(self._stream)
        except StopIteration:
            self._raise_failure()
            raise

    def finish(self) -> Record:
        """Take the remaining steps and return the record; see ``__next__`` for errors."""
        for _ in self._stream:
            pass
        self._raise_failure()
        return self.record

    def _raise_failure(self) -> None:
        """Raise the error that ended the lifetime before its last step, if there is one."""
        if self._failure is not None:
            raise self._failure

    def go_on(self, steps: int) -> "Lifetime":
        """Extend the lifetime by more env steps, within the same episode, and return it."""
        more = checks.whole("steps", steps, 1)
        self._stream.close()
        self._steps += more
        self._stream = self._begin(self._steps)
        return self

    def __repr__(self) -> str:
        """Return steps, episodes and the mean return."""
        mean = self.record.mean_return(partial=True)
        earned = "no episode yet" if math.isnan(mean) else f"mean return {mean:.1f}"
        steps, episodes = counted(self._steps, "step"), counted(self.record.episodes, "episode")
        return f"Lifetime({self.record.step:,} of {steps}, {episodes}, {earned})"


def live(
    agent: AgentMethods,
    env: gym.Env[Any, Any],
    steps: int,
    *,
    seed: int = 0,
    callbacks: Sequence[Callback | ScheduledCallback] = (),
    milestones: Sequence[str] = (),
    on_nonfinite: str = "freeze",
) -> Lifetime:
    """Run one lifetime, as an iterator of step records, or to its end with ``finish``.

    Args:
        agent: of one lifetime, with the three methods of ``tracerl.AgentMethods``. It learns at every step.
        env: Gymnasium env without automatic resets.
        steps: number of env steps.
        seed: seed of the env's first reset. The agent has its own, an argument of ``make_agent``.
        callbacks: ``tracerl.Callback`` by event, ``Every`` on a schedule, or any object with ``every`` and ``call``.
        milestones: such as ``w20>=475``: the step at which the mean of the last 20 returns first reaches 475.
        on_nonfinite: ``freeze`` or ``stop``: raise; ``reset_life``: re-initialise the agent and continue.

    Raises:
        ConfigError: naming the argument.

    Examples:
        >>> import tracerl
        >>> env = tracerl.make_env("CartPole")
        >>> lifetime = tracerl.live(tracerl.make_agent(env), env, steps=200)
        >>> sum(step.reward for step in lifetime)
        200.0
        >>> lifetime.record.episodes == len(lifetime.record.returns)
        True
    """
    return Lifetime(agent, env, steps, seed, callbacks, milestones, on_nonfinite)


keep_names(globals(), Life="Lifetime")
