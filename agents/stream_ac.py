"""Stream AC(lambda), the baseline without spikes: an actor-critic of two perceptrons, each transition used once.

Elsayed, Vasan and Mahmood 2024, "Streaming deep reinforcement learning finally works"
(https://arxiv.org/abs/2410.14606), written from its equations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn import functional as F
from tracerl.nn.heads import Head
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Perceptron, PerceptronSettings
from tracerl.nn.spaces import observation_shape
from tracerl.optim.obgd import ObGD
from tracerl.optim.rule import StepRuleSettings
from tracerl.rules.reflect import TraceLearner, policy_gradient

from .common.actor_critic import ActorCritic, ActorCriticSettings


@dataclass(frozen=True, kw_only=True)
class StreamACSettings(ActorCriticSettings):
    """Settings of ``StreamACAgent``; defaults in ``configs/agent/stream_ac.yaml``. Its encoder has no ticks.

    Attributes:
        hidden: units of each dense hidden layer of policy and critic, bottom first.
        sparsity: share of each unit's incoming weights that start at zero.
        channels: of the convolutional layers below the dense ones, bottom first; empty: none.
        kernel: side of their receptive fields, in pixels; one number or one per layer.
        stride: distance of neighbouring receptive fields, in pixels; one number or one per layer.
        lr: of ObGD, in both networks; None: the value in ``optimizer``.
        kappa_policy: of ObGD in the policy; None: the value in ``optimizer``.
        kappa_value: of ObGD in the critic; None: the value in ``optimizer``.
    """

    hidden: Sequence[int]
    sparsity: float
    channels: Sequence[int] = ()
    kernel: int | Sequence[int] = 3
    stride: int | Sequence[int] = 1
    lr: float | None = None
    kappa_policy: float | None = None
    kappa_value: float | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        checks.step_rules(self.optimizer, "policy", "value")

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        found = super().ignored_settings(head) | ignored(self.optimizer["value"], "optimizer.value")
        found |= ignored(self.network)
        for name, kappa in (("policy", self.kappa_policy), ("value", self.kappa_value)):
            if self.lr is not None:
                found[f"optimizer.{name}.lr"] = "with agent.lr"
            if kappa is not None:
                found[f"optimizer.{name}.kappa"] = f"with agent.kappa_{name}"
        return found

    @property
    def network(self) -> PerceptronSettings:
        """Settings of both networks."""
        return PerceptronSettings(self.hidden, self.sparsity, self.channels, self.kernel, self.stride)


class StreamACAgent(ActorCritic):
    """Learn online, from each transition once, with eligibility traces of two perceptrons.

        delta = r + gamma V(s') [s' not terminal] - V(s)
        z_w = gamma lambda z_w + grad V(s)
        z_theta = gamma lambda z_theta + grad (log pi(a|s) + tau sign(delta) H(pi(.|s)))

    Both networks are updated along delta z, bounded by ObGD. Both values are computed with the present parameters of
    the critic, which requires a second forward pass at s. Traces are reset at the end of an episode. Rewards and
    observations are scaled as in the other agents (``tracerl.nn.normalizers``). Unlike in the paper, standardised
    observations are clipped. The code published with it also observes the time, and for continuous actions treats an
    episode that was cut off like one that terminated, and has actions in their own units.

    Another ``optimizer`` gives another baseline: ``intentional`` is a perceptron with the rule of ``ReflectAgent``.
    """

    Settings = StreamACSettings
    settings: StreamACSettings
    critic: TraceLearner
    has_kernels = True

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.nn.heads``.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``StreamACSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        own = StreamACSettings(**settings)
        network = own.network
        encoder = own.encoder.build_held(observation_shape(observation_space), lifetimes)
        super().__init__(observation_space, action_space, lifetimes, own, encoder)
        policy_rule = _with_own(own.optimizer, "policy", own.lr, own.kappa_policy)
        value_rule = _with_own(own.optimizer, "value", own.lr, own.kappa_value)
        self.policy = self._policy_learner(network.build(encoder.shape, self.head.n_outputs, lifetimes), policy_rule)
        self.critic = self._learner(network.build(encoder.shape, 1, lifetimes), value_rule)
        self._pack(lifetimes)
        self._choose_engine()

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its features for ``_act``, [*lifetimes, n]."""
        features = self.encoder.begin(observation)
        self.value.copy_(self.critic.network(features).squeeze(-1))
        return features

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update both networks from one transition; see ``OnlineAgent._learn``."""
        policy, critic, signal = self.policy, self.critic, self.signal
        reward, discount = self._receive(reward)
        features: Tensor = self.encoder(observation)
        assert isinstance(critic.network, Perceptron)
        value_t = critic.network.recompute().squeeze(-1)
        critic.accumulate(self._one)
        self.value.copy_(critic.network(features).squeeze(-1))
        signal.copy_(F.td_error(reward, value_t, self.value, discount, continues))
        if not self._check_finite(signal):
            return features
        policy.accumulate(policy_gradient(self.head, self.entropy_weight, signal))
        policy.update(signal)
        critic.update(signal)
        self._watch()
        return features

    def _act(self, features: Tensor) -> None:
        """Sample an action from the policy at the features."""
        self._choose(self.policy.network(features))


def _with_own(
    optimizer: Mapping[str, StepRuleSettings], name: str, lr: float | None, kappa: float | None
) -> StepRuleSettings:
    """Return a step-size rule in which the agent's own numbers replace those of ObGD.

    Raises:
        ConfigError: a number is not above 0, or the rule is not ObGD.
    """
    rule, keys = optimizer[name], {"lr": ("lr", lr), "kappa": (f"kappa_{name}", kappa)}
    own = {part: checks.positive(key, number) for part, (key, number) in keys.items() if number is not None}
    if own and not isinstance(rule, ObGD):
        raise checks.ConfigError(keys[next(iter(own))][0], f"belongs to optimizer=obgd: set optimizer.{name} instead")
    return replace(rule, **own) if isinstance(rule, ObGD) else rule
