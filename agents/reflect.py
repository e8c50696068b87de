"""The default agent: REFLECT(lambda) with a spiking policy and, for the td signal, a critic or an output for V."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.nn import functional as F
from tracerl.nn.exportable import Part
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, check_spiking
from tracerl.nn.normalizers import scale_reward
from tracerl.nn.spaces import observation_shape
from tracerl.rules.reflect import policy_gradient
from tracerl.rules.signals import AdvantageSignal, RewardSignal

from .common.actor_critic import ActorCritic, ActorCriticSettings

SIGNALS = ("td", "advantage", "reward")
TRUNKS = ("separate", "shared")


@dataclass(frozen=True, kw_only=True)
class ReflectSettings(ActorCriticSettings):
    """Settings of ``ReflectAgent``; defaults in ``configs/agent/reflect.yaml``.

    Attributes:
        network: of the policy and of the critic; they differ in their outputs and in the settings in ``critic``.
        signal: ``td``: delta of the critic. ``advantage``: reward minus its running average. ``reward``: the reward.
            The last two are 0 or constant in tasks whose reward is the same at every step, such as CartPole.
        average_decay: decay of the reward's running average per env step (``advantage``).
        critic: settings of ``network`` that differ in the critic, where there is one; None or empty: none.
        trunk: ``separate``: policy and critic are two networks. ``shared``: V is a further output of the policy's.
        value_weight: weight of V beside log pi in the objective of a shared network.
    """

    network: Dense
    signal: str
    average_decay: float
    critic: Mapping[str, Any] | None = None
    trunk: str = "separate"
    value_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_spiking(self.network)
        checks.choice("signal", self.signal, SIGNALS)
        super().__post_init__()
        checks.decay("average_decay", self.average_decay)
        checks.choice("trunk", self.trunk, TRUNKS)
        checks.positive("value_weight", self.value_weight)
        if self.trunk == "shared" and self.signal != "td":
            raise checks.ConfigError("signal", f"must be td with trunk=shared, which learns V, got {self.signal!r}")


class ReflectAgent(ActorCritic):
    """Learn online, from each transition once, with eligibility traces through spiking neurons.

    Each network makes one forward pass per observation. One env step does, in this order:

    1. add the gradient of V at the old observation to the critic's trace;
    2. compute V at the new observation and the td error delta;
    3. add the gradient of log pi of the old action to the policy's trace, and the gradient of the entropy with the
       sign of delta;
    4. update both networks by delta times their traces;
    5. compute the policy at the new observation and sample an action.

    V(s) is the value computed when s was observed, before the update that followed.

    With a shared trunk one network has the policy's outputs and V, and one trace of

        grad [ value_weight V(s) + log pi(a|s) + tau sign(delta) H(pi(.|s)) ]

    delta has to be known before that gradient is computed at the network's state of the old observation. Step 2 is
    therefore a forward pass that leaves no state, and the one of step 5 computes V(s) for the next step: in delta both
    values are by the same parameters. The output V starts at 0.
    """

    has_kernels = True
    Settings = ReflectSettings
    settings: ReflectSettings
    baseline: RewardSignal | AdvantageSignal

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.nn.heads``.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``ReflectSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        own = ReflectSettings(**settings)
        encoder = own.encoder.build(observation_shape(observation_space), own.network.ticks, lifetimes)
        super().__init__(observation_space, action_space, lifetimes, own, encoder)
        self.is_shared = self.looks_ahead = own.trunk == "shared"
        self.value_weight = own.value_weight
        self._value_weight = lifetimes.full(own.value_weight, 1)
        self.network_description = own.network.description(encoder.shape)
        policy = own.network.build(encoder.shape, self.head.n_outputs + self.is_shared, lifetimes)
        if self.is_shared:  # V starts at 0, so that delta is 0, and nothing is learned, until the first reward
            policy.readout.weight[..., -1, :].zero_()
        self.policy, self.critic = self._policy_learner(policy, own.optimizer["policy"]), None
        if own.signal == "td" and not self.is_shared:
            network = own.network if own.critic is None else _differing(own.network, own.critic)
            self.critic = self._learner(network.build(encoder.shape, 1, lifetimes), own.optimizer["value"])
        self.baseline = RewardSignal() if own.signal == "reward" else AdvantageSignal(own.average_decay, lifetimes)
        self._pack(lifetimes)
        self._choose_engine()

    def parts(self) -> dict[str, Part]:
        """Return the policy and, where V is computed, the value; see ``tracerl.nn.exportable.Portable``."""
        if self.is_shared:
            network = self.policy.network
            return {"policy": Part(network, slice(None, -1)), "value": Part(network, slice(-1, None))}
        found = {"policy": Part(self.policy.network)}
        return found if self.critic is None else found | {"value": Part(self.critic.network)}

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its features for ``_act``, [*lifetimes, ...]."""
        features: Tensor = self.encoder(observation, first=True)
        if self.critic is not None:
            self.value.copy_(self.critic.network(features).squeeze(-1))
        return features

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update the networks from one transition; see ``OnlineAgent._learn``."""
        policy, critic, signal = self.policy, self.critic, self.signal
        reward = scale_reward(self.reward_scaler, reward, signal.dtype)
        features: Tensor = self.encoder(observation)
        if self.is_shared:
            with policy.network.unchanged():  # the gradient below is at the state of s
                value_tp1 = policy.network(features)[..., -1]
        elif critic is not None:
            critic.accumulate(self._one)  # the gradient of V(s): the network's state is still that of s
            value_tp1 = critic.network(features).squeeze(-1)
        if self._has_value():
            signal.copy_(F.td_error(reward, self.value, value_tp1, self.settings.discount, continues))
            self.value.copy_(value_tp1)
        else:
            signal.copy_(self.baseline(reward))
        if not self._sound(signal):
            return features
        gradient = policy_gradient(self.head, self.settings.entropy, signal)
        policy.accumulate(torch.cat([gradient, self._value_weight], -1) if self.is_shared else gradient)
        policy.update(signal)
        if critic is not None:
            critic.update(signal)
        self._watch()
        return features

    def _act(self, features: Tensor) -> None:
        """Sample an action from the policy at the features."""
        outputs = self.policy.network(features)
        if self.is_shared:
            self.value.copy_(outputs[..., -1])
            outputs = outputs[..., :-1]
        self._choose(outputs)


def _differing(network: Dense, critic: Mapping[str, Any]) -> Dense:
    """Return the settings of a network, with the critic's settings replaced.

    Raises:
        ConfigError: naming a setting that does not exist or has an invalid value.
    """
    if not isinstance(critic, Mapping):
        problem = f"must be settings of network such as {{neuron: graded}}, got {critic!r}"
        raise checks.ConfigError("agent.critic", problem)
    taken = [field.name for field in fields(network)]
    for key in critic:
        if key not in taken:
            raise checks.ConfigError(f"agent.critic.{key}", f"does not exist. Keys of network: {', '.join(taken)}")
    if critic.get("ticks", network.ticks) != network.ticks:  # both networks receive the same features
        problem = f"must be network.ticks, which is {network.ticks}, got {critic['ticks']!r}"
        raise checks.ConfigError("agent.critic.ticks", problem)
    try:
        return replace(network, **critic)
    except checks.ConfigError as error:
        raise error.under("agent.critic") from error
