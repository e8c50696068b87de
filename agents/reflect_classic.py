"""REFLECT as traceTorch 0.3.0 has it, to the number, with a switch for each of its known defects."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from tracerl import checks
from tracerl.agent import Action, Observation, Verb
from tracerl.arena import Arena
from tracerl.encoders import Raw
from tracerl.heads import Categorical
from tracerl.lives import Lives
from tracerl.module import StateModule
from tracerl.optim.rule import StepRuleSettings
from tracerl.rules.classic_learner import ClassicLearner
from tracerl.rules.reflect_classic import Timescales
from tracerl.spaces import discrete_actions, observation_size
from tracerl.streams import UniformStream
from tracerl.trace_network import TraceDense

WATCHED = ("learn/td_error", "learn/td_error_magnitude", "learn/entropy", "learn/logprob_trace")  # summed at every step
_PATIENCE = 1000  # rewards per life that must all be the same before the agent says so


class ReflectClassicAgent(StateModule):
    """Spiking layers under a softmax, taught by REFLECT: no critic, no eligibility of a synapse.

    One env step: the reward's signal is carried back through the layers, one step down the gradient is taken; then the
    network sees the new observation and acts. The end of an episode clears membranes and traces; the reward's average
    is of the whole life. The reward is neither scaled nor bootstrapped: truncated and terminated are the same.
    """

    sums: Tensor

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lives: Lives,
        *,
        network: TraceDense,
        encoder: Raw,
        optimizer: StepRuleSettings,
        decays: Sequence[float],
        learn_decay: bool,
        learn_mixture: bool,
        paired_traces: bool,
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: a Discrete space.
            lives: how many lives, from which seeds; maker of all tensors.
            network: of the policy.
            encoder: from observations to input currents.
            optimizer: step-size rule.
            decays: of REFLECT's averages per env step, one for each of its timescales.
            learn_decay: make them parameters.
            learn_mixture: make the weights of the timescales parameters; one timescale has nothing to mix.
            paired_traces: keep the trace of the product of state and action, per parameter, in place of two averages.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces do not fit.
        """
        super().__init__()
        n_actions, self.first_action = discrete_actions(action_space)
        checks.flag("paired_traces", paired_traces)
        self.lives = lives
        self.encoder = encoder.build(observation_size(observation_space), lives)
        self.head = Categorical(n_actions, lives)
        self.stream = UniformStream(lives)
        built = network.build(self.encoder.n_out, n_actions, lives)
        if not list(built.parameters()):
            raise checks.ConfigError("network.learn_weight", "must be true where nothing else is learned")
        timescales = _timescales(decays, learn_decay, learn_mixture, lives)
        self.policy = ClassicLearner(built, timescales, paired_traces, optimizer, lives)
        self.register_buffer("sums", lives.zeros(len(WATCHED) + 1))
        self.memory = Arena(self, lives)
        self._watch_rewards: ConstantReward | None = ConstantReward(len(lives.seeds))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ReflectClassicAgent":
        """Refuse to be moved: views would go on looking at the old memory."""
        raise RuntimeError("an agent cannot be moved: build it with Lives(seed, dtype, device) where it shall live")

    @torch.inference_mode()
    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``."""
        return self._act(self.encoder(self._tensor(observation), first=True)).item() + self.first_action

    @torch.inference_mode()
    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from the last reward and act; see ``Agent.step``."""
        return self._act(self._learn(reward, observation)).item() + self.first_action

    @torch.inference_mode()
    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last reward and clear membranes and traces; see ``Agent.end``."""
        self._learn(reward, observation)
        self.policy.reset_state()

    @torch.inference_mode()
    def advance(
        self, verbs: np.ndarray[Any, Any], rewards: np.ndarray[Any, Any], observations: Observation
    ) -> np.ndarray[Any, Any]:
        """Carry out one verb for each of many lives; see ``ManyAgents.advance``."""
        starting, ended, learning = verbs == Verb.START, verbs >= Verb.TERMINATED, verbs >= Verb.STEP
        current = self.lives.zeros(self.encoder.n_out)
        if learning.any():
            with self.memory.only(learning, self.policy.step_rule.foreign_state()):
                current = self._learn(rewards, observations, learning)
        if ended.any():
            self.policy.reset_state(self._mask(ended))
        if starting.any():
            with self.memory.only(starting):
                first: Tensor = self.encoder(self._tensor(observations), first=True)
                current = torch.where(self._mask(starting).unsqueeze(-1), first, current)
        acting = starting | (verbs == Verb.STEP)
        if acting.any():
            with self.memory.only(acting):
                self._act(current)
        return self.head.action.cpu().numpy() + self.first_action

    def _learn(self, rewards: Any, observation: Observation, learning: Any = True) -> Tensor:
        """Update the policy from one reward per life and return the current of the new observation."""
        if self._watch_rewards is not None and self._watch_rewards.settled(rewards, learning):
            self._watch_rewards = None
        self.policy.learn(torch.as_tensor(rewards, dtype=self.lives.dtype, device=self.lives.device))
        self._watch()
        current: Tensor = self.encoder(self._tensor(observation))
        return current

    def _act(self, current: Tensor) -> Tensor:
        """Let the policy see the current, sample an action and remember it."""
        action = self.head.sample(self.policy(current), self.stream.draw())
        self.policy.remember(action, self.head.log_probability())
        return action

    def _mask(self, mask: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(mask).to(self.lives.device)

    def _tensor(self, observation: Observation) -> Tensor:
        """Return the observation flattened: float64, [*lives, n]."""
        tensor = torch.as_tensor(observation, dtype=torch.float64, device=self.lives.device)
        return tensor.reshape(*self.lives.shape, -1)

    def _watch(self) -> None:
        """Add this step's numbers, in the order of ``WATCHED``, and a count to what ``diagnostics`` averages."""
        advantage = self.policy.timescales.advantage
        logprob, one = self.policy.timescales.logprob, torch.ones_like(advantage)
        seen = (advantage, advantage.abs(), self.head.entropy(), logprob, one)
        self.sums.add_(torch.stack(seen, -1))

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return what is worth plotting, averaged since the last call; see ``Agent.diagnostics``."""
        sums = self.sums.reshape(-1, len(WATCHED) + 1).sum(0)
        found = dict(zip(WATCHED, (sums[:-1] / sums[-1].clamp(min=1)).tolist(), strict=True))
        self.sums.zero_()
        found["learn/step_size_policy"] = float(self.policy.step_rule.step_size.mean())
        for i, layer in enumerate(self.policy.network.layers):
            found[f"spikes/policy_{i}_rate"] = float(layer.rate.mean())
        return found


def _timescales(decays: Any, learn_decay: bool, learn_mixture: bool, lives: Lives) -> Timescales:
    """Check the settings of REFLECT's timescales and make them."""
    if isinstance(decays, (str, float, int)) or not decays:
        raise checks.ConfigError("decays", f"must be a list of decays such as [0.9], got {decays!r}")
    for decay in decays:
        checks.number("decays", decay, "numbers between 0 and 1", 0.0, 1.0, closed="()")
    checks.flag("learn_decay", learn_decay)
    checks.flag("learn_mixture", learn_mixture)
    return Timescales(decays, lives, learn_decay=learn_decay, learn_mixture=learn_mixture)


class ConstantReward:
    """Watch the first rewards of all lives and warn where each was the same: their difference from their average is 0.

    Left out of the agent's state: a life that goes on from a checkpoint is watched anew.
    """

    def __init__(self, lives: int) -> None:
        """Start with nothing seen."""
        self._left = _PATIENCE * lives
        self._reward = math.nan

    def settled(self, rewards: Any, counted: Any) -> bool:
        """Take in rewards ([lives], or one) where ``counted``; return whether there is nothing left to watch."""
        seen = np.atleast_1d(rewards)[np.atleast_1d(counted)]
        if math.isnan(self._reward):
            self._reward = float(seen[0])
        if (seen != self._reward).any():
            return True
        self._left -= len(seen)
        if self._left <= 0:
            warnings.warn(
                f"the first {_PATIENCE:,} rewards were all {self._reward:g}, which says nothing about any action:"
                " agent=reflect_classic learns from the reward minus its average alone and has nothing to learn from"
                " here. agent=reflect, with the td error of its critic, does.",
                checks.ConfigWarning,
                stacklevel=2,
            )
        return self._left <= 0
