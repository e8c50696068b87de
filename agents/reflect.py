"""The default agent: REFLECT(lambda) with a spiking policy and, for the td signal, a critic or an output for V."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn import functional as F
from tracerl.nn.exportable import POLICY_AND_VALUE, Part
from tracerl.nn.heads import Head
from tracerl.nn.layers import LI
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, ScoredNetwork, check_spiking
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
        target_rate: rate per env step at which a copy of V's readout follows it, in (0, 1]. The copy computes V(s') in
            the td error; 1: there is no copy.
        weight_bits: bits of the weights of the policy's network while it learns, from 2 to 16; see
            ``StochasticRounding``. None: they are not rounded. ``deploy.rounding=learning`` sets it.
    """

    network: Dense
    signal: str
    average_decay: float
    critic: Mapping[str, Any] | None = None
    trunk: str = "separate"
    value_weight: float = 1.0
    target_rate: float = 1.0
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.part("network", self.network)
        check_spiking(self.network)
        checks.choice("signal", self.signal, SIGNALS)
        super().__post_init__()
        if self.signal == "td" and self.trunk != "shared":
            checks.step_rules(self.optimizer, "value")
        checks.decay("average_decay", self.average_decay)
        checks.choice("trunk", self.trunk, TRUNKS)
        checks.positive("value_weight", self.value_weight)
        checks.number("target_rate", self.target_rate, "a number in (0, 1]", 0.0, 1.0, closed="(]")
        if self.target_rate < 1 and self.signal != "td":
            problem = f"must be 1 without a critic (agent.signal={self.signal}), got {self.target_rate}"
            raise checks.ConfigError("target_rate", problem)
        if self.trunk == "shared" and self.signal != "td":
            raise checks.ConfigError("signal", f"must be td with trunk=shared, which learns V, got {self.signal!r}")

    @property
    def critic_network(self) -> Dense | None:
        """Settings of the critic's network; None without a critic.

        Raises:
            ConfigError: naming a setting of ``critic`` that does not exist or has an invalid value.
        """
        if self.signal != "td" or self.trunk == "shared":
            return None
        return self.network if self.critic is None else _differing(self.network, self.critic)

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        found, network, signal = super().ignored_settings(head), self.critic_network, f"with agent.signal={self.signal}"
        if self.signal != "advantage":
            found["average_decay"] = signal
        if self.signal != "td":
            found["target_rate"] = signal
        if self.trunk == "separate":
            found["value_weight"] = "with agent.trunk=separate"
        of_policy = ignored(self.network, "network")
        if network is None:
            reason = "with agent.trunk=shared" if self.trunk == "shared" else signal
            return found | of_policy | dict.fromkeys(("critic", "optimizer.value"), reason)
        of_critic, own = ignored(network), self.critic or {}
        both = {f"network.{name}" for name in {*of_critic, *own}}  # and the policy's network ignores them
        found |= {key: reason for key, reason in of_policy.items() if key in both}
        found |= {f"critic.{name}": reason for name, reason in of_critic.items()}
        return found | ignored(self.optimizer["value"], "optimizer.value")


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

    With ``target_rate`` r < 1, V(s') in delta is computed by a copy w' of the readout's weights and bias w of V,

        w' <- w' + r (w - w')

    after each update, at the same spikes. The copy is the mean of the last 1/r readouts, so that delta contains less
    of the noise of single updates. Copies of whole networks are the target networks of Lillicrap et al. 2016
    (https://arxiv.org/abs/1509.02971); of a readout alone see https://arxiv.org/abs/2506.04398.

    With ``weight_bits`` the weights of the policy's network are rounded at random to integers times a scale after every
    update: with a shared trunk those of the one network. A separate critic, which no chip needs, is not rounded, and
    neither is w'.

    Attributes:
        target: w', [*lifetimes, n + 1] with the bias last; None without a copy.
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
        outputs = POLICY_AND_VALUE if self.is_shared else (slice(None),)
        self.policy = self._policy_learner(policy, own.optimizer["policy"], own.weight_bits, outputs)
        self.critic = None
        if (network := own.critic_network) is not None:
            self.critic = self._learner(network.build(encoder.shape, 1, lifetimes), own.optimizer["value"])
        self.target_rate = own.target_rate
        if own.target_rate < 1:
            self.target = _last_row(self._value_readout()).clone()
        # Also part of the state where signal=td, which does not use it: saved agents have it.
        self.baseline = RewardSignal() if own.signal == "reward" else AdvantageSignal(own.average_decay, lifetimes)
        self._pack(lifetimes)
        self._choose_engine()

    def parts(self) -> dict[str, Part]:
        """Return the policy and, where V is computed, the value; see ``tracerl.nn.exportable.Portable``."""
        bits = self.settings.weight_bits
        if self.is_shared:
            network, (policy, value) = self.policy.network, POLICY_AND_VALUE
            return {"policy": Part(network, policy, bits), "value": Part(network, value, bits)}
        found = {"policy": Part(self.policy.network, weight_bits=bits)}
        return found if self.critic is None else found | {"value": Part(self.critic.network)}

    def _value_readout(self) -> LI:
        """Return the readout whose last output is V."""
        readout = (self.critic or self.policy).network.readout
        assert isinstance(readout, LI)
        return readout

    def _learned(self) -> list[Tensor]:
        """Return the tensors that learning changes; see ``OnlineAgent``."""
        return super()._learned() + ([] if self.target is None else [self.target])

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its features for ``_act``, [*lifetimes, ...]."""
        features = self.encoder.begin(observation)
        if self.critic is not None:
            self.value.copy_(self.critic.network(features).squeeze(-1))
        return features

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update the networks from one transition; see ``OnlineAgent._learn``."""
        policy, critic, signal = self.policy, self.critic, self.signal
        reward, discount = self._receive(reward)
        features: Tensor = self.encoder(observation)
        if self.is_shared:
            with policy.network.unchanged():  # the gradient below is at the state of s
                value_tp1, bootstrap = self._values(policy.network, features)
        elif critic is not None:
            critic.accumulate(self._one)  # the gradient of V(s): the network's state is still that of s
            value_tp1, bootstrap = self._values(critic.network, features)
        if self._has_value():
            signal.copy_(F.td_error(reward, self.value, bootstrap, discount, continues))
            self.value.copy_(value_tp1)
        else:
            signal.copy_(self.baseline(reward))
        if not self._check_finite(signal):
            return features
        gradient = policy_gradient(self.head, self.entropy_weight, signal)
        policy.accumulate(torch.cat([gradient, self._value_weight], -1) if self.is_shared else gradient)
        policy.update(signal)
        if critic is not None:
            critic.update(signal)
        if self.target is not None and not self.frozen:
            self.target.lerp_(_last_row(self._value_readout()), self.target_rate)
        self._watch()
        return features

    def _values(self, network: ScoredNetwork, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return V of the features, and V by the copy of its readout where there is one, each [*lifetimes]."""
        value: Tensor = network(features)[..., -1]
        copied = None if self.target is None else (self.target * self._value_readout().filtered).sum(-1)
        return value, value if copied is None else copied

    def _act(self, features: Tensor) -> None:
        """Sample an action from the policy at the features."""
        outputs = self.policy.network(features)
        if self.is_shared:
            self.value.copy_(outputs[..., -1])
            outputs = outputs[..., :-1]
        self._choose(outputs)


def _last_row(readout: LI) -> Tensor:
    """Return weights and bias of a readout's last output, a view: [*lifetimes, n_in + 1]."""
    return readout.affine.detach()[..., -1, :]


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
