"""The base of agents that check their inputs, and that raise or skip a transition where a number is not finite."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from tracerl.config import checks
from tracerl.kernels.step_types import FIRST, MID, SKIP, TERMINATED, TRUNCATED
from tracerl.lifetime.arguments import as_numbers, not_begun, per_lifetime, steps_of
from tracerl.lifetime.divergence import Diverged, diagnose, first_nonfinite
from tracerl.lifetime.env_outputs import flag, reward_of
from tracerl.lifetime.protocol import Action, Observation, StepType
from tracerl.nn.lifetimes import Lifetimes

from .packed import PackedAgent

Array = np.ndarray[Any, Any]
ON_NONFINITE = ("raise", "skip")


def not_finite(step_types: Array, rewards: Array, observations: Observation) -> Array:
    """Return which lifetimes receive a number that is used and is not finite: bool, [lifetimes]."""
    bad: Array = (step_types != StepType.SKIP) & ~np.isfinite(observations.reshape(len(step_types), -1)).all(-1)
    return bad | ((step_types >= StepType.MID) & ~np.isfinite(rewards))


def _argument(name: str, convert: Callable[[Any], Any], value: Any) -> Any:
    """Return a converted argument; a ConfigError that names one that cannot be."""
    try:
        return convert(value)
    except TypeError as error:
        raise checks.ConfigError(name, str(error).removeprefix(f"{name} ")) from error


def _describe(lifetime: int, rewards: Array, observations: Observation) -> str:
    """Describe the first input of a lifetime that is not finite."""
    whose = f" of lifetime {lifetime}" if len(rewards) > 1 else ""
    found = first_nonfinite(observations[lifetime])
    if found is None:
        return f"the agent received the reward {rewards[lifetime]}{whose}: rewards must be finite"
    index, value = found
    return f"the agent received {value} in the observation{whose} at index {index}: observations must be finite"


class CheckedAgent(PackedAgent):
    """Base of agents whose methods raise, or skip a transition, where a number is not finite.

    A subclass adds ``_step_one`` for one lifetime and ``_advance`` for many. Both return None where they cannot
    perform a step. Only then are the inputs checked here, because the kernels check them as they read them.

    Attributes:
        head: distribution over actions; None: the agent has none.
        n_observed: numbers in an observation; None: their count is not checked.
    """

    head: Any = None
    n_observed: int | None = None

    def _pack(self, lifetimes: Lifetimes) -> None:
        """Move every buffer into the packed state; see ``PackedAgent``."""
        n = len(lifetimes.seeds)
        self._on_nonfinite = "raise"
        self._skipped = np.zeros(n, np.int64)
        # Whether the first observation of an episode was skipped, per lifetime and in any of them.
        self._start_skipped, self._any_start_skipped = np.zeros(n, np.bool_), False
        super()._pack(lifetimes)

    @property
    def on_nonfinite(self) -> str:
        """The policy for a reward or an observation that is not finite.

        ``raise`` (default): raise ``Diverged`` before the agent changes. ``skip``: skip the transition, repeat the last
        action and count it in ``skipped``. An agent that has itself diverged raises ``Diverged`` under both.
        """
        return self._on_nonfinite

    @on_nonfinite.setter
    def on_nonfinite(self, policy: str) -> None:
        self._on_nonfinite = checks.choice("on_nonfinite", policy, ON_NONFINITE)

    @property
    def skipped(self) -> Array:
        """Transitions skipped since the agent was built: int64, [*lifetimes]. They are not part of its state."""
        return self._skipped.reshape(self.lifetimes.shape)

    def _step_one(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Perform a step of the given type for the only lifetime and return the newest action.

        It returns None if the lifetime has diverged or, with nothing changed, if an input is not finite.
        """
        raise NotImplementedError(f"{type(self).__name__} must have _step_one")

    def _advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Perform a step of the given type for each of many lifetimes and return their newest actions.

        It returns None as ``_step_one`` does, if this concerns a lifetime that is not skipped.
        """
        raise NotImplementedError(f"{type(self).__name__} must have _advance")

    def _chosen(self) -> Any:
        """Return the newest action as a member of the action space; for many lifetimes an array, [lifetimes, ...]."""
        return self.head.chosen()

    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``.

        Raises:
            ConfigError: the observation has the wrong size or other values than numbers.
            Diverged: see ``on_nonfinite``.
        """
        action = None if self._any_start_skipped else self._step_one(FIRST, 0.0, observation)
        action = self._step_or_skip(FIRST, 0.0, observation) if action is None else action
        self.__dict__["in_episode"] = True  # ten times faster than nn.Module.__setattr__
        return action

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from one transition and act; see ``Agent.step``.

        Raises:
            ConfigError: no episode has begun, the observation has the wrong size or other values than numbers, or the
                reward is no number.
            Diverged: see ``on_nonfinite``.
        """
        if not self.in_episode:
            raise not_begun("step")
        if type(reward) is not float:
            reward = _argument("reward", reward_of, reward)
        action = None if self._any_start_skipped else self._step_one(MID, reward, observation)
        return self._step_or_skip(MID, reward, observation) if action is None else action

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition and clear the episode; see ``Agent.end``. It raises as ``step``."""
        if not self.in_episode:
            raise not_begun("end")
        if terminated is not True and terminated is not False:
            terminated = _argument("terminated", partial(flag, "terminated"), terminated)
        if type(reward) is not float:
            reward = _argument("reward", reward_of, reward)
        step_type = TERMINATED if terminated else TRUNCATED
        if self._any_start_skipped or self._step_one(step_type, reward, observation) is None:
            self._step_or_skip(step_type, reward, observation)
        self.__dict__["in_episode"] = False

    def advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Perform a step of the given type for each of many lifetimes; see ``ManyAgents.advance``.

        Raises:
            ConfigError: naming an argument of another shape or of other values.
            Diverged: naming the lifetime; see ``on_nonfinite``. A lifetime that diverged can be skipped.
        """
        n = len(self.lifetimes.seeds)
        step_types, rewards = steps_of(step_types, rewards, n)
        observations = per_lifetime("observations", observations, n)
        if self._any_start_skipped:
            self._check_size(observations, n)
        newest = None if self._any_start_skipped else self._advance(step_types, rewards, observations)
        while newest is None:
            step_types = self._admissible(step_types, rewards, observations)
            newest = self._advance(step_types, rewards, observations)
        return newest

    def _check_size(self, observation: Observation, lifetimes: int) -> None:
        """Raise a ConfigError for an observation of another size, before an episode is skipped or begun."""
        if self.n_observed is not None:
            as_numbers(observation, self.n_observed * lifetimes)

    def _step_or_skip(self, step_type: int, reward: float, observation: Observation) -> Action:
        """Perform the step of the only lifetime that is admitted, and return the newest action."""
        action = None
        self._check_size(observation, 1)
        while action is None:
            as_many = np.array([step_type], np.int8), np.array([reward], np.float64), np.asarray(observation)[None]
            step_type = int(self._admissible(*as_many)[0])
            action = self._chosen() if step_type == SKIP else self._step_one(step_type, reward, observation)
        return action

    @torch.inference_mode()
    def _admissible(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Return the step types, int8, [lifetimes], and reset the episodes whose last transition is skipped.

        They are SKIP where a transition is skipped, and FIRST where an observation begins the episode whose first one
        was skipped.

        Raises:
            Diverged: a lifetime that is not skipped has diverged, or an input is not finite and the policy is
                ``raise``; names the reward, or the observation's index and value.
        """
        diverged = np.flatnonzero(np.atleast_1d(self.faults) * (step_types != StepType.SKIP))
        if diverged.size:
            raise Diverged(diagnose(self, None, int(diverged[0]) if self.lifetimes.shape else None))
        bad = not_finite(step_types, rewards, observations)
        if bad.any() and self._on_nonfinite == "raise":
            raise Diverged(_describe(int(bad.argmax()), rewards, observations))
        self._skipped += bad
        ending, late = step_types >= StepType.TERMINATED, self._start_skipped & (step_types == StepType.MID)
        kept = np.where(late, StepType.FIRST, step_types)
        kept[bad | (self._start_skipped & ending)] = StepType.SKIP
        still = bad & (late | (step_types == StepType.FIRST))
        self._start_skipped = np.where(step_types == StepType.SKIP, self._start_skipped, still)
        self._any_start_skipped = bool(self._start_skipped.any())
        unprocessed = ending & (kept == StepType.SKIP)
        if unprocessed.any():
            self._clear(torch.from_numpy(unprocessed.reshape(self.lifetimes.shape)).to(self.lifetimes.device))
        return kept.astype(np.int8)
