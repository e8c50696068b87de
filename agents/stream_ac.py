"""Stream AC(lambda), the peer without spikes: actor-critic by autograd, each transition used once.

Elsayed, Vasan and Mahmood 2024, "Streaming deep reinforcement learning finally works"
(https://arxiv.org/abs/2410.14606), written from its equations. Left out: many lives at once, since autograd runs one
graph per env step.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor
from torch.nn.functional import layer_norm, leaky_relu, linear

from tracerl import checks
from tracerl.agent import Action, Observation
from tracerl.encoders import EncoderSettings
from tracerl.heads import head_for
from tracerl.layers.synapses import sparsify_
from tracerl.lives import Lives
from tracerl.memories import check_names, memories, write
from tracerl.module import StateModule
from tracerl.scaling import RewardScaler
from tracerl.spaces import observation_shape
from tracerl.streams import UniformStream
from tracerl.view import Outlook, SpikingNeurons

WATCHED = (  # what is summed at every step
    "learn/td_error",
    "learn/td_error_magnitude",
    "learn/entropy",
    "learn/value",
    "learn/step_size_policy",
    "learn/step_size_value",
)


@dataclass(frozen=True)
class Settings:
    """Numbers of the agent; see ``configs/agent/stream_ac.yaml``."""

    hidden: Sequence[int]
    sparsity: float
    discount: float
    trace_decay: float
    entropy: float
    lr: float
    kappa_policy: float
    kappa_value: float
    scale_reward: bool

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if not isinstance(self.hidden, (list, tuple)) or not self.hidden:
            raise checks.ConfigError("hidden", f"must be a list of layer widths such as [128], got {self.hidden!r}")
        for size in self.hidden:
            checks.whole("hidden", size, 1)
        checks.decay("sparsity", self.sparsity)
        if any(round(self.sparsity * size) == size for size in self.hidden):  # nothing would get past that layer
            problem = f"must be low enough to keep one of {min(self.hidden)} hidden units, got {self.sparsity!r}"
            raise checks.ConfigError("sparsity", problem)
        checks.fading(self.discount, self.trace_decay)
        checks.non_negative("entropy", self.entropy)
        for name in ("lr", "kappa_policy", "kappa_value"):
            checks.positive(name, getattr(self, name))
        checks.flag("scale_reward", self.scale_reward)


def sparse_weight(n_in: int, n_out: int, sparsity: float, lives: Lives) -> Tensor:
    """Draw U(-1/sqrt(n_in), 1/sqrt(n_in)), then zero a random share of every row (Elsayed et al. 2024, SparseInit).

    The number of zeros is the nearest whole one: all four in the bottom layer for four inputs. Such a layer is no
    dead end, since its gradient passes the layers above only, and it starts free of random features: on CartPole that
    learns in half the steps of keeping one input per unit.

    Args:
        n_in: inputs, the columns.
        n_out: units, the rows.
        sparsity: share of zeros in each row, in [0, 1).
        lives: maker of tensors, of one life.

    Returns:
        [n_out, n_in].
    """
    bound = 1 / math.sqrt(n_in)
    return sparsify_(lives.uniform(-bound, bound, n_out, n_in), sparsity, lives)


class TracedPerceptron:
    """A perceptron with the eligibility trace of its objective, and the bounded step along it.

    h = leaky_relu(layer_norm(W h + b)) in every hidden layer, y = W h + b on top; the norm has no parameters.

    The ``.grad`` of every parameter is a view of the trace and is never cleared: ``backward`` adds to it in place, so
    fading the trace before is all that z = gamma lambda z + grad takes.

    Attributes:
        flat: every parameter in one buffer, [n]; the parameters are views of it.
        eligibility_trace: z, laid out as ``flat``, [n].
        step_size: alpha of the last step.
    """

    def __init__(self, sizes: Sequence[int], settings: Settings, kappa: float, lives: Lives) -> None:
        """Draw sparse weights, with biases and the trace at zero.

        Args:
            sizes: of the input, of each hidden layer and of the output.
            settings: of the agent.
            kappa: how far a step may reach: larger is more careful.
            lives: maker of tensors, of one life; its generator is advanced.
        """
        self.decay = settings.discount * settings.trace_decay
        self.lr, self.kappa = settings.lr, kappa
        self.step_size = 0.0
        layers = [(sparse_weight(*pair, settings.sparsity, lives), lives.zeros(pair[1])) for pair in pairwise(sizes)]
        self.flat = torch.cat([tensor.flatten() for layer in layers for tensor in layer])
        self.eligibility_trace = torch.zeros_like(self.flat)
        start, self.parameters = 0, []
        for initial in (tensor for layer in layers for tensor in layer):
            here = slice(start, start := start + initial.numel())
            parameter = self.flat[here].view(initial.shape).requires_grad_()
            parameter.grad = self.eligibility_trace[here].view(initial.shape)
            self.parameters.append(parameter)
        *self.hidden, self.readout = zip(self.parameters[::2], self.parameters[1::2], strict=True)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return y, [1, n_out], for inputs of [1, n_in]."""
        for weight, bias in self.hidden:
            inputs = leaky_relu(layer_norm(linear(inputs, weight, bias), bias.shape))
        return linear(inputs, *self.readout)

    def fade(self) -> None:
        """Let the trace decay in place, z = gamma lambda z, before ``backward`` adds the newest gradient."""
        self.eligibility_trace.mul_(self.decay)

    def update(self, td_error: float) -> None:
        """Step along the trace in place, bounded by ObGD (Algorithm 3).

        M = lr kappa max(|delta|, 1) ||z||_1, alpha = lr / max(1, M), w += alpha delta z.
        """
        norm = self.eligibility_trace.abs().sum().item()
        self.step_size = self.lr / max(1.0, self.lr * self.kappa * max(abs(td_error), 1.0) * norm)
        self.flat.add_(self.eligibility_trace, alpha=self.step_size * td_error)


class StreamACAgent:
    """Learn online from each transition, once, with eligibility traces of two perceptrons.

        delta = r + gamma V(s') [s' not terminal] - V(s)
        z_w = gamma lambda z_w + grad V(s)
        z_theta = gamma lambda z_theta + grad (log pi(a|s) + tau sign(delta) H(pi(.|s)))

    and both networks step along delta z; both values are those of the present critic. Traces end with the episode.
    Rewards and observations are scaled as everywhere in tracerl (``tracerl.scaling``).

    The policy's graph is kept from acting until the reward is there: its parameters do not change in between.

    Attributes:
        frozen: it acts, and learns no more; see ``freeze``.
    """

    frozen = False

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lives: Lives,
        *,
        encoder: EncoderSettings,
        hidden: Sequence[int],
        sparsity: float,
        discount: float,
        trace_decay: float,
        entropy: float,
        lr: float,
        kappa_policy: float,
        kappa_value: float,
        scale_reward: bool,
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.heads``.
            lives: one life, without a leading axis; maker of all tensors.
            encoder: from observations to the networks' inputs; one that holds its code, since there are no ticks.
            hidden: units of each hidden layer of policy and critic, bottom first.
            sparsity: share of each unit's incoming weights that start at zero.
            discount: gamma per env step.
            trace_decay: lambda; the eligibility traces decay by gamma lambda per env step.
            entropy: tau, weight of the entropy bonus.
            lr: largest step size of both networks.
            kappa_policy: how far a step of the policy may reach: larger is more careful.
            kappa_value: the same for the critic.
            scale_reward: divide rewards by the running deviation of their discounted sum.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces do not fit.
            ValueError: more than one life.
        """
        if lives.shape:
            raise ValueError(f"lives must be one life without a leading axis, got the axes {lives.shape} (stream_ac)")
        settings = Settings(
            hidden, sparsity, discount, trace_decay, entropy, lr, kappa_policy, kappa_value, scale_reward
        )
        self.discount, self.entropy_weight, self.device = discount, entropy, lives.device
        self.encoder = encoder.build_held(observation_shape(observation_space), lives)
        self.head, self.stream = head_for(action_space, lives), UniformStream(lives)
        self.reward_scaler = RewardScaler(discount, lives) if scale_reward else None
        sizes = [self.encoder.n_out, *hidden]
        self.policy = TracedPerceptron([*sizes, self.head.n_outputs], settings, kappa_policy, lives)
        self.critic = TracedPerceptron([*sizes, 1], settings, kappa_value, lives)
        self.inputs = lives.zeros(1, self.encoder.n_out)
        self.outputs = lives.zeros(1, self.head.n_outputs)  # of the policy, with its graph
        self.td_error = 0.0
        self.lives, self.faults = lives, np.zeros((), np.int64)
        self._sums, self._steps = dict.fromkeys(WATCHED, 0.0), 0

    def _parts(self) -> dict[str, StateModule]:
        parts: dict[str, StateModule | None] = {
            "encoder": self.encoder,
            "head": self.head,
            "stream": self.stream,
            "reward_scaler": self.reward_scaler,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def capture(self) -> dict[str, Tensor]:
        """Return everything the agent remembers; see ``Stateful.capture``."""
        found = {f"{part}.{name}": t for part, module in self._parts().items() for name, t in memories(module)}
        for name, network in (("policy", self.policy), ("critic", self.critic)):
            found |= {f"{name}.flat": network.flat.detach(), f"{name}.trace": network.eligibility_trace}
            found[f"{name}.step_size"] = torch.tensor(network.step_size, dtype=torch.float64)
        found["inputs"] = self.inputs
        watched = [self.td_error, *self._sums.values(), self._steps]
        return found | {"watched": torch.tensor(watched, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the agent that ``capture`` was called of; see ``Stateful.restore``."""
        mine = self.capture()
        check_names(mine, state)
        with torch.no_grad():
            for name, tensor in mine.items():
                write(name, tensor, state[name])  # the memory itself, but for the numbers that follow
        for name, network in (("policy", self.policy), ("critic", self.critic)):
            network.step_size = state[f"{name}.step_size"].item()
        self.td_error, *sums, steps = state["watched"].tolist()
        self._sums, self._steps = dict(zip(WATCHED, sums, strict=True)), int(steps)
        self.outputs = self.policy(self.inputs)  # of the same parameters as when it acted, with a graph again

    def abandon(self) -> None:
        """Clear what belongs to the running episode; see ``Stateful.abandon``."""
        self.policy.eligibility_trace.zero_()
        self.critic.eligibility_trace.zero_()
        if self.reward_scaler is not None:
            self.reward_scaler.end_episode()

    def freeze(self) -> None:
        """Learn no more, and act as before; see ``OnlineAgent.freeze``."""
        self.frozen = True

    def act_greedily(self) -> None:
        """Take the likeliest action from now on; see ``OnlineAgent.act_greedily``."""
        self.head.greedy = True

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return nothing: no neuron spikes; see ``tracerl.view.Visible``."""
        return {}

    @torch.no_grad()
    def outlook(self) -> Outlook:
        """Return what the agent makes of where it is; see ``tracerl.view.Visible``."""
        of_head = {name: getattr(self.head, name, None) for name in ("probabilities", "mean", "std")}
        td_error = torch.tensor(self.td_error, dtype=torch.float64)
        return Outlook(**of_head, value=self.critic(self.inputs).squeeze(), td_error=td_error)

    def start(self, observation: Observation) -> Action:
        """Begin an episode; see ``Agent.start``."""
        self.inputs = self.encoder(self._tensor(observation), first=True).unsqueeze(0)
        return self._act()

    def step(self, reward: float, observation: Observation) -> Action:
        """Learn from one transition and act; see ``Agent.step``."""
        self._learn(reward, observation, terminated=False)
        return self._act()

    def end(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Learn from the last transition and clear the traces; see ``Agent.end``."""
        self._learn(reward, observation, terminated)
        self.abandon()

    def _learn(self, reward: float, observation: Observation, terminated: bool) -> None:
        """Update both networks from one transition; ``inputs`` becomes that of the new observation."""
        value_t = self.critic(self.inputs)
        self.inputs = self.encoder(self._tensor(observation)).unsqueeze(0)
        with torch.no_grad():
            value_tp1 = 0.0 if terminated else self.critic(self.inputs).item()
        value = value_t.item()
        self.td_error = self._scaled(reward) + self.discount * value_tp1 - value
        if not math.isfinite(self.td_error):
            self.faults[()] = 1
            return
        bonus = math.copysign(self.entropy_weight, self.td_error) if self.td_error else 0.0
        self.critic.fade()
        self.policy.fade()
        score = self.head.score() + bonus * self.head.entropy_gradient()
        torch.autograd.backward((value_t, self.outputs), (torch.ones_like(value_t), score[None]))  # adds to both traces
        if not self.frozen:
            self.critic.update(self.td_error)
            self.policy.update(self.td_error)
        self._watch(value)

    def _act(self) -> Action:
        """Let the policy see the inputs and sample an action."""
        self.outputs = self.policy(self.inputs)
        self.head.sample(self.outputs.detach()[0], self.stream)
        return self.head.chosen()

    def _scaled(self, reward: float) -> float:
        if self.reward_scaler is None:
            return reward
        return float(self.reward_scaler(torch.tensor(reward, dtype=torch.float64, device=self.device)))

    def _tensor(self, observation: Observation) -> Tensor:
        """Return the observation flattened: float64, [n]."""
        return torch.as_tensor(observation, dtype=torch.float64, device=self.device).reshape(-1)

    def _watch(self, value: float) -> None:
        """Add this step's numbers, in the order of ``WATCHED``, to what ``diagnostics`` averages."""
        delta = self.td_error
        seen = (delta, abs(delta), self.head.entropy().item(), value, self.policy.step_size, self.critic.step_size)
        for name, number in zip(WATCHED, seen, strict=True):
            self._sums[name] += number
        self._steps += 1

    def diagnostics(self) -> dict[str, float]:
        """Return what is worth plotting, averaged since the last call; see ``Agent.diagnostics``."""
        found = {name: total / max(self._steps, 1) for name, total in self._sums.items()}
        self._sums, self._steps = dict.fromkeys(WATCHED, 0.0), 0
        found["learn/trace_norm_policy"] = self.policy.eligibility_trace.norm().item()
        found["learn/trace_norm_value"] = self.critic.eligibility_trace.norm().item()
        return found
