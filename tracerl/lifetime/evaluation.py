"""Evaluate an agent: returns of a frozen copy over whole episodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.arguments import check_methods, check_one_lifetime
from tracerl.lifetime.callbacks import named
from tracerl.lifetime.env_closing import closing_env
from tracerl.lifetime.episodes import Copies, Episodes, ManyCopies, OneCopy
from tracerl.lifetime.loop import ScheduledCallback
from tracerl.lifetime.protocol import AgentMethods, is_stateful, reset_episode
from tracerl.lifetime.statistics import bootstrap_interval, interquartile_mean
from tracerl.nn.operations import Operations

SEED = 1_000_000  # added to the seed of a lifetime, so that its episodes are not those that it learns in
AT_ONCE = 8  # episodes at once, unless the copies need more than _LARGEST
_LARGEST = 2**28  # bytes of the state of all copies
_UNBOUNDED = 2**62  # env steps without a limit
Env = gym.Env[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """Returns of whole episodes.

    Attributes:
        returns: undiscounted return of each episode.
        lengths: its length in env steps.
        steps: env steps of these episodes; if the limit of steps ended the evaluation, that limit.
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
    env: Env | Callable[[], Env],
    episodes: int = 100,
    *,
    greedy: bool = False,
    seed: int = 0,
    steps: int | None = None,
    at_once: int = AT_ONCE,
    callbacks: Sequence[ScheduledCallback] = (),
    interrupted: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run whole episodes with a frozen copy of an agent, which itself is left as it is.

    Every episode begins from the agent's state at the call, with clear membranes. Episode k has its own seed of the env
    and its own random numbers of the policy, which depend on ``seed`` and k alone, so that the result does not depend
    on how many episodes run at once. Membranes and the running scales of observations and rewards are updated within an
    episode, weights are not. An agent without packed state, such as ``random``, is copied once and goes on from episode
    to episode, with its own random numbers.

    Args:
        agent: of one lifetime.
        env: Gymnasium env without automatic resets, other than the env that the agent learns in, for episodes one after
            another. Or a function that makes such an env, for many at once: it is called once per copy, and these envs
            are closed at the end. Where wrappers learn from the steps they see, as ``NormalizeObservation`` does, use
            ``env`` of a saved run, which has what they had learned and leaves it as it is.
        episodes: number of episodes. The results are those of episodes 0 to ``episodes`` - 1, not of the first to end.
        greedy: take the most probable actions, or the means of continuous ones, in place of samples.
        seed: from which the seeds of all episodes are derived.
        steps: end after so many env steps of the episodes in their order, with those that ended until then; None: no
            limit. With many at once, steps of later episodes are taken too, which do not count.
        at_once: largest number of episodes at once, for a function ``env`` and an agent of the fused engine that
            ``make_agent`` or a run made; others run one after another. Copies whose state is large are fewer.
        callbacks: called on their schedules, in env steps of all copies, with one record of them all.
        interrupted: called after every step of all copies; True ends the evaluation, with the first episodes without a
            gap that ended until then.

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
    episodes, seed = checks.whole("episodes", episodes, 1), checks.whole("seed", seed, 0, 2**32 - 1)
    checks.flag("greedy", greedy)
    if steps is not None:
        steps = checks.whole("steps", steps, 1)
    check_methods(agent)
    check_one_lifetime(agent)
    at_once = checks.whole("at_once", at_once, 1)
    checks.function("interrupted", interrupted)
    scheduled = _scheduled(callbacks)
    if not isinstance(env, gym.Env) and not callable(env):
        made = f": tracerl.make_env({env!r}) makes one" if isinstance(env, str) else ""
        raise ConfigError("env", f"must be a Gymnasium env, or a function that makes one, got {env!r:.200}{made}")
    copied = frozen_copy(agent, greedy=greedy)
    with ExitStack() as stack:
        limit = steps or _UNBOUNDED
        if isinstance(env, gym.Env):
            n, envs = 1, [env]
        else:
            n = _how_many(copied, min(at_once, episodes, limit))  # an episode takes a step
            envs = [stack.enter_context(closing_env(_made(env))) for _ in range(n)]
        run = Episodes(_copies(copied, n, greedy), envs, episodes, seed, limit)
        run.run(scheduled, interrupted)
    reported = run.reported()
    returns, lengths = [each.earned for each in reported], [each.length for each in reported]
    taken = sum(lengths) if len(reported) == episodes else min(limit, run.record.step)
    return Evaluation(returns, lengths, taken, greedy, run.counted())


def _scheduled(callbacks: Sequence[ScheduledCallback]) -> list[ScheduledCallback]:
    """Return the callbacks of an evaluation, which has no events; a ConfigError for any without a schedule."""
    found = list(named(callbacks).values())
    for callback in found:
        if not callable(getattr(callback, "call", None)):
            problem = f"must each be on a schedule, such as tracerl.Every(steps, function), got {callback!r:.200}"
            raise ConfigError("callbacks", problem)
    return found


def _made(make: Callable[[], Any]) -> gym.Env[Any, Any]:
    """Return the env of a function."""
    found = make()
    if not isinstance(found, gym.Env):
        raise ConfigError("env", f"must make Gymnasium envs, made {found!r:.200}")
    return found


def _how_many(agent: Any, at_once: int) -> int:
    """Return how many copies of an agent of one lifetime act at once."""
    if getattr(agent, "fused", None) is None or agent.built_from is None:
        return 1
    size: int = sum(tensor.nbytes for tensor in (agent.memory.real, agent.memory.wide))
    return max(1, min(at_once, _LARGEST // size))


def _copies(agent: Any, n: int, greedy: bool) -> Copies:
    """Return n copies of a frozen agent of one lifetime."""
    if n == 1:
        return OneCopy(agent)
    many = agent.built_from.copies(agent, n)
    many.freeze()
    if greedy:
        act_greedily(many)
    return ManyCopies(many)


def frozen_copy(agent: Any, *, greedy: bool = False) -> Any:
    """Return a copy of an agent that acts and does not learn, between two episodes.

    Raises:
        ConfigError: ``greedy`` of an agent without a distribution over actions, or an agent that cannot be copied.
    """
    try:
        copied = deepcopy(agent)
    except Exception as error:  # any code of an agent's class, or a part of it such as a lock or a file
        problem = f"must be one that copy.deepcopy can copy, got {type(agent).__name__}: {checks.described(error)}"
        raise ConfigError("agent", problem) from error
    if is_stateful(copied):
        reset_episode(copied)  # the running episode
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
