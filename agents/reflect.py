"""The default agent: REFLECT(lambda) with a spiking policy and, for the td signal, a spiking critic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from tracerl import checks
from tracerl import functional as F
from tracerl.agent import Action, Observation
from tracerl.encoders import EncoderSettings
from tracerl.heads import Head, head_for
from tracerl.kernels.coverage import without_kernel
from tracerl.lives import Lives
from tracerl.network import Dense
from tracerl.online import OnlineAgent
from tracerl.optim.rule import StepRule, StepRuleSettings
from tracerl.rules.reflect import LogProbTrace, TraceLearner
from tracerl.rules.signals import AdvantageSignal, RewardSignal
from tracerl.scaling import RewardScaler
from tracerl.spaces import observation_shape
from tracerl.streams import UniformStream
from tracerl.threads import available_cores
from tracerl.view import Outlook, SpikingNeurons

if TYPE_CHECKING:
    from tracerl.kernels.engine import FusedEngine

SIGNALS = ("td", "advantage", "reward")
WATCHED = (  # what is summed at every step, the critic's last
    "learn/td_error",
    "learn/td_error_magnitude",
    "learn/entropy",
    "learn/logprob_trace",
    "learn/step_size_policy",
    "learn/value",
    "learn/step_size_value",
)


@dataclass(frozen=True)
class Settings:
    """Numbers of the agent itself; see ``configs/agent/reflect.yaml``."""

    signal: str
    discount: float
    trace_decay: float
    entropy: float
    scale_reward: bool
    average_decay: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.choice("signal", self.signal, SIGNALS)
        checks.fading(self.discount, self.trace_decay)
        checks.non_negative("entropy", self.entropy)
        checks.flag("scale_reward", self.scale_reward)
        checks.decay("average_decay", self.average_decay)


class ReflectAgent(OnlineAgent):
    """Learn online from each transition, once, with eligibility traces through spiking neurons.

    One env step, with one forward pass of each network per observation: the critic's score of the old observation
    joins its trace; the critic sees the new observation; the td error delta; the policy's score of the old action
    (its entropy gradient added, with the sign of delta) joins its trace; both networks step along delta times trace;
    the policy sees the new observation and acts.

    V(s) is the value computed when s was seen, before the update that followed.
    """

    value: Tensor
    signal: Tensor
    entropy: Tensor
    sums: Tensor

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lives: Lives,
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
        head: Callable[[Space[Any], Lives], Head] | None = None,
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.heads``.
            lives: how many lives, from which seeds; maker of all tensors.
            network: of the policy and of the critic, which differ in their outputs only.
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
            threads: of the fused engine, which share many lives out among them; None: one per core.
            head: makes the distribution over actions; None: the one that goes with the action space.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces do not fit.
        """
        super().__init__()
        self.settings = Settings(signal, discount, trace_decay, entropy, scale_reward, average_decay)
        self.lives = lives
        self.encoder = encoder.build(observation_shape(observation_space), network.ticks, lives)
        self.head = head_for(action_space, lives, head)
        self.stream = UniformStream(lives)
        self.reward_scaler = RewardScaler(discount, lives) if scale_reward else None
        decay = discount * trace_decay
        self.policy = self._learner(network, self.head.n_outputs, optimizer["policy"], decay)
        self.critic = self._learner(network, 1, optimizer["value"], decay) if signal == "td" else None
        self.baseline = RewardSignal() if signal == "reward" else AdvantageSignal(average_decay, lives)
        self.log_prob_trace = LogProbTrace(decay, lives)
        for name in ("value", "signal", "entropy"):
            self.register_buffer(name, lives.zeros())
        self.register_buffer("sums", lives.zeros(len(WATCHED) + 1))
        self._one = lives.full(1.0, 1)
        self._pack(lives)
        self._sums = self.sums.unbind(-1)
        self.fused = self._choose_engine(engine, threads)

    def _choose_engine(self, engine: str, threads: int | None) -> "FusedEngine | None":
        """Return the fused engine where it is asked for and can be had, else None: torch.

        Sets ``engine`` to the name of the one chosen and ``engine_reason`` to why it is torch where ``auto`` chose it.
        """
        checks.choice("engine", engine, ("auto", "torch", "fused"))
        obstacle = self._obstacle_to_fusing()
        if engine == "fused" and obstacle:
            raise checks.ConfigError("engine", f"cannot be fused: {obstacle}")
        fused = engine == "fused" or (engine == "auto" and not obstacle)
        self.engine = "fused" if fused else "torch"
        self.engine_reason = obstacle if engine == "auto" else None
        if not fused:
            return None
        from tracerl.kernels.engine import FusedEngine  # compiles, which the torch engine need not wait for

        return FusedEngine(self, threads or available_cores())

    def _obstacle_to_fusing(self) -> str | None:
        """Say what the fused engine lacks for this agent; None where it lacks nothing."""
        if self.lives.device.type != "cpu":
            return f"it runs on the CPU, not on {self.lives.device}"
        if type(self) is not ReflectAgent:
            return f"it has no kernels for {type(self).__name__}"
        missing = without_kernel(self.encoder, self.head, self._rules())
        return missing or self.policy.network.obstacle_to_fusing()

    def _rules(self) -> list[StepRule]:
        return [learner.step_rule for learner in (self.policy, self.critic) if learner is not None]

    def _learner(self, network: Dense, n_outputs: int, rule: StepRuleSettings, decay: float) -> TraceLearner:
        built = network.build(self.encoder.shape, n_outputs, self.lives)
        return TraceLearner(built, rule.build(built, decay, self.lives), decay, self.lives)

    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``."""
        return super().start(observation) if self.fused is None else self.fused.start(observation)

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from one transition and act; see ``Agent.step``."""
        return super().step(reward, observation) if self.fused is None else self.fused.step(reward, observation)

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition and clear membranes and traces; see ``Agent.end``."""
        if self.fused is None:
            super().end(reward, observation, terminated)
        else:
            self.fused.end(reward, observation, terminated)

    def advance(
        self, verbs: np.ndarray[Any, Any], rewards: np.ndarray[Any, Any], observations: Observation
    ) -> np.ndarray[Any, Any]:
        """Carry out one verb for each of many lives; see ``ManyAgents.advance``."""
        if self.fused is None:
            return super().advance(verbs, rewards, observations)
        return self.fused.advance(verbs, rewards, observations)

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of both networks; see ``tracerl.view.Visible``."""
        found = self.policy.spiking_layers("policy")
        return found if self.critic is None else found | self.critic.spiking_layers("value")

    def outlook(self) -> Outlook:
        """Return what the agent makes of where it is; see ``tracerl.view.Visible``."""
        outlook = super().outlook()
        return outlook if self.critic is not None else replace(outlook, value=None)

    def _chosen(self) -> Any:
        return self.head.chosen()

    def _begin(self, observation: Tensor) -> Tensor:
        """See the first observation of an episode and return its current."""
        current: Tensor = self.encoder(observation, first=True)
        if self.critic is not None:
            self.value.copy_(self.critic.network(current).squeeze(-1))
        return current

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update both networks from one transition and return the current of the new observation."""
        if self.critic is not None:
            self.critic.accumulate(self._one)
        current: Tensor = self.encoder(observation)
        self._compute_signal(reward, current, continues)
        signal = self.signal
        if not self._sound(signal):
            return current
        bonus = self.head.entropy_gradient() * (self.settings.entropy * signal.sign()).unsqueeze(-1)
        self.policy.accumulate(bonus.add_(self.head.score()))
        self.policy.update(signal)
        moved = self.policy.step_rule.step_size
        if self.critic is not None:
            self.critic.update(signal)
            moved = moved + self.critic.step_rule.step_size
        self._sound(moved.squeeze(-1))
        self._watch()
        return current

    def _compute_signal(self, reward: Tensor, current: Tensor, continues: Tensor) -> None:
        """Turn the reward into the signal, in place; where there is a critic, it sees the new observation."""
        if self.reward_scaler is not None:
            reward = self.reward_scaler(reward)
        scaled = reward.to(self.lives.dtype)
        if self.critic is None:
            self.signal.copy_(self.baseline(scaled))
            return
        value_tp1 = self.critic.network(current).squeeze(-1)
        self.signal.copy_(F.td_error(scaled, self.value, value_tp1, self.settings.discount, continues))
        self.value.copy_(value_tp1)

    def _act(self, current: Tensor) -> None:
        """Let the policy see the current and sample an action."""
        self.head.sample(self.policy.network(current), self.stream)
        self.log_prob_trace.accumulate(self.head.log_probability())
        self.entropy.copy_(self.head.entropy())
        self._sound(self.entropy)

    def _clear(self, mask: Tensor | None) -> None:
        """Clear membranes and traces at the end of an episode, in the lives of the mask or in all."""
        self.policy.reset_state(mask)
        if self.critic is not None:
            self.critic.reset_state(mask)
        self.log_prob_trace.reset_state(mask)
        if self.reward_scaler is not None:
            self.reward_scaler.end_episode(mask)

    def _watch(self) -> None:
        """Add this step's numbers, in the order of ``WATCHED``, and a count to what ``diagnostics`` averages."""
        sums = self._sums
        sums[0].add_(self.signal)
        sums[1].add_(self.signal.abs())
        sums[2].add_(self.entropy)
        sums[3].add_(self.log_prob_trace.trace, alpha=1 - self.log_prob_trace.trace_decay)
        sums[4].add_(self.policy.step_rule.step_size.squeeze(-1))
        if self.critic is not None:
            sums[5].add_(self.value)
            sums[6].add_(self.critic.step_rule.step_size.squeeze(-1))
        sums[7].add_(1)

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return what is worth plotting, averaged since the last call; see ``Agent.diagnostics``."""
        sums = self.sums.reshape(-1, len(WATCHED) + 1).sum(0)
        means = sums[:-1] / sums[-1].clamp(min=1)
        shown = WATCHED if self.critic is not None else WATCHED[:5]
        found = dict(zip(shown, means.tolist(), strict=False))
        self.sums.zero_()
        found |= self.policy.diagnostics("policy")
        return found if self.critic is None else found | self.critic.diagnostics("value")
