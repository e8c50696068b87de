"""The default agent: REFLECT(lambda) with a spiking policy and, for the td signal, a spiking or graded critic."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.nn import functional as F
from tracerl.nn.exportable import Part
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense
from tracerl.nn.normalizers import scale_reward
from tracerl.nn.spaces import observation_shape
from tracerl.rules.reflect import policy_gradient
from tracerl.rules.signals import AdvantageSignal, RewardSignal

from .common.actor_critic import ActorCritic, ActorCriticSettings

SIGNALS = ("td", "advantage", "reward")


@dataclass(frozen=True, kw_only=True)
class ReflectSettings(ActorCriticSettings):
    """Settings of ``ReflectAgent``; defaults in ``configs/agent/reflect.yaml``.

    Attributes:
        network: of the policy and of the critic; they differ in their outputs and in the settings in ``critic``.
        signal: ``td``: delta of the critic. ``advantage``: reward minus its running average. ``reward``: the reward.
            The last two are 0 or constant in tasks whose reward is the same at every step, such as CartPole.
        average_decay: decay of the reward's running average per env step (``advantage``).
        critic: settings of ``network`` that differ in the critic; None or empty: none.
    """

    network: Dense
    signal: str
    average_decay: float
    critic: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.choice("signal", self.signal, SIGNALS)
        super().__post_init__()
        checks.decay("average_decay", self.average_decay)


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
        policy = own.network.build(encoder.shape, self.head.n_outputs, lifetimes)
        self.policy, self.critic = self._policy_learner(policy, own.optimizer["policy"]), None
        if own.signal == "td":
            network = own.network if own.critic is None else _differing(own.network, own.critic)
            self.critic = self._learner(network.build(encoder.shape, 1, lifetimes), own.optimizer["value"])
        self.baseline = RewardSignal() if own.signal == "reward" else AdvantageSignal(own.average_decay, lifetimes)
        self._pack(lifetimes)
        self._choose_engine()

    def parts(self) -> dict[str, Part]:
        """Return the policy and, where there is one, the critic; see ``tracerl.nn.exportable.Portable``."""
        found = {"policy": Part(self.policy.network)}
        return found if self.critic is None else found | {"value": Part(self.critic.network)}

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its features for ``_act``, [*lifetimes, ...]."""
        features: Tensor = self.encoder(observation, first=True)
        if self.critic is not None:
            self.value.copy_(self.critic.network(features).squeeze(-1))
        return features

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update both networks from one transition; see ``OnlineAgent._learn``."""
        policy, critic, signal = self.policy, self.critic, self.signal
        reward = scale_reward(self.reward_scaler, reward, signal.dtype)
        features: Tensor = self.encoder(observation)
        if critic is None:
            signal.copy_(self.baseline(reward))
        else:
            critic.accumulate(self._one)  # the gradient of V(s): the network's state is still that of s
            value_tp1 = critic.network(features).squeeze(-1)
            signal.copy_(F.td_error(reward, self.value, value_tp1, self.settings.discount, continues))
            self.value.copy_(value_tp1)
        if not self._sound(signal):
            return features
        policy.accumulate(policy_gradient(self.head, self.settings.entropy, signal))
        policy.update(signal)
        if critic is not None:
            critic.update(signal)
        self._watch()
        return features

    def _act(self, features: Tensor) -> None:
        """Sample an action from the policy at the features."""
        self.head.sample(self.policy.network(features), self.stream)
        self.log_prob_trace.accumulate(self.head.log_probability())
        self.entropy.copy_(self.head.entropy())
        self._sound(self.entropy)


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
