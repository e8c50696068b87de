"""REFLECT as in traceTorch 0.3.0, reproduced numerically, with a setting for each of its known defects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.lifetime.arguments import check_state
from tracerl.nn.averages import Averages, finite_mean
from tracerl.nn.encoders import EncoderSettings
from tracerl.nn.exportable import Part
from tracerl.nn.heads import Categorical
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.tracetorch import TraceDense
from tracerl.nn.random import UniformStream
from tracerl.nn.spaces import discrete_actions, observation_shape
from tracerl.nn.views import PolicyOutputs, SpikingNeurons
from tracerl.optim.rule import StepRule, StepRuleSettings
from tracerl.rules.classic_learner import ClassicLearner
from tracerl.rules.reflect_classic import Timescales

from .common.online import OnlineAgent

WATCHED = ("learn/td_error", "learn/td_error_magnitude", "learn/entropy", "learn/logprob_trace")  # summed at every step


@dataclass(frozen=True, kw_only=True)
class ReflectClassicSettings:
    """Settings of ``ReflectClassicAgent``; defaults in ``configs/agent/reflect_classic.yaml``.

    Attributes:
        network: of the policy.
        encoder: from observations to input currents.
        optimizer: step-size rule.
        decays: of REFLECT's averages per env step, one for each of its timescales.
        learn_decay: make the decays parameters.
        learn_mixture: make the weights of the timescales parameters; without effect for one timescale.
        paired_traces: keep the trace of the product of state and action, per parameter, in place of two averages.
    """

    network: TraceDense
    encoder: EncoderSettings
    optimizer: StepRuleSettings
    decays: Sequence[float]
    learn_decay: bool
    learn_mixture: bool
    paired_traces: bool

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        for name in ("encoder", "network", "optimizer"):
            checks.part(name, getattr(self, name))
        if not isinstance(self.decays, (list, tuple)) or not self.decays:
            raise checks.ConfigError("decays", f"must be a list of decays such as [0.9], got {self.decays!r}")
        for decay in self.decays:
            checks.number("decays", decay, "numbers between 0 and 1", 0.0, 1.0, closed="()")
        for name in ("learn_decay", "learn_mixture", "paired_traces"):
            checks.flag(name, getattr(self, name))

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        found = ignored(self.encoder, "encoder") | ignored(self.network, "network")
        found |= ignored(self.optimizer, "optimizer.policy")
        found["optimizer.value"] = "with this agent, whose one rule is optimizer.policy"
        return found | ({"learn_mixture": "with one number in agent.decays"} if len(self.decays) == 1 else {})


class ReflectClassicAgent(OnlineAgent):
    """Spiking layers under a softmax, trained by REFLECT without a critic and without synaptic eligibilities.

    One env step propagates the signal of the reward back through the layers, takes one step of gradient descent,
    processes the new observation and acts. The end of an episode resets membranes and traces. The average of the reward
    covers the whole lifetime. The reward is neither scaled nor bootstrapped, so truncation and termination have the
    same effect.

    Attributes:
        critic: None: the agent learns from rewards alone.
    """

    Settings = ReflectClassicSettings
    critic = None

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: a Discrete space.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``ReflectClassicSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        super().__init__()
        self.settings = own = ReflectClassicSettings(**settings)
        n_actions, first_action = discrete_actions(action_space)
        self.encoder = own.encoder.build_held(observation_shape(observation_space), lifetimes)
        self._observe(observation_space, self.encoder)
        self.head = Categorical(n_actions, lifetimes, first_action)
        self.stream = UniformStream(lifetimes)
        built = own.network.build(self.encoder.n_out, n_actions, lifetimes)
        if not list(built.parameters()):
            raise checks.ConfigError("network.learn_weight", "must be true where nothing else is learned")
        timescales = Timescales(own.decays, lifetimes, learn_decay=own.learn_decay, learn_mixture=own.learn_mixture)
        self.policy = ClassicLearner(built, timescales, own.paired_traces, own.optimizer, lifetimes)
        self.watched = Averages(WATCHED, lifetimes)
        self._pack(lifetimes)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return self.settings.ignored_settings()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the state that ``capture`` returned, ignoring the count of equal rewards in older checkpoints."""
        check_state(state)
        super().restore({name: tensor for name, tensor in state.items() if not name.startswith("constant_reward.")})

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its current."""
        return self.encoder.begin(observation)

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update the policy from the last reward and return the current of the new observation."""
        self.policy.learn(reward.to(self.lifetimes.dtype))
        self._check_finite(self.policy.flat.sum(-1))  # a NaN in a rate does not show in the spikes
        self._watch()
        current: Tensor = self.encoder(observation)
        return current

    def _act(self, current: Tensor) -> None:
        """Sample an action from the policy at the current, and add it to the traces."""
        self.head.sample(self.policy(current), self.stream)
        self._check_finite(self.head.entropy())
        self.policy.accumulate(self.head.action, self.head.log_probability())

    def _clear(self, mask: Tensor | None) -> None:
        """Reset membranes and traces at the end of an episode, in the lifetimes of the mask or in all."""
        self.policy.reset_state(mask)

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of the policy; see ``tracerl.nn.views.Visible``."""
        return {f"policy_{i}": layer for i, layer in enumerate(self.policy.network.layers)}

    def parts(self) -> dict[str, Part]:
        """Return the policy's network; see ``tracerl.nn.exportable.Portable``."""
        return {"policy": Part(self.policy.network)}

    def policy_outputs(self) -> PolicyOutputs:
        """Return the policy outputs at the newest observation; see ``tracerl.nn.views.Visible``."""
        return replace(super().policy_outputs(), td_error=self.policy.timescales.advantage)

    def distributions(self) -> dict[str, Tensor]:
        """Return weights, decays, thresholds and traces; see ``tracerl.nn.views.Distributed``."""
        return self.policy.distributions("policy")

    def _rules(self) -> list[StepRule]:
        return [self.policy.step_rule]

    def _watch(self) -> None:
        """Add this step's quantities, in the order of ``WATCHED``."""
        advantage = self.policy.timescales.advantage
        self.watched.add(advantage, advantage.abs(), self.head.entropy(), self.policy.timescales.logprob)

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return the quantities to log, averaged since the last call; see ``Agent.diagnostics``."""
        found = super().diagnostics() | self.watched.means()
        found["learn/step_size_policy"] = finite_mean(self.policy.step_rule.step_size.cpu().numpy())
        for i, layer in enumerate(self.policy.network.layers):
            found[f"spikes/policy_{i}_rate"] = float(layer.rate.mean())
        return found
