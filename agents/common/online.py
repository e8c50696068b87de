"""The methods of an agent that computes in torch, for one lifetime and for many."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.moved import previous_method
from tracerl.kernels.step_types import FIRST, MID, TERMINATED
from tracerl.lifetime.arguments import as_numbers
from tracerl.lifetime.divergence import finite
from tracerl.lifetime.protocol import Action, Observation, StepType
from tracerl.nn.encoders import Encoder
from tracerl.nn.layers import SpikingLayer
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.operations import FanOut, fan_outs
from tracerl.nn.spaces import observation_shape, observation_size
from tracerl.nn.views import PolicyOutputs, SpikingNeurons

from .inputs import CheckedAgent, not_finite

if TYPE_CHECKING:
    from tracerl.kernels.engine import FusedEngine

Array = np.ndarray[Any, Any]


class OnlineAgent(CheckedAgent):
    """Base of agents whose tensors carry the lifetimes axis: both ``Agent`` and ``ManyAgents``.

    A subclass adds ``_begin`` (process the first observation of an episode), ``_learn`` (from one transition), ``_act``
    (choose an action) and ``_clear`` (reset the state of an episode). These methods take no masks: they compute all
    lifetimes, and the caller restores the lifetimes that a step type does not concern. The newest action is that of
    ``head``, unless a subclass has its own ``_chosen``.

    Attributes:
        engine: what computes the steps: ``torch``, or ``fused`` where an agent with kernels sets ``fused``.
        fused: the compiled engine over the same packed state; None where torch computes.
        frozen: the agent acts and does not learn; see ``freeze``.
        divisor: of the numbers in an observation; see ``_observe``.
    """

    engine = "torch"
    fused: "FusedEngine | None" = None
    frozen = False
    divisor = 1.0
    _fan_outs: dict[str, FanOut] | None = None  # counted at the first use

    def _observe(self, space: Space[Any], encoder: Encoder) -> None:
        """Set how many numbers an observation has, and that images of bytes become [0, 1] unless standardised."""
        self.n_observed, is_image = observation_size(space), len(observation_shape(space)) > 1
        if not isinstance(encoder, Encoder):
            raise checks.ConfigError("encoder", f"must build an Encoder, got {encoder!r:.200}")
        if encoder.normalizer is None and is_image and space.dtype == np.uint8:
            self.divisor = encoder.divisor = 255.0

    def _pack(self, lifetimes: Lifetimes) -> None:
        """Move every buffer into the packed state; see ``PackedAgent``."""
        self._continues = {ended: lifetimes.full(0.0 if ended else 1.0) for ended in (False, True)}
        super()._pack(lifetimes)

    def _check_finite(self, number: Tensor) -> bool:
        """Flag the lifetimes whose number, [*lifetimes], is not finite; return false where none is finite."""
        if number.dim() == 0 and math.isfinite(number.item()):  # one lifetime, the usual case: half the time
            return True
        finite = torch.isfinite(number)
        self.fault.bitwise_or_(~finite)
        return bool(finite.any())

    _sound = previous_method("_sound", "_check_finite")

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode, [*lifetimes, n]; return what ``_act`` needs, [*lifetimes, m]."""
        raise NotImplementedError(f"{type(self).__name__} must have _begin")

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Learn from one transition.

        Args:
            reward: float64, [*lifetimes].
            observation: that followed the last action, float64, [*lifetimes, n].
            continues: 0 where the episode terminated, 1 elsewhere, [*lifetimes].

        Returns:
            What ``_act`` needs, [*lifetimes, m].
        """
        raise NotImplementedError(f"{type(self).__name__} must have _learn")

    def _act(self, features: Tensor) -> None:
        """Choose an action and keep it in a buffer."""
        raise NotImplementedError(f"{type(self).__name__} must have _act")

    def _learned(self) -> list[Tensor]:
        """Return the tensors that learning changes: the parameters; a subclass may add others."""
        return [parameter.detach() for parameter in self.parameters()]

    @torch.inference_mode()
    def freeze(self) -> None:
        """Act without learning: all that has been learned stays bit-identical until ``unfreeze``.

        Membranes, the running scales of observations and rewards, the value, the td error and the age by which the
        discount rises are still updated. The averages of the step-size rules are not. Eligibility traces and
        derivatives are set to zero and stay there. Whether the agent is frozen is not part of its state.
        """
        self._kept = [tensor.clone() for tensor in self._learned()]
        modules = [module for module in self.modules() if isinstance(module, StateModule)]
        found = [getattr(module, name) for module in modules for name in module.tracked]
        self._tracked = [tensor for tensor in found if tensor is not None]
        self._clear_tracked()
        self._switch(frozen=True)

    def unfreeze(self) -> None:
        """Learn again after ``freeze``, with the previous step sizes; later actions alone receive credit."""
        self._switch(frozen=False)

    def act_greedily(self, greedy: bool = True) -> None:
        """Take the most probable action in place of a sample; for continuous actions, the mean.

        Args:
            greedy: False: sample actions again.

        Raises:
            ValueError: the agent has no distribution over actions.
        """
        if self.head is None:
            name = type(self).__name__
            raise ValueError(f"only an agent with a distribution over actions can act greedily, got {name}")
        self.head.greedy = checks.flag("greedy", greedy)
        self._switch(self.frozen)

    @torch.inference_mode()
    def count_spikes(self) -> None:
        """Make ``rate`` of every spiking layer the number of its spikes from now on.

        For a copy that is evaluated: a rate is part of the state, and this change is not undone.
        """
        layers = [module for module in self.modules() if isinstance(module, SpikingLayer)]
        for layer in layers:
            layer.rate_decay = 1.0
            layer.rate.zero_()
        if layers and self.fused is not None:
            self.fused.count_spikes()

    def _switch(self, frozen: bool) -> None:
        """Set whether the agent is frozen, and pass this and whether its head is greedy to the fused engine."""
        self.frozen = frozen
        for rule in self._rules():
            rule.frozen = frozen
        for module in self.modules():
            if isinstance(module, SpikingLayer):
                module.adapts = not frozen
        if self.fused is not None:
            self.fused.switch(frozen, getattr(self.head, "greedy", False))

    def _clear_tracked(self) -> None:
        """Set eligibility traces and derivatives to zero."""
        for tensor in self._tracked:
            tensor.zero_()

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of spiking neurons by name; see ``tracerl.nn.views.Visible``."""
        return {}

    def diagnostics(self) -> dict[str, float]:
        """Return the synaptic operations of a spiking policy and the skipped transitions; see ``Agent.diagnostics``."""
        if self._fan_outs is None:
            self._fan_outs = fan_outs(self)
        found = {"learn/skipped": float(self.skipped.sum())} if self.on_nonfinite == "skip" else {}
        policy = self._fan_outs.get("policy")
        return found | ({"spikes/synaptic_operations": policy.of_rates()} if policy and policy.spiking else {})

    def policy_outputs(self) -> PolicyOutputs:
        """Return the policy outputs at the newest observation; see ``tracerl.nn.views.Visible``."""
        value, signal = getattr(self, "value", None), getattr(self, "signal", None)
        return PolicyOutputs(**self.head.shown(), value=value, td_error=signal)

    outlook = previous_method("outlook", "policy_outputs")

    def _learn_unfrozen(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Learn from one transition, unless the agent is frozen; see ``_learn``."""
        features = self._learn(reward, observation, continues)
        if self.frozen:
            for tensor, kept in zip(self._learned(), self._kept, strict=True):
                tensor.copy_(kept)
        return features

    def _step_one(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Perform a step for the only lifetime; see ``CheckedAgent``."""
        if self.fused is not None:
            return self.fused.advance_one(step_type, reward, observation)
        return self._step_one_in_torch(step_type, reward, observation)

    def _advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Perform a step for each of many lifetimes; see ``CheckedAgent``."""
        if self.fused is not None:
            return self.fused.advance(step_types, rewards, observations)
        return self._advance_in_torch(step_types, rewards, observations)

    @torch.inference_mode()
    def _step_one_in_torch(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        features = self._tensor(observation)
        if self.fault.item() or not (math.isfinite(reward) and bool(torch.isfinite(features).all())):
            return None
        if step_type == FIRST:
            features = self._begin(features)
        else:
            features = self._learn_unfrozen(self._scalar(reward), features, self._continues[step_type == TERMINATED])
        if step_type <= MID and not self.fault.item():
            self._act(features)
            if self.frozen:
                self._clear_tracked()
        elif step_type > MID:
            self._clear(None)
        return None if self.fault.item() else self._checked_choice()

    @torch.inference_mode()
    def _advance_in_torch(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Learn, begin and act in the lifetimes whose step types require it; see ``CheckedAgent._advance``."""
        active = step_types != StepType.SKIP
        if (self.faults[active] != 0).any():
            return None
        if not (finite(rewards) and finite(observations)) and not_finite(step_types, rewards, observations).any():
            return None
        observation = self._tensor(observations)
        starting, ended = step_types == StepType.FIRST, step_types >= StepType.TERMINATED
        learning, features = step_types >= StepType.MID, None
        if learning.any():
            continues = self._scalar(step_types != StepType.TERMINATED).to(self.lifetimes.dtype)
            with self.memory.only(learning, self._external_tensors):
                features = self._learn_unfrozen(self._scalar(rewards), observation, continues)
        if ended.any():
            self._clear(self._mask(ended))
        if starting.any():
            with self.memory.only(starting):
                first = self._begin(observation)
            mask = self._mask(starting).reshape(-1, *[1] * (first.dim() - 1))
            features = first if features is None else torch.where(mask, first, features)
        acting = starting | ((step_types == StepType.MID) & (self.faults == 0))
        if features is not None and acting.any():
            with self.memory.only(acting):
                self._act(features)
                if self.frozen:
                    self._clear_tracked()
        return None if (self.faults[active] != 0).any() else self._checked_choice()

    def _checked_choice(self) -> Action:
        """Return the newest action; a ConfigError if there is none, as of a head whose ``chosen`` returns nothing."""
        action = self._chosen()
        if action is None:
            raise checks.ConfigError("agent", f"must choose an action, got None from {type(self).__name__}")
        return action

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the state that ``capture`` returned; a frozen agent stays frozen, see ``Stateful.restore``."""
        super().restore(state)
        if self.frozen:
            self.freeze()

    def _mask(self, mask: Array) -> Tensor:
        return torch.from_numpy(mask).to(self.lifetimes.device)

    def _scalar(self, value: Any) -> Tensor:
        """Return one number per lifetime: float64, [*lifetimes]."""
        return torch.as_tensor(value, dtype=torch.float64, device=self.lifetimes.device)

    def _tensor(self, observation: Observation) -> Tensor:
        """Return the observation flattened: float64, [*lifetimes, n]."""
        size = None if self.n_observed is None else self.n_observed * len(self.lifetimes.seeds)
        given: Any = observation
        is_tensor = isinstance(given, Tensor) and not given.is_complex()  # which may be on a device
        if not is_tensor or size not in (None, given.numel()):
            given = as_numbers(observation, size)
        tensor = torch.as_tensor(given, dtype=torch.float64, device=self.lifetimes.device)
        tensor = tensor.reshape(*self.lifetimes.shape, -1)
        return tensor if self.divisor == 1 else tensor / self.divisor
