"""Reward-based e-prop: one recurrent spiking network whose outputs are the policy's logits and the value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn import functional as F
from tracerl.nn.averages import Averages
from tracerl.nn.encoders import EncoderSettings
from tracerl.nn.exportable import POLICY_AND_VALUE, Part
from tracerl.nn.heads import Head, head_for
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.networks import Dense, check_spiking
from tracerl.nn.normalizers import RewardScaler, scale_reward
from tracerl.nn.random import UniformStream
from tracerl.nn.spaces import observation_shape
from tracerl.nn.views import SpikingNeurons
from tracerl.optim import ignored_by_policy, rule_of_policy
from tracerl.optim.rule import StepRule, StepRuleSettings
from tracerl.rules.reflect import TraceLearner

from .common.online import OnlineAgent

WATCHED = (  # quantities summed at every step
    "learn/td_error",
    "learn/td_error_magnitude",
    "learn/entropy",
    "learn/value",
    "learn/step_size_policy",
)


@dataclass(frozen=True, kw_only=True)
class EpropSettings:
    """Settings of ``EpropAgent``; defaults in ``configs/agent/eprop.yaml``.

    Attributes:
        network: of policy and value; recurrent in the paper.
        encoder: from observations to input currents.
        optimizer: step-size rules by name; the rule of the ``policy`` updates the whole network.
        discount: gamma per env step.
        trace_decay: lambda; eligibility traces decay by gamma lambda per env step. The paper uses 1.
        entropy: tau, weight of the entropy bonus.
        value_weight: c_V, weight of the value relative to the policy.
        scale_reward: divide rewards by the running deviation of their discounted sum.
    """

    network: Dense
    encoder: EncoderSettings
    optimizer: Mapping[str, StepRuleSettings]
    discount: float
    trace_decay: float
    entropy: float
    value_weight: float
    scale_reward: bool

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.part("encoder", self.encoder)
        checks.part("network", self.network)
        checks.step_rules(self.optimizer, "policy")
        check_spiking(self.network)
        checks.fading(self.discount, self.trace_decay)
        checks.non_negative("entropy", self.entropy)
        checks.positive("value_weight", self.value_weight)
        checks.flag("scale_reward", self.scale_reward)

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        found = ignored(self.encoder, "encoder") | ignored(self.network, "network")
        found |= ignored_by_policy(self.optimizer["policy"], head.n_components)
        return found | {"optimizer.value": "with this agent, whose one rule is optimizer.policy"}


class EpropAgent(OnlineAgent):
    """Actor-critic e-prop (Bellec et al. 2020, https://doi.org/10.1038/s41467-020-17236-y, "Reward-based e-prop").

    Policy and value are read out of the spikes of one network. The eligibility e_t of a weight is local to its neuron:
    it omits the path through other neurons. ebar_t is e_t filtered as the readout filters spikes. The learning signal
    of a neuron is the gradient at the outputs, projected by B:

        L_t = B^T g_t      g_t = (d log pi(a_t) / d outputs, c_V)      (ascent on log pi and V)
        zeta_t = gamma lambda zeta_{t-1} + L_t ebar_t                 theta += alpha_t delta_t zeta_t
        delta_t = r + gamma V(s') [s' not terminal] - V(s)

    B is V, fixed random weights, or learned weights (``network.feedback``). Beyond the paper: lambda, the step-size
    rule, and the gradient of the entropy, which is added to the trace with the sign of delta as in ``ReflectAgent``.
    Unlike there, the gradient that Intentional updates measure is without that of the entropy. Left out: the paper's
    regularisation of firing rates.

    Each observation passes through the network once. The action that follows is therefore drawn from logits computed
    before the update of the same step.

    Attributes:
        value: V(s_t), [*lifetimes].
        signal: delta, [*lifetimes].
        entropy: of the policy in s_t, in nats, [*lifetimes].
        bonus: gradient of the entropy of the policy in s_t, laid out as the network's parameters, [*lifetimes, n].
    """

    Settings = EpropSettings
    value: Tensor
    signal: Tensor
    entropy: Tensor
    bonus: Tensor
    tracked = ("bonus",)

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.nn.heads``.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``EpropSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        super().__init__()
        self.settings = own = EpropSettings(**settings)
        self.encoder = own.encoder.build(observation_shape(observation_space), own.network.ticks, lifetimes)
        self._observe(observation_space, self.encoder)
        self.head = head_for(action_space, lifetimes)
        self.stream = UniformStream(lifetimes)
        self.reward_scaler = RewardScaler(own.discount, lifetimes) if own.scale_reward else None
        body = own.network.build(self.encoder.shape, self.head.n_outputs + 1, lifetimes)
        decay = own.discount * own.trace_decay
        rule = rule_of_policy(own.optimizer["policy"], self.head.n_components)
        self.learner = TraceLearner(body, rule.build(body, decay, lifetimes), decay, lifetimes)
        for name in ("value", "signal", "entropy"):
            self.register_buffer(name, lifetimes.zeros())
        self.register_buffer("bonus", torch.zeros_like(body.flat))
        self.watched = Averages(WATCHED, lifetimes)
        self._value_signal = lifetimes.full(own.value_weight, 1)
        self._pack(lifetimes)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return self.settings.ignored_settings(self.head)

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return the network's outputs."""
        return self._outputs(self.encoder.begin(observation))

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Process the new observation, then update the network along the trace of the steps before it."""
        value_t = self.value.clone()
        outputs = self._outputs(self.encoder(observation))
        reward = scale_reward(self.reward_scaler, reward, value_t.dtype)
        signal = self.signal.copy_(F.td_error(reward, value_t, self.value, self.settings.discount, continues))
        if not self._check_finite(signal):
            return outputs
        weight = (self.settings.entropy * signal.sign()).unsqueeze(-1)
        self.learner.eligibility_trace.addcmul_(self.bonus, weight)
        self.learner.update(signal)
        self._check_finite(self.learner.step_rule.step_size.squeeze(-1))
        self._watch()
        return outputs

    def _outputs(self, current: Tensor) -> Tensor:
        """Advance the network by one input current and return its outputs, [*lifetimes, head.n_outputs + 1]."""
        outputs: Tensor = self.learner.network(current)
        self.value.copy_(outputs[..., -1])
        return outputs

    def _act(self, outputs: Tensor) -> None:
        """Sample an action and add its gradient of log pi to the trace."""
        self.head.sample(outputs[..., :-1], self.stream)
        self.entropy.copy_(self.head.entropy())
        self._check_finite(self.entropy)
        network, nothing = self.learner.network, torch.zeros_like(outputs[..., :1])
        network.backward(torch.cat([self.head.entropy_gradient(), nothing], -1))
        self.bonus.copy_(network.score)
        score = self.head.score()
        self.learner.accumulate(torch.cat([score, self._value_signal.expand_as(nothing)], -1))

    def _clear(self, mask: Tensor | None) -> None:
        """Reset membranes and traces at the end of an episode, in the lifetimes of the mask or in all."""
        self.learner.reset_state(mask)
        clear_(self.bonus, mask)
        if self.reward_scaler is not None:
            self.reward_scaler.end_episode(mask)

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of the network; see ``tracerl.nn.views.Visible``."""
        return self.learner.spiking_layers("policy")

    def distributions(self) -> dict[str, Tensor]:
        """Return weights, decays, thresholds and traces; see ``tracerl.nn.views.Distributed``."""
        return self.learner.distributions("policy")

    def parts(self) -> dict[str, Part]:
        """Return the one network as policy and as critic; see ``tracerl.nn.exportable.Portable``."""
        network = self.learner.network
        policy, value = POLICY_AND_VALUE
        return {"policy": Part(network, policy), "value": Part(network, value)}

    def _rules(self) -> list[StepRule]:
        return [self.learner.step_rule]

    def _watch(self) -> None:
        """Add this step's quantities, in the order of ``WATCHED``."""
        step_size = self.learner.step_rule.step_size.squeeze(-1)
        self.watched.add(self.signal, self.signal.abs(), self.entropy, self.value, step_size)

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return the quantities to log, averaged since the last call; see ``Agent.diagnostics``."""
        return super().diagnostics() | self.watched.means() | self.learner.diagnostics("policy")
