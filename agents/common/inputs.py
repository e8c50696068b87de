"""What an agent does where it is handed a reward or an observation that is not finite."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.lifetime.arguments import not_begun
from tracerl.lifetime.divergence import Diverged, diagnose, first_nonfinite
from tracerl.lifetime.protocol import Action, Observation, StepType
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

Array = np.ndarray[Any, Any]
SKIP, START, STEP, TERMINATED, TRUNCATED = (
    int(step_type) for step_type in StepType
)  # an enum costs ten times the call
POLICIES = ("raise", "skip")


class InputCheck:
    """The policy of an agent for inputs that are not finite, and what came of it.

    Attributes:
        skipped: transitions left out since the agent was built, int64, [lifetimes].
        waiting: whether the first observation of an episode was left out in any lifetime: the next one begins it.
    """

    def __init__(self, lifetimes: int) -> None:
        """Start with the policy ``raise``."""
        self.policy = "raise"
        self.skipped = np.zeros(lifetimes, np.int64)
        self.waiting = False
        self._waits = np.zeros(lifetimes, np.bool_)

    @property
    def policy(self) -> str:
        """``raise``: raise ``Diverged``. ``skip``: leave the transition out and hold the last action."""
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
            int8, [lifetimes]: SKIP where a transition is left out, START where an observation begins the episode
            whose first one was left out.

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
    """Return which lifetimes are handed a number that is not finite, of those that are read: bool, [lifetimes]."""
    bad: Array = (step_types != StepType.SKIP) & ~np.isfinite(observations.reshape(len(step_types), -1)).all(-1)
    return bad | ((step_types >= StepType.MID) & ~np.isfinite(rewards))


def _describe(lifetime: int, rewards: Array, observations: Observation) -> str:
    """Name the first number handed to a lifetime that is not finite."""
    whose = f" of lifetime {lifetime}" if len(rewards) > 1 else ""
    found = first_nonfinite(observations[lifetime])
    if found is None:
        return f"the agent was handed the reward {rewards[lifetime]}{whose}: rewards must be finite"
    index, value = found
    return f"the agent was handed {value} in the observation{whose} at index {index}: observations must be finite"


class CheckedAgent(StateModule):
    """Base of agents whose methods raise, or leave a transition out, where a number is not finite.

    A class of agents adds ``_carry_out`` for one lifetime and ``_advance`` for many. Both return None where they are
    kept from a step, and only then the inputs are looked at here: kernels check them on the way.

    Attributes:
        lifetimes: maker of the agent's tensors.
        inputs: what the agent does about rewards and observations that are not finite.
        in_episode: ``start`` was called and ``end`` was not; of one lifetime.
    """

    lifetimes: Lifetimes
    inputs: InputCheck
    in_episode = False

    @property
    def on_nonfinite(self) -> str:
        """What follows a reward or an observation that is not finite.

        ``raise`` (default): ``Diverged``, before anything of the agent changes. ``skip``: the transition is left out,
        the last action held, and ``skipped`` counts it. An agent that itself diverged raises under both.
        """
        return self.inputs.policy

    @on_nonfinite.setter
    def on_nonfinite(self, policy: str) -> None:
        self.inputs.policy = policy

    @property
    def skipped(self) -> Array:
        """Transitions left out since the agent was built, no part of its state: int64, [*lifetimes]."""
        return self.inputs.skipped.reshape(self.lifetimes.shape)

    @property
    def faults(self) -> Array:
        """1 where a number of the lifetime itself stopped being finite, else 0: int64, [*lifetimes]."""
        raise NotImplementedError

    def _carry_out(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Carry out a step type for the only lifetime and return the newest action.

        Returns:
            None where the lifetime has diverged, or, with nothing changed, where an input is not finite.
        """
        raise NotImplementedError

    def _advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Carry out one step type for each of many lifetimes and return their newest actions.

        Returns:
            None where a lifetime that is not skipped has diverged, or, with nothing changed, where one of its inputs is
            not finite.
        """
        raise NotImplementedError

    def _clear(self, mask: Tensor | None) -> None:
        """Clear what belongs to an episode, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        raise NotImplementedError

    def _chosen(self) -> Any:
        """Return the newest action as the env's action space has it; of many lifetimes an array, [lifetimes, ...]."""
        raise NotImplementedError

    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``.

        Raises:
            Diverged: see ``on_nonfinite``.
        """
        action = None if self.inputs.waiting else self._carry_out(START, 0.0, observation)
        action = self._answer(START, 0.0, observation) if action is None else action
        self.__dict__["in_episode"] = True  # a tenth of what nn.Module takes to set it
        return action

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from one transition and act; see ``Agent.step``.

        Raises:
            ConfigError: no episode has begun, or the observation has another number of numbers.
            Diverged: see ``on_nonfinite``.
        """
        if not self.in_episode:
            raise not_begun("step")
        action = None if self.inputs.waiting else self._carry_out(STEP, reward, observation)
        return self._answer(STEP, reward, observation) if action is None else action

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
            self._answer(step_type, reward, observation)
        self.__dict__["in_episode"] = False

    def advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Carry out one step type for each of many lifetimes; see ``ManyAgents.advance``.

        Raises:
            Diverged: naming the lifetime; see ``on_nonfinite``. A lifetime that diverged can be skipped.
        """
        step_types, rewards, observations = np.asarray(step_types), np.asarray(rewards), np.asarray(observations)
        newest = None if self.inputs.waiting else self._advance(step_types, rewards, observations)
        while newest is None:
            step_types = self._admit(step_types, rewards, observations)
            newest = self._advance(step_types, rewards, observations)
        return newest

    def _answer(self, step_type: int, reward: float, observation: Observation) -> Action:
        """Carry out what ``inputs`` leaves of a step of the only lifetime, and return the newest action."""
        action = None
        while action is None:
            as_many = np.array([step_type], np.int8), np.array([reward], np.float64), np.asarray(observation)[None]
            step_type = int(self._admit(*as_many)[0])
            action = self._chosen() if step_type == SKIP else self._carry_out(step_type, reward, observation)
        return action

    @torch.inference_mode()
    def _admit(self, step_types: Array, rewards: Array, observations: Observation) -> Array:
        """Return the step types that can be carried out, [lifetimes], and clear the episodes whose last one cannot.

        Raises:
            Diverged: a lifetime that is not skipped has diverged, or ``inputs`` raises.
        """
        diverged = np.flatnonzero(np.atleast_1d(self.faults) * (step_types != StepType.SKIP))
        if diverged.size:
            raise Diverged(diagnose(self, None, int(diverged[0]) if self.lifetimes.shape else None))
        left = self.inputs.admit(step_types, rewards, observations)
        unseen = (step_types >= StepType.TERMINATED) & (left == StepType.SKIP)
        if unseen.any():
            self._clear(torch.from_numpy(unseen.reshape(self.lifetimes.shape)).to(self.lifetimes.device))
        return left
