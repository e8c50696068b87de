"""Base of agents whose networks have eligibility traces and are updated by one scalar signal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.config.threads import available_cores
from tracerl.kernels.coverage import unsupported
from tracerl.nn.averages import finite_means
from tracerl.nn.discount import GrowingDiscount
from tracerl.nn.encoders import Encoder, EncoderSettings
from tracerl.nn.heads import Head
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import ScoredNetwork
from tracerl.nn.normalizers import RewardScaler, scale_reward
from tracerl.nn.random import UniformStream
from tracerl.nn.stochastic_rounding import StochasticRounding
from tracerl.nn.views import PolicyOutputs, SpikingNeurons
from tracerl.optim import ignored_by_policy, rule_of_policy
from tracerl.optim.rule import StepRule, StepRuleSettings
from tracerl.rules.reflect import LogProbTrace, TraceLearner

from .online import OnlineAgent

if TYPE_CHECKING:
    from tracerl.kernels.describe import AgentParts

WATCHED = (  # quantities summed at every step, the critic's last
    "learn/td_error",
    "learn/td_error_magnitude",
    "learn/entropy",
    "learn/logprob_trace",
    "learn/step_size_policy",
    "learn/value",
    "learn/step_size_value",
)


@dataclass(frozen=True, kw_only=True)
class TraceAgentSettings:
    """Settings that every agent of the family has; a subclass adds its own.

    Attributes:
        encoder: from observations to the input features of the networks.
        optimizer: step-size rules by name: ``policy`` and ``value``.
        discount: gamma per env step; a pair: the first and the last one, see ``GrowingDiscount``.
        horizon_share: between the two, the horizon 1 / (1 - gamma) as a share of the age of a lifetime.
        trace_decay: lambda; the eligibility traces decay by gamma lambda per env step.
        scale_reward: divide rewards by the running deviation of their discounted sum.
        engine: ``torch``; ``fused``: the same equations as compiled kernels over the same packed state; ``auto``:
            ``fused`` where it is supported.
        threads: number of threads among which the fused engine distributes many lifetimes; None: one per core.
    """

    encoder: EncoderSettings
    optimizer: Mapping[str, StepRuleSettings]
    discount: Any
    trace_decay: float
    scale_reward: bool
    engine: str
    threads: int | None = None
    horizon_share: float = 4e-4

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.part("encoder", self.encoder)
        checks.step_rules(self.optimizer, "policy")
        checks.discounts(self.discount, self.trace_decay)
        checks.positive("horizon_share", self.horizon_share)
        checks.flag("scale_reward", self.scale_reward)

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        found = ignored(self.encoder, "encoder") | ignored_by_policy(self.optimizer["policy"], head.n_components)
        first, last = checks.discounts(self.discount, self.trace_decay)
        return found | ({"horizon_share": "with one number as agent.discount"} if first == last else {})


class TraceAgent(OnlineAgent):
    """Base of agents of one or two networks, each with its trace and step-size rule: ``policy`` and ``critic``.

        zeta <- gamma lambda zeta + grad objective        theta += alpha signal zeta

    The objective of ``policy`` is that of the action, such as log pi(a|s) or Q(s, a). A subclass builds the learners,
    implements the algorithm (``_begin``, ``_learn`` and ``_act``), and sets whether it has kernels. Both engines share
    one packed state.

    Attributes:
        value: V of the newest observation, or Q of the newest action there, computed at that step, [*lifetimes].
        signal: factor of the last update, such as the td error, [*lifetimes].
        entropy: of the policy at the newest action, in nats, [*lifetimes].
        growing_discount: gamma where it grows with the age of a lifetime, else None; the traces decay by the first one.
        sums: of the quantities in ``WATCHED``, then the number of steps, float64, [*lifetimes, 8].
        has_kernels: whether ``tracerl.kernels`` implements exactly this class.
        is_shared: V is the last output of the policy's network.
        looks_ahead: the value of s' is computed by a forward pass of the policy's network that leaves no state.
        entropy_weight: tau of the entropy bonus, with the factor of the head.
        value_weight: of V in the objective of that network.
        target: copy of V's readout that computes V(s') in the td error, [*lifetimes, n + 1]; None without one.
        target_rate: rate per env step at which it follows.
        engine_reason: why ``auto`` chose torch; None where it did not.
        network_description: what is printed of a convolutional network; None for others.
    """

    settings: TraceAgentSettings
    value: Tensor
    signal: Tensor
    entropy: Tensor
    sums: Tensor
    n_observed: int
    policy: TraceLearner
    critic: TraceLearner | None
    baseline: nn.Module | None = None  # computes the signal where there is no critic
    has_kernels = False
    is_shared = False
    looks_ahead = False
    entropy_weight = 0.0
    value_weight = 1.0
    target: Tensor | None
    target_rate = 1.0
    engine_reason: str | None = None
    network_description: str | None = None

    def __init__(
        self,
        observation_space: Space[Any],
        head: Head,
        lifetimes: Lifetimes,
        settings: TraceAgentSettings,
        encoder: Encoder,
    ) -> None:
        """Build all parts except the learners. The subclass builds these, then calls ``_pack`` and ``_choose_engine``.

        Args:
            observation_space: a Box; observations are flattened.
            head: chooses the actions.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: of the agent.
            encoder: built from the settings.
        """
        super().__init__()
        self.settings, self.lifetimes, self.encoder = settings, lifetimes, encoder
        self._observe(observation_space, encoder)
        self.head = head
        self.stream = UniformStream(lifetimes)
        self.discount, last = checks.discounts(settings.discount, settings.trace_decay)
        self.decay = self.discount * settings.trace_decay
        self.reward_scaler = RewardScaler(self.discount, lifetimes) if settings.scale_reward else None
        self.growing_discount: GrowingDiscount | None = None
        if last > self.discount:
            self.growing_discount = GrowingDiscount(self.discount, last, settings.horizon_share, lifetimes)
        self.log_prob_trace = LogProbTrace(self.decay, lifetimes)
        for name in ("value", "signal", "entropy"):
            self.register_buffer(name, lifetimes.zeros())
        self.register_buffer("target", None)
        self.register_buffer("sums", lifetimes.zeros(len(WATCHED) + 1, dtype=torch.float64))
        self._one = lifetimes.full(1.0, 1)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return self.settings.ignored_settings(self.head)

    def _learner(
        self, network: ScoredNetwork, rule: StepRuleSettings, rounding: StochasticRounding | None = None
    ) -> TraceLearner:
        built = rule.build(network, self.decay, self.lifetimes)
        return TraceLearner(network, built, self.decay, self.lifetimes, rounding)

    def _policy_learner(
        self,
        network: ScoredNetwork,
        rule: StepRuleSettings,
        weight_bits: int | None = None,
        outputs: Sequence[slice] = (slice(None),),
    ) -> TraceLearner:
        """Return the learner of the policy; ``weight_bits`` and ``outputs`` as of ``StochasticRounding``."""
        rounding = None if weight_bits is None else StochasticRounding(network, outputs, weight_bits, self.lifetimes)
        return self._learner(network, rule_of_policy(rule, self.head.n_components), rounding)

    def _pack(self, lifetimes: Lifetimes) -> None:
        """Move every buffer into the packed state; see ``PackedAgent``."""
        super()._pack(lifetimes)
        self._sums = self.sums.unbind(-1)

    def _choose_engine(self) -> None:
        """Use the fused engine where the settings ask for it and it is supported; the last step of a construction.

        Raises:
            ConfigError: the engine is unknown, or the agent cannot be fused.
        """
        engine = self.settings.engine
        checks.choice("engine", engine, ("auto", "torch", "fused"))
        reason = self._unsupported()
        if engine == "fused" and reason:
            raise checks.ConfigError("engine", f"cannot be fused: {reason}")
        fused = engine == "fused" or (engine == "auto" and not reason)
        self.engine = "fused" if fused else "torch"
        self.engine_reason = reason if engine == "auto" else None
        if fused:
            from tracerl.kernels.engine import FusedEngine  # the import compiles; the torch engine does not need it

            self.fused = FusedEngine(self.fused_parts(), self.settings.threads or available_cores())

    def fused_parts(self) -> "AgentParts":
        """Return the parts of the agent that the kernels need."""
        from tracerl.kernels.describe import AgentParts

        return AgentParts(
            state=self.memory,
            policy=self.policy,
            critic=self.critic,
            encoder=self.encoder,
            head=self.head,
            stream=self.stream,
            reward_scaler=self.reward_scaler,
            growing_discount=self.growing_discount,
            baseline=self.baseline,
            log_prob_trace=self.log_prob_trace,
            rounding=self.policy.rounding,
            value=self.value,
            signal=self.signal,
            entropy=self.entropy,
            sums=self.sums,
            fault=self.fault,
            n_observed=self.n_observed,
            discount=self.discount,
            entropy_weight=self.entropy_weight,
            is_shared=self.is_shared,
            looks_ahead=self.looks_ahead,
            value_weight=self.value_weight,
            target=self.target,
            target_rate=self.target_rate,
        )

    def _unsupported(self) -> str | None:
        """Return why the fused engine does not support this agent; None where it does."""
        if self.lifetimes.device.type != "cpu":
            return f"it runs on the CPU, not on {self.lifetimes.device}"
        if not vars(type(self)).get("has_kernels"):  # a subclass may compute something else
            return f"it has no kernels for {type(self).__name__}"
        return unsupported(self.encoder, self.head, self._learners())

    def _receive(self, reward: Tensor) -> tuple[Tensor, float | Tensor]:
        """Return a reward in the units in which the agent learns, and gamma of this step; advance both."""
        grown = None if self.growing_discount is None else self.growing_discount()
        reward = scale_reward(self.reward_scaler, reward, self.signal.dtype, grown)
        return reward, self.discount if grown is None else grown

    def _learners(self) -> list[TraceLearner]:
        return [learner for learner in (self.policy, self.critic) if learner is not None]

    def _has_value(self) -> bool:
        return self.looks_ahead or self.critic is not None

    def _rules(self) -> list[StepRule]:
        return [learner.step_rule for learner in self._learners()]

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of both networks; see ``tracerl.nn.views.Visible``."""
        found = self.policy.spiking_layers("policy")
        return found if self.critic is None else found | self.critic.spiking_layers("value")

    def policy_outputs(self) -> PolicyOutputs:
        """Return the policy outputs at the newest observation; see ``tracerl.nn.views.Visible``."""
        outputs = super().policy_outputs()
        return outputs if self._has_value() else replace(outputs, value=None)

    def distributions(self) -> dict[str, Tensor]:
        """Return weights, decays, thresholds and traces of both networks; see ``tracerl.nn.views.Distributed``."""
        found = self.policy.distributions("policy")
        return found if self.critic is None else found | self.critic.distributions("value")

    def _clear(self, mask: Tensor | None) -> None:
        """Clear membranes and traces at the end of an episode, in the lifetimes of the mask or in all."""
        self.policy.reset_state(mask)
        if self.critic is not None:
            self.critic.reset_state(mask)
        self.log_prob_trace.reset_state(mask)
        if self.reward_scaler is not None:
            self.reward_scaler.end_episode(mask)

    def _choose(self, outputs: Tensor) -> None:
        """Sample an action from the outputs of the policy's network, [*lifetimes, n_outputs], and its statistics."""
        self.head.sample(outputs, self.stream)
        self.log_prob_trace.accumulate(self.head.log_probability())
        self.entropy.copy_(self.head.entropy())
        self._check_finite(self.entropy)

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Convert sums in the network's dtype, as were once saved, to float64; see ``StateModule.upgrade``."""
        return tensor.double() if name == "sums" else tensor

    def _watch(self) -> None:
        """Check that the step sizes are finite, then add this step's quantities (``WATCHED``) and 1 to the sums."""
        sums, step_size = self._sums, self.policy.step_rule.step_size
        both = step_size if self.critic is None else step_size + self.critic.step_rule.step_size
        self._check_finite(both.squeeze(-1))
        sums[0].add_(self.signal)
        sums[1].add_(self.signal.abs())
        sums[2].add_(self.entropy)
        sums[3].add_(self.log_prob_trace.trace, alpha=1 - self.log_prob_trace.trace_decay)
        sums[4].add_(step_size.squeeze(-1))
        if self._has_value():
            sums[5].add_(self.value)
        if self.critic is not None:
            sums[6].add_(self.critic.step_rule.step_size.squeeze(-1))
        sums[7].add_(1)

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return the quantities to log, averaged since the last call; see ``Agent.diagnostics``."""
        means = finite_means(self.sums.reshape(-1, len(WATCHED) + 1).cpu().numpy())
        shown = WATCHED if self.critic is not None else WATCHED[: 6 if self.looks_ahead else 5]
        found = dict(zip(shown, means.tolist(), strict=False))
        self.sums.zero_()
        found |= super().diagnostics() | self.policy.diagnostics("policy")
        return found if self.critic is None else found | self.critic.diagnostics("value")
