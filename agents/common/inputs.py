"""How an agent handles a reward or an observation that is not finite."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.kernels.step_types import FIRST, MID, SKIP, TERMINATED, TRUNCATED
from tracerl.lifetime.arguments import not_begun
from tracerl.lifetime.divergence import Diverged, diagnose, first_nonfinite
from tracerl.lifetime.protocol import Action, Observation, StepType
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

Array = np.ndarray[Any, Any]
POLICIES = ("raise", "skip")


class InputCheck:
    """The policy of an agent for inputs that are not finite, and the count of skipped transitions.

    Attributes:
        skipped: transitions skipped since the agent was built, int64, [lifetimes].
        waiting: whether the first observation of an episode was skipped in any lifetime. The next one then begins the
            episode.
    """

    def __init__(self, lifetimes: int) -> None:
        """Use the policy ``raise``."""
        self.policy = "raise"
        self.skipped = np.zeros(lifetimes, np.int64)
        self.waiting = False
        self._waits = np.zeros(lifetimes, np.bool_)

    @property
    def policy(self) -> str:
        """``raise``: raise ``Diverged``. ``skip``: skip the transition and repeat the last action."""
        return self._policy

    @policy.setter
    def policy(self, policy: str) -> None:
        self._policy = checks.choice("on_nonfinite", policy, POLICIES)

    def admit(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Return the step types without the transitions that are not finite.

        Args:
            step_types: step types, int8, [lifetimes].
            rewards: of the last actions, float64, [lifetimes].
            observations: [lifetimes, ...].

        Returns:
            int8, [lifetimes]: SKIP where a transition is skipped, FIRST where an observation begins the episode whose
            first one was skipped.

        Raises:
            Diverged: the policy is ``raise``; names the reward, or the observation's index and value.
        """
        bad = not_finite(step_types, rewards, observations)
        if bad.any() and self.policy == "raise":
            raise Diverged(_describe(int(bad.argmax()), rewards, observations))
        self.skipped += bad
        stepping, waits = step_types == StepType.MID, self._waits
        kept = np.where(waits & stepping, StepType.FIRST, step_types)
        kept[bad | (waits & (step_types >= StepType.TERMINATED))] = StepType.SKIP
        self._waits = np.where(
            step_types == StepType.SKIP, waits, bad & ((step_types == StepType.FIRST) | (waits & stepping))
        )
        self.waiting = bool(self._waits.any())
        return kept.astype(np.int8)


def not_finite(step_types: Array, rewards: Array, observations: Observation) -> Array:
    """Return which lifetimes receive a number that is used and is not finite: bool, [lifetimes]."""
    bad: Array = (step_types != StepType.SKIP) & ~np.isfinite(observations.reshape(len(step_types), -1)).all(-1)
    return bad | ((step_types >= StepType.MID) & ~np.isfinite(rewards))


def _describe(lifetime: int, rewards: Array, observations: Observation) -> str:
    """Describe the first input of a lifetime that is not finite."""
    whose = f" of lifetime {lifetime}" if len(rewards) > 1 else ""
    found = first_nonfinite(observations[lifetime])
    if found is None:
        return f"the agent received the reward {rewards[lifetime]}{whose}: rewards must be finite"
    index, value = found
    return f"the agent received {value} in the observation{whose} at index {index}: observations must be finite"


class CheckedAgent(StateModule):
    """Base of agents whose methods raise, or skip a transition, where a number is not finite.

    A subclass adds ``_carry_out`` for one lifetime and ``_advance`` for many. Both return None where they cannot
    perform a step. Only then are the inputs checked here, because the kernels check them as they read them.

    Attributes:
        lifetimes: maker of the agent's tensors.
        inputs: how the agent handles rewards and observations that are not finite.
        in_episode: ``start`` was called and ``end`` was not; for one lifetime.
    """

    lifetimes: Lifetimes
    inputs: InputCheck
    in_episode = False

    @property
    def on_nonfinite(self) -> str:
        """The policy for a reward or an observation that is not finite.

        ``raise`` (default): raise ``Diverged`` before the agent changes. ``skip``: skip the transition, repeat the last
        action and count it in ``skipped``. An agent that has itself diverged raises ``Diverged`` under both.
        """
        return self.inputs.policy

    @on_nonfinite.setter
    def on_nonfinite(self, policy: str) -> None:
        self.inputs.policy = policy

    @property
    def skipped(self) -> Array:
        """Transitions skipped since the agent was built: int64, [*lifetimes]. They are not part of its state."""
        return self.inputs.skipped.reshape(self.lifetimes.shape)

    @property
    def faults(self) -> Array:
        """Divergence flags: 1 where a number of the lifetime is no longer finite, else 0: int64, [*lifetimes]."""
        raise NotImplementedError

    def _carry_out(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Perform a step of the given type for the only lifetime and return the newest action.

        Returns:
            None where the lifetime has diverged, or, with nothing changed, where an input is not finite.
        """
        raise NotImplementedError

    def _advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Perform a step of the given type for each of many lifetimes and return their newest actions.

        Returns:
            None where a lifetime that is not skipped has diverged, or, with nothing changed, where one of its inputs is
            not finite.
        """
        raise NotImplementedError

    def _clear(self, mask: Tensor | None) -> None:
        """Reset the state of an episode, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        raise NotImplementedError

    def _chosen(self) -> Any:
        """Return the newest action as a member of the action space; for many lifetimes an array, [lifetimes, ...]."""
        raise NotImplementedError

    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``.

        Raises:
            Diverged: see ``on_nonfinite``.
        """
        action = None if self.inputs.waiting else self._carry_out(FIRST, 0.0, observation)
        action = self._step_admitted(FIRST, 0.0, observation) if action is None else action
        self.__dict__["in_episode"] = True  # ten times faster than nn.Module.__setattr__
        return action

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from one transition and act; see ``Agent.step``.

        Raises:
            ConfigError: no episode has begun, or the observation has the wrong size.
            Diverged: see ``on_nonfinite``.
        """
        if not self.in_episode:
            raise not_begun("step")
        action = None if self.inputs.waiting else self._carry_out(MID, reward, observation)
        return self._step_admitted(MID, reward, observation) if action is None else action

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition and clear the episode; see ``Agent.end``.

        Raises:
            ConfigError: as ``step``.
            Diverged: see ``on_nonfinite``.
        """
        if not self.in_episode:
            raise not_begun("end")
        step_type = TERMINATED if terminated else TRUNCATED
        if self.inputs.waiting or self._carry_out(step_type, reward, observation) is None:
            self._step_admitted(step_type, reward, observation)
        self.__dict__["in_episode"] = False

    def advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Perform a step of the given type for each of many lifetimes; see ``ManyAgents.advance``.

        Raises:
            Diverged: naming the lifetime; see ``on_nonfinite``. A lifetime that diverged can be skipped.
        """
        step_types, rewards, observations = np.asarray(step_types), np.asarray(rewards), np.asarray(observations)
        newest = None if self.inputs.waiting else self._advance(step_types, rewards, observations)
        while newest is None:
            step_types = self._admit(step_types, rewards, observations)
            newest = self._advance(step_types, rewards, observations)
        return newest

    def _step_admitted(self, step_type: int, reward: float, observation: Observation) -> Action:
        """Perform the step of the only lifetime that ``inputs`` admits, and return the newest action."""
        action = None
        while action is None:
            as_many = np.array([step_type], np.int8), np.array([reward], np.float64), np.asarray(observation)[None]
            step_type = int(self._admit(*as_many)[0])
            action = self._chosen() if step_type == SKIP else self._carry_out(step_type, reward, observation)
        return action

    @torch.inference_mode()
    def _admit(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Return the admitted step types, [lifetimes], and reset the episodes whose last transition is skipped.

        Raises:
            Diverged: a lifetime that is not skipped has diverged, or ``inputs`` raises.
        """
        diverged = np.flatnonzero(np.atleast_1d(self.faults) * (step_types != StepType.SKIP))
        if diverged.size:
            raise Diverged(diagnose(self, None, int(diverged[0]) if self.lifetimes.shape else None))
        left = self.inputs.admit(step_types, rewards, observations)
        unprocessed = (step_types >= StepType.TERMINATED) & (left == StepType.SKIP)
        if unprocessed.any():
            self._clear(torch.from_numpy(unprocessed.reshape(self.lifetimes.shape)).to(self.lifetimes.device))
        return left
