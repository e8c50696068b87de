"""Evaluate an agent: returns of a frozen copy over whole episodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import Callback, LoopState, run_lifetime
from tracerl.lifetime.protocol import AgentMethods, Stateful
from tracerl.lifetime.record import Record
from tracerl.lifetime.statistics import bootstrap_interval, interquartile_mean
from tracerl.nn.operations import OperationCounter, Operations

SEED = 1_000_000  # added to the seed of a lifetime, so that its episodes are not those that it learns in
_UNBOUNDED = 2**62  # env steps without a limit


@dataclass(frozen=True)
class Evaluation:
    """Returns of whole episodes.

    Attributes:
        returns: undiscounted return of each episode.
        lengths: its length in env steps.
        steps: env steps in all, those of an unfinished last episode included.
        greedy: whether the most probable actions were taken.
        operations: cost of a decision by network of spiking layers, ``policy`` and ``value``; see
            ``tracerl.nn.operations``. A deployed actor needs the policy alone.
    """

    returns: Sequence[float]
    lengths: Sequence[int]
    steps: int
    greedy: bool
    operations: Mapping[str, Operations] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean return; NaN without an episode."""
        return fmean(self.returns) if self.returns else math.nan

    @property
    def mean_length(self) -> float:
        """Mean length in env steps; NaN without an episode."""
        return fmean(self.lengths) if self.lengths else math.nan

    @property
    def iqm(self) -> float:
        """Interquartile mean of the returns; NaN without an episode."""
        return interquartile_mean(self.returns) if self.returns else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95% bootstrap interval of the mean; NaN with fewer than two episodes."""
        return bootstrap_interval(self.returns, statistic="mean") if len(self.returns) > 1 else (math.nan, math.nan)

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers, for a JSON file; None in place of NaN."""
        low, high = self.interval()
        found: dict[str, Any] = {"episodes": len(self.returns), "steps": self.steps, "greedy": self.greedy}
        numbers = {"mean": self.mean, "interval_low": low, "interval_high": high, "iqm": self.iqm}
        numbers |= {"lowest": min(self.returns, default=math.nan), "highest": max(self.returns, default=math.nan)}
        numbers["mean_length"] = self.mean_length
        found |= {name: None if math.isnan(number) else number for name, number in numbers.items()}
        found["operations"] = {name: own.as_dict() for name, own in self.operations.items()}
        return found | {"returns": list(self.returns), "lengths": list(self.lengths)}


def evaluate(
    agent: AgentMethods,
    env: gym.Env[Any, Any],
    episodes: int = 100,
    *,
    greedy: bool = False,
    seed: int = 0,
    steps: int | None = None,
    callbacks: Sequence[Callback] = (),
    interrupted: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run whole episodes with a frozen copy of an agent, which itself is left as it is.

    The copy acts with the agent's engine and continues its random numbers. Its membranes and the running scales of
    observations and rewards are updated, its weights are not. An agent without ``freeze``, such as ``random``, is
    copied and run as it is.

    Args:
        agent: of one lifetime.
        env: Gymnasium env without automatic resets, other than the env that the agent learns in.
        episodes: number of episodes.
        greedy: take the most probable actions, or the means of continuous ones, in place of samples.
        seed: of the env's first reset.
        steps: end after so many env steps, with the episodes until then; None: no limit.
        callbacks: called on their schedules.
        interrupted: called after every step; True ends the evaluation, with the episodes until then.

    Raises:
        ConfigError: naming the argument.
        EnvFailed: the env raised an exception, or returned values outside its spaces.
        Diverged: a number is not finite.

    Examples:
        >>> import tracerl
        >>> env = tracerl.make_env("CartPole")
        >>> agent = tracerl.make_agent(env)
        >>> found = tracerl.evaluate(agent, tracerl.make_env("CartPole"), episodes=3)
        >>> len(found.returns), found.mean > 0
        (3, True)
    """
    checks.whole("episodes", episodes, 1)
    checks.flag("greedy", greedy)
    checks.whole("seed", seed, 0, 2**32 - 1)
    if steps is not None:
        checks.whole("steps", steps, 1)
    if not isinstance(agent, AgentMethods):
        raise ConfigError("agent", f"must be the agent of one lifetime, with start, step and end, got {agent!r}")
    copied = frozen_copy(agent, greedy=greedy)
    returns, lengths = list[float](), list[int]()

    def keep(lifetime: int, step: int, earned: float, length: int) -> None:
        returns.append(earned)
        lengths.append(length)

    def finished() -> bool:
        return len(returns) >= episodes or interrupted()

    record, loop_state, counter = Record(keep=keep), LoopState(), OperationCounter(copied)
    run_lifetime(copied, env, steps or _UNBOUNDED, seed, record, [*callbacks, counter], finished, loop_state)
    decisions = record.step + (not loop_state.ended)  # the next action is chosen unless the last episode has ended
    return Evaluation(returns, lengths, record.step, greedy, counter.per_decision(decisions))


def frozen_copy(agent: Any, *, greedy: bool = False) -> Any:
    """Return a copy of an agent that acts and does not learn, between two episodes.

    Raises:
        ConfigError: ``greedy`` of an agent without a distribution over actions.
    """
    copied = deepcopy(agent)
    if isinstance(copied, Stateful):
        copied.abandon()  # the running episode
    if hasattr(copied, "freeze"):
        copied.freeze()
    if greedy:
        act_greedily(copied)
    return copied


def act_greedily(agent: Any) -> None:
    """Make an agent take the most probable actions; a ConfigError for one without a distribution over actions."""
    try:
        agent.act_greedily()
    except (AttributeError, ValueError) as error:
        problem = f"needs an agent with a distribution over actions, got {type(agent).__name__}"
        raise ConfigError("greedy", problem) from error
