"""Q(lambda) and Sarsa(lambda): action values learned along eligibility traces, with spiking neurons or without."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn import functional as F
from tracerl.nn.exportable import Part
from tracerl.nn.heads import EpsilonGreedy, EpsilonGreedySettings, Head
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.networks import Dense, PerceptronSettings
from tracerl.nn.spaces import observation_shape

from .common.trace_agent import TraceAgent, TraceAgentSettings


@dataclass(frozen=True, kw_only=True)
class QLambdaSettings(TraceAgentSettings):
    """Settings of ``QLambdaAgent``; defaults in ``configs/agent/q_lambda.yaml`` and ``stream_q.yaml``.

    Attributes:
        network: from features to action values: spiking (``Dense`` and its kinds) or a ``PerceptronSettings``.
        target: ``watkins``: delta uses the largest Q(s', a), and an action that is not the best one cuts the trace.
            ``sarsa``: Q(s', a') of a drawn action. ``expected_sarsa``: the mean of Q(s', a) under the policy.
        epsilon_start: probability of an action at random at the first step, in [0, 1].
        epsilon_end: the same after ``epsilon_share`` of the steps; between them it changes linearly.
        epsilon_share: share of ``steps``, above 0 and at most 1.
        steps: env steps of the run.
        atoms: 1: the outputs are Q. Above 1: logits of a distribution over so many values, of which Q is the mean.
        value_range: largest of these values, in units of scaled rewards; the least is its negative.
        weight_bits: bits of the network's weights while it learns, from 2 to 16; see ``StochasticRounding``. None: they
            are not rounded. ``deploy.rounding=learning`` sets it.
    """

    network: Dense | PerceptronSettings
    target: str
    epsilon_start: float
    epsilon_end: float
    epsilon_share: float
    steps: int
    atoms: int
    value_range: float
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        checks.part("network", self.network)
        checks.number("epsilon_share", self.epsilon_share, "a number above 0 and at most 1", 0.0, 1.0, closed="(]")
        checks.whole("steps", self.steps, 1)
        _ = self.head  # checked when made

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        found = super().ignored_settings(head) | ignored(self.network, "network")
        found["optimizer.value"] = "with this agent, whose one rule is optimizer.policy"
        if self.epsilon_start == self.epsilon_end:
            found["epsilon_share"] = "with agent.epsilon_start=agent.epsilon_end"
        return found | ({"value_range": "with agent.atoms=1"} if self.atoms == 1 else {})

    @property
    def head(self) -> EpsilonGreedySettings:
        """Settings of the head."""
        return EpsilonGreedySettings(
            target=self.target,
            epsilon_start=self.epsilon_start,
            epsilon_end=self.epsilon_end,
            epsilon_steps=max(1, round(self.epsilon_share * self.steps)),
            atoms=self.atoms,
            value_range=self.value_range,
        )


class QLambdaAgent(TraceAgent):
    """Learn action values online, from each transition once, and choose among them with probability 1 - epsilon.

        delta = r + gamma target(s') [s' not terminal] - Q(s, a)
        zeta <- gamma lambda zeta + grad Q(s, a)        theta += alpha delta zeta

    The target is max_a Q(s', a) with the trace set to zero before a gradient of an action that was not the best one
    (Watkins 1989; Sutton and Barto 2018, section 12.10), Q(s', a') (Sarsa(lambda), section 12.7), or the mean of
    Q(s', a) under the policy. Both values in delta are by the parameters before the update: Q(s', .) is computed by a
    forward pass that leaves no state, as in ``ReflectAgent`` with a shared trunk.

    With ``agent=stream_q`` the network is a perceptron and the step-size rule ObGD: Stream Q(lambda) of Elsayed, Vasan
    and Mahmood 2024 (https://arxiv.org/abs/2410.14606), written from its equations. The code published with it sets the
    trace to zero after the update by an action that was not the best one, not before.
    """

    has_kernels = True
    looks_ahead = True
    Settings = QLambdaSettings
    settings: QLambdaSettings
    head: EpsilonGreedy

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``QLambdaSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        own = QLambdaSettings(**settings)
        shape, network = observation_shape(observation_space), own.network
        if isinstance(network, PerceptronSettings):
            encoder, description = own.encoder.build_held(shape, lifetimes), None
        else:
            encoder = own.encoder.build(shape, network.ticks, lifetimes)
            description = network.description(encoder.shape)
        super().__init__(observation_space, own.head.build(action_space, lifetimes), lifetimes, own, encoder)
        self.network_description = description
        with checks.under("network") if isinstance(network, PerceptronSettings) else nullcontext():
            built = network.build(encoder.shape, self.head.n_outputs, lifetimes)
        self.policy, self.critic = self._policy_learner(built, own.optimizer["policy"], own.weight_bits), None
        self._pack(lifetimes)
        self._choose_engine()

    def parts(self) -> dict[str, Part]:
        """Return the network of action values; see ``tracerl.nn.exportable.Portable``."""
        return {"policy": Part(self.policy.network, weight_bits=self.settings.weight_bits)}

    def diagnostics(self) -> dict[str, float]:
        """Return the quantities to log, with epsilon; see ``Agent.diagnostics``."""
        return super().diagnostics() | {"learn/epsilon": float(self.head.epsilon().mean())}

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its features for ``_act``, [*lifetimes, ...]."""
        return self.encoder.begin(observation)

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update the network from one transition; see ``OnlineAgent._learn``."""
        policy, head, signal = self.policy, self.head, self.signal
        reward, discount = self._receive(reward)
        features: Tensor = self.encoder(observation)
        with policy.network.unchanged():  # the gradient below is at the state of s
            target = head.bootstrap(policy.network(features), self.stream)
        signal.copy_(F.td_error(reward, self.value, target, discount, continues))
        self.value.copy_(target)
        if not self._check_finite(signal):
            return features
        if head.target == "watkins":
            clear_(policy.eligibility_trace, head.explored.bool())
        policy.accumulate(head.score())
        policy.update(signal)
        self._watch()
        return features

    def _act(self, features: Tensor) -> None:
        """Choose an action by its values at the features."""
        self._choose(self.policy.network(features))
        self.value.copy_(self.head.value())
        self._check_finite(self.value)
