"""Action values and an epsilon-greedy choice among them, for Q(lambda) and Sarsa(lambda)."""

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import Space, spaces
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.heads.categorical import SingleChoice, inverted
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream
from tracerl.nn.spaces import one_line

TARGETS = ("watkins", "sarsa", "expected_sarsa")


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedySettings:
    """Settings of the epsilon-greedy head; ``build`` makes the head.

    Attributes:
        target: the value of s' in the td error: ``watkins``: the largest Q(s', a). ``sarsa``: Q(s', a') of an action
            drawn from the policy. ``expected_sarsa``: the mean of Q(s', a) under the policy.
        epsilon_start: epsilon of the first action, in [0, 1].
        epsilon_end: epsilon after ``epsilon_steps`` actions; between them it changes linearly.
        epsilon_steps: number of actions, at least 1.
        atoms: 1: the network's outputs are Q. Above 1: they are the logits of a distribution over so many values, of
            which Q is the mean.
        value_range: the largest of these values; the least is its negative. Not used with one atom.
    """

    target: str
    epsilon_start: float
    epsilon_end: float
    epsilon_steps: int
    atoms: int
    value_range: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.choice("target", self.target, TARGETS)
        checks.unit_interval("epsilon_start", self.epsilon_start)
        checks.unit_interval("epsilon_end", self.epsilon_end)
        checks.whole("epsilon_steps", self.epsilon_steps, 1)
        checks.whole("atoms", self.atoms, 1)
        checks.positive("value_range", self.value_range)

    def build(self, space: Space[Any], lifetimes: Lifetimes) -> "EpsilonGreedy":
        """Make the head; a ConfigError if the space is not Discrete."""
        if not isinstance(space, spaces.Discrete):
            raise checks.ConfigError("env", f"must have a Discrete action space for this agent, got {one_line(space)}")
        return EpsilonGreedy(int(space.n), lifetimes, self, int(space.start))


class EpsilonGreedy(SingleChoice):
    """Q(s, a) of every action of a Discrete space; the action is the best one, or any with probability epsilon.

    With one atom the outputs are Q. With more, they are logits, one row of atoms per action, and

        p = softmax(row)        Q = sum_k p_k z_k        dQ / d logit_k = p_k (z_k - Q)

    where z are equally spaced from -value_range to value_range (the values of Bellemare, Dabney and Munos 2017,
    https://arxiv.org/abs/1707.06887; learned here by the td error of the mean, since a trace needs a scalar error).

    ``score`` is the gradient of Q(s, a) of the newest action in place of that of log pi, and no entropy bonus exists.

    Attributes:
        n_actions: number of actions.
        atoms: number of outputs per action.
        start: number of the first action.
        support: z, equally spaced values, [atoms].
        target: the value of s' in the td error; see ``EpsilonGreedySettings``.
        values: Q of the last outputs, [*lifetimes, n_actions].
        probabilities: of the actions under the epsilon-greedy policy, [*lifetimes, n_actions].
        weights: dQ / d output of the newest action's row, [*lifetimes, atoms].
        action: index of the last action, counted from 0, int64, [*lifetimes].
        explored: 1 where the last action was not the best one, int64, [*lifetimes].
        taken: number of actions so far, int64, [*lifetimes].
    """

    values: Tensor
    probabilities: Tensor
    weights: Tensor
    explored: Tensor
    taken: Tensor

    def __init__(self, n_actions: int, lifetimes: Lifetimes, settings: EpsilonGreedySettings, start: int = 0) -> None:
        """Initialise; ``start`` is the number of the first action."""
        super().__init__()
        self.n_actions, self.atoms, self.start = n_actions, settings.atoms, start
        self.n_outputs, self.target = n_actions * settings.atoms, settings.target
        self.value_range = settings.value_range
        self.epsilon_start, self.epsilon_end = settings.epsilon_start, settings.epsilon_end
        self.epsilon_steps = settings.epsilon_steps
        self.register_buffer("values", lifetimes.zeros(n_actions))
        self.register_buffer("probabilities", lifetimes.full(1 / n_actions, n_actions))
        self.register_buffer("weights", lifetimes.full(1.0, settings.atoms))
        for name in ("action", "explored", "taken"):
            self.register_buffer(name, lifetimes.zeros(dtype=torch.int64))
        spread = [self.value_range * (2 * k / max(self.atoms - 1, 1) - 1) for k in range(self.atoms)]
        self.support = torch.tensor(spread, dtype=lifetimes.dtype, device=lifetimes.device)

    def epsilon(self) -> Tensor:
        """Return epsilon of the next action: float64, [*lifetimes]."""
        passed = (self.taken.to(torch.float64) / self.epsilon_steps).clamp(max=1.0)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * passed

    def values_of(self, outputs: Tensor) -> Tensor:
        """Return Q of every action: [*lifetimes, n_actions].

        Args:
            outputs: of the network, [*lifetimes, n_actions * atoms].
        """
        if self.atoms == 1:
            return outputs
        return torch.softmax(outputs.unflatten(-1, (self.n_actions, self.atoms)), -1) @ self.support

    def policy_of(self, values: Tensor) -> Tensor:
        """Return the probabilities of the epsilon-greedy policy for action values: [*lifetimes, n_actions]."""
        epsilon = self.epsilon().to(values.dtype).unsqueeze(-1)
        best = torch.zeros_like(values).scatter_(-1, values.argmax(-1, keepdim=True), 1.0)
        return epsilon / self.n_actions + (1 - epsilon) * best

    def bootstrap(self, outputs: Tensor, stream: UniformStream) -> Tensor:
        """Return the value of s' in the td error: [*lifetimes].

        ``sarsa`` draws a' with the random number of the coming action, which is not used up by this. The coming action
        is therefore a' unless the update in between changes which action is the best.

        Args:
            outputs: of the network at s', [*lifetimes, n_outputs].
            stream: of random numbers, left as it is.
        """
        values = self.values_of(outputs)
        if self.target == "watkins":
            return values.amax(-1)
        probabilities = self.policy_of(values)
        if self.target == "expected_sarsa":
            return (probabilities * values).sum(-1)
        return values.gather(-1, inverted(probabilities, stream.peek()).unsqueeze(-1)).squeeze(-1)

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Choose an action by inverting the policy's cumulative distribution; see ``Head.sample``."""
        self.values.copy_(self.values_of(outputs))
        self.probabilities.copy_(self.policy_of(self.values))
        drawn, best = stream.draw(), self.values.argmax(-1)
        self.action.copy_(best if self.greedy else inverted(self.probabilities, drawn))
        self.explored.copy_(self.action != best)
        self.taken.add_(1)
        if self.atoms > 1:
            logits = outputs.unflatten(-1, (self.n_actions, self.atoms)).gather(-2, self._row()).squeeze(-2)
            self.weights.copy_(logits.softmax(-1) * (self.support - self.value().unsqueeze(-1)))

    def _row(self) -> Tensor:
        """Return the action as an index of its row of [*lifetimes, n_actions, atoms]: int64, [*lifetimes, 1, atoms]."""
        return self.action[..., None, None].expand(*self.action.shape, 1, self.atoms)

    def value(self) -> Tensor:
        """Return Q of the newest action: [*lifetimes]."""
        return self.values.gather(-1, self.action.unsqueeze(-1)).squeeze(-1)

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats: [*lifetimes]; an action of probability 0 counts as the smallest."""
        chosen = self.probabilities.gather(-1, self.action.unsqueeze(-1)).squeeze(-1)
        return chosen.clamp(min=torch.finfo(chosen.dtype).tiny).log()

    def entropy(self) -> Tensor:
        """Return the entropy of the epsilon-greedy policy, in nats: [*lifetimes]."""
        summands: Tensor = torch.special.entr(self.probabilities)
        return summands.sum(-1)

    def score(self) -> Tensor:
        """Return the gradient of Q of the action with respect to the outputs: [*lifetimes, n_outputs]."""
        gradient = self.weights.new_zeros(*self.action.shape, self.n_actions, self.atoms)
        gradient.scatter_(-2, self._row(), self.weights.unsqueeze(-2))
        return gradient.flatten(-2)

    def entropy_gradient(self) -> Tensor:
        """Return zeros, since the policy is epsilon-greedy at any outputs: [*lifetimes, n_outputs]."""
        return self.weights.new_zeros(*self.action.shape, self.n_outputs)
