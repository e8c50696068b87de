"""The default agent: REFLECT(lambda) with a spiking policy and, for the td signal, a critic, spiking or graded."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.nn import functional as F
from tracerl.nn.encoders import EncoderSettings
from tracerl.nn.exportable import Part
from tracerl.nn.heads import MakeHead
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense
from tracerl.nn.normalizers import scale_reward
from tracerl.nn.spaces import observation_shape, observation_size
from tracerl.optim.rule import StepRuleSettings
from tracerl.rules.reflect import policy_gradient
from tracerl.rules.signals import AdvantageSignal, RewardSignal

from .common.actor_critic import ActorCritic, ActorCriticSettings

SIGNALS = ("td", "advantage", "reward")


@dataclass(frozen=True, kw_only=True)
class Settings(ActorCriticSettings):
    """Numbers of the agent itself; see ``configs/agent/reflect.yaml``."""

    signal: str
    average_decay: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.choice("signal", self.signal, SIGNALS)
        super().__post_init__()
        checks.decay("average_decay", self.average_decay)


class ReflectAgent(ActorCritic):
    """Learn online from each transition, once, with eligibility traces through spiking neurons.

    One env step, with one forward pass of each network per observation: the critic's score of the old observation
    joins its trace; the critic sees the new observation; the td error delta; the policy's score of the old action
    (its entropy gradient added, with the sign of delta) joins its trace; both networks step along delta times trace;
    the policy sees the new observation and acts.

    V(s) is the value computed when s was seen, before the update that followed.
    """

    has_kernels = True

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lifetimes: Lifetimes,
        *,
        network: Dense,
        encoder: EncoderSettings,
        optimizer: Mapping[str, StepRuleSettings],
        signal: str,
        discount: float,
        trace_decay: float,
        entropy: float,
        scale_reward: bool,
        average_decay: float,
        engine: str,
        threads: int | None = None,
        head: MakeHead | None = None,
        max_std: float | None = None,
        clipped_log_prob: bool = False,
        mean_margin: float | None = None,
        critic: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.nn.heads``.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            network: of the policy and of the critic, which differ in their outputs and in what ``critic`` says.
            encoder: from observations to the code that enters both networks.
            optimizer: step-size rules by name: ``policy`` and ``value``.
            signal: ``td``: delta of the critic. ``advantage``: reward minus its running average. ``reward``: the
                reward. The last two say nothing in tasks that pay every step the same, such as CartPole.
            discount: gamma per env step.
            trace_decay: lambda; the eligibility traces decay by gamma lambda per env step.
            entropy: tau, weight of the entropy bonus.
            scale_reward: divide rewards by the running deviation of their discounted sum.
            average_decay: forgetting of the reward's running average per env step (``advantage``).
            engine: ``torch``; ``fused``: the same equations as compiled kernels over the same memory; ``auto``: fused
                where it can be.
            threads: of the fused engine, which share many lifetimes out among them; None: one per core.
            head: makes the distribution over actions; None: the one that goes with the action space.
            max_std: bound of a continuous action's deviation, in halves of its range, where that is finite, for all its
                numbers together (the sum of them); None: none.
            clipped_log_prob: log pi of a continuous action is that of what the env gets: at a bound, of all beyond it.
            mean_margin: how many deviations the mean of a continuous action may lie beyond a bound; None: any.
            critic: settings of ``network`` that are others in the critic; None or empty: none.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces do not fit.
        """
        self.settings = Settings(
            signal=signal,
            discount=discount,
            trace_decay=trace_decay,
            entropy=entropy,
            scale_reward=scale_reward,
            average_decay=average_decay,
        )
        built = encoder.build(observation_shape(observation_space), network.ticks, lifetimes)
        self.n_observed = observation_size(observation_space)
        super().__init__(action_space, lifetimes, built, self.settings, head, max_std, clipped_log_prob, mean_margin)
        policy = network.build(self.encoder.shape, self.head.n_outputs, lifetimes)
        self.policy, self.critic = self._policy_learner(policy, optimizer["policy"]), None
        if signal == "td":
            value_network = network if critic is None else _differing(network, critic)
            self.critic = self._learner(value_network.build(self.encoder.shape, 1, lifetimes), optimizer["value"])
        self.baseline = RewardSignal() if signal == "reward" else AdvantageSignal(average_decay, lifetimes)
        self._pack(lifetimes)
        self._choose_engine(engine, threads)

    def parts(self) -> dict[str, Part]:
        """Return the policy and, where there is one, the critic; see ``tracerl.nn.exportable.Portable``."""
        found = {"policy": Part(self.policy.network)}
        return found if self.critic is None else found | {"value": Part(self.critic.network)}

    def _begin(self, observation: Tensor) -> Tensor:
        """See the first observation of an episode; return its features for ``_act``, [*lifetimes, ...]."""
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
            critic.accumulate(self._one)  # the gradient of V(s), whose state the network still holds
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
        """Sample an action from what the policy makes of the features."""
        self.head.sample(self.policy.network(features), self.stream)
        self.log_prob_trace.accumulate(self.head.log_probability())
        self.entropy.copy_(self.head.entropy())
        self._sound(self.entropy)


def _differing(network: Dense, critic: Mapping[str, Any]) -> Dense:
    """Return the settings of a network with those of the critic in their place.

    Raises:
        ConfigError: naming one that there is not, or is not what it must be.
    """
    if not isinstance(critic, Mapping):
        problem = f"must be settings of network such as {{neuron: graded}}, got {critic!r}"
        raise checks.ConfigError("agent.critic", problem)
    taken = [field.name for field in fields(network)]
    for key in critic:
        if key not in taken:
            raise checks.ConfigError(f"agent.critic.{key}", f"does not exist. Keys of network: {', '.join(taken)}")
    if critic.get("ticks", network.ticks) != network.ticks:  # both networks see one code
        problem = f"must be network.ticks, which is {network.ticks}, got {critic['ticks']!r}"
        raise checks.ConfigError("agent.critic.ticks", problem)
    try:
        return replace(network, **critic)
    except checks.ConfigError as error:
        raise error.under("agent.critic") from error
