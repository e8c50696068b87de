"""One lifetime from Python, step by step or to its end; see ``tracerl.live``."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym

from tracerl.config import checks
from tracerl.lifetime.divergence import DivergenceCheck
from tracerl.lifetime.equal_rewards import reward_check
from tracerl.lifetime.loop import Callback, Ending, LoopState, Step, stream
from tracerl.lifetime.protocol import Agent, AgentMethods, ManyAgents, Stateful
from tracerl.lifetime.record import Marker, Milestone, Record


@dataclass(eq=False)
class Every:
    """Call a function on a schedule: a callback of ``live``.

    Attributes:
        every: env steps between two calls; it is called at the end too, once where that is a multiple of them.
        function: called with the lifetime's record and its agent.
    """

    every: int
    function: Callable[[Record, Any], None]
    _seen: tuple[Record, int] | None = field(default=None, init=False, repr=False)  # at the last call

    def __post_init__(self) -> None:
        """Check the schedule."""
        checks.whole("every", self.every, 1)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the function, unless it has seen this step of this lifetime; see ``Callback.call``."""
        record = records[0]
        if self._seen is None or self._seen[0] is not record or self._seen[1] != record.step:
            self._seen = record, record.step
            self.function(record, agent)


class Lifetime(Iterator[Step]):
    """One lifetime of an agent in an env: an iterator over its steps, of which none is kept.

    Attributes:
        agent: lifetimes it.
        env: that it is lived in.
        record: steps, episodes, the last 100 returns, milestones; up to date at every step.
    """

    def __init__(
        self,
        agent: AgentMethods,
        env: gym.Env[Any, Any],
        steps: int,
        seed: int,
        callbacks: Sequence[Callback],
        milestones: Sequence[str],
        on_nonfinite: str,
    ) -> None:
        """Begin; see ``live``."""
        checks.whole("steps", steps, 1)
        checks.whole("seed", seed, 0, 2**32 - 1)
        for step_type in ("start", "step", "end"):
            if not callable(getattr(agent, step_type, None)):
                raise checks.ConfigError("agent", f"must have the methods start, step and end, got {agent!r}")
        if not all(hasattr(env, name) for name in ("reset", "step", "observation_space")):
            made = f": tracerl.make_env({env!r}) makes one" if isinstance(env, str) else ""
            raise checks.ConfigError("env", f"must be a Gymnasium env, got {env!r}{made}")
        for callback in callbacks:
            if not callable(getattr(callback, "look", None)):
                wanted = "tracerl.Every(steps, function), or what has every and look(records, agent)"
                raise checks.ConfigError("callbacks", f"must each be {wanted}, got {callback!r}")
        self.agent, self.env, self.record = agent, env, Record([Milestone.parse(name) for name in milestones])
        self._callbacks: list[Callback] = [Marker(), *reward_check(agent), *callbacks]
        self._seed = seed
        self._loop_state = LoopState(divergence=DivergenceCheck(on_nonfinite))
        self._loop_state.divergence.remember(agent)
        if isinstance(agent, Stateful):
            agent.abandon()  # an episode that an earlier lifetime left unfinished
        self._steps, self._lived = steps, self._stream(steps)

    def _stream(self, steps: int) -> Generator[Step, None, Ending]:
        loop_state, callbacks = self._loop_state, self._callbacks
        agent = cast(Agent, self.agent)  # the loop asks for the methods alone
        return stream(agent, self.env, steps, self._seed, self.record, callbacks, loop_state=loop_state)

    def __next__(self) -> Step:
        """Live one env step.

        Raises:
            StopIteration: all steps are lived.
            EnvFailed: the env raised, or handed out what is not of its spaces.
            Diverged: a number is not finite.
        """
        return next(self._lived)

    def finish(self) -> Record:
        """Live the steps that are left and return the record."""
        for _ in self._lived:
            pass
        return self.record

    def go_on(self, steps: int) -> "Lifetime":
        """Live on, in the same episode, for more steps than were asked for.

        Args:
            steps: more env steps.

        Returns:
            The lifetime itself.
        """
        checks.whole("steps", steps, 1)
        self._lived.close()
        self._steps += steps
        self._lived = self._stream(self._steps)
        return self

    def __repr__(self) -> str:
        """Say how far the lifetime has come and what it earned."""
        mean = self.record.mean_return(partial=True)
        earned = "no episode yet" if math.isnan(mean) else f"mean return {mean:.1f}"
        return f"Lifetime({self.record.step:,} of {self._steps:,} steps, {self.record.episodes} episodes, {earned})"


def live(
    agent: AgentMethods,
    env: gym.Env[Any, Any],
    steps: int,
    *,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    milestones: Sequence[str] = (),
    on_nonfinite: str = "freeze",
) -> Lifetime:
    """Live one lifetime: an iterator of step records, or to the end with ``finish``.

    Args:
        agent: anything with the three methods of ``tracerl.AgentMethods``; it learns as it lifetimes.
        env: a Gymnasium env that does not reset itself.
        steps: env steps to live.
        seed: of the env's first reset; that of the agent was given to ``make_agent``.
        callbacks: look at the lifetime on schedules of their own: ``Every``, or any ``Callback``.
        milestones: such as ``w20>=475``: the step at which the mean of the last 20 returns first reaches 475.
        on_nonfinite: ``freeze`` or ``stop``: raise; ``reset_life``: begin anew, its steps counting on.

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
