"""Action heads: from the policy network's outputs to an action, its log-probability and their gradients."""

import torch
from torch import Tensor

from tracerl import functional as F
from tracerl.lives import Lives
from tracerl.module import StateModule


class Categorical(StateModule):
    """A softmax over the actions of a Discrete space.

    Attributes:
        n_outputs: logits the head asks of the network.
        log_probabilities: log pi of the last logits, [*lives, n_actions].
        probabilities: pi, [*lives, n_actions].
        action: index of the last action, int64, [*lives].
    """

    log_probabilities: Tensor
    probabilities: Tensor
    action: Tensor

    def __init__(self, n_actions: int, lives: Lives) -> None:
        """Start uniform, with no action taken yet."""
        super().__init__()
        self.n_outputs = n_actions
        self.register_buffer("log_probabilities", torch.log_softmax(lives.zeros(n_actions), -1))
        self.register_buffer("probabilities", torch.softmax(lives.zeros(n_actions), -1))
        self.register_buffer("action", lives.zeros(dtype=torch.int64))

    def sample(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Choose an action by inverting the cumulative distribution, remembering it in place.

        Args:
            logits: [*lives, n_actions].
            uniform: a random number in [0, 1) per life, float64, [*lives].

        Returns:
            Index of the action, int64, [*lives]: the head's own buffer.
        """
        torch.log_softmax(logits, -1, out=self.log_probabilities)
        torch.exp(self.log_probabilities, out=self.probabilities)
        below = self.probabilities.cumsum(-1)[..., :-1] <= uniform.unsqueeze(-1)
        self.action.copy_(below.sum(-1))
        return self.action

    def log_probability(self) -> Tensor:
        """Return log pi of the last action, in nats: [*lives]."""
        return self.log_probabilities.gather(-1, self.action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Return the entropy of the last distribution, in nats: [*lives]."""
        return F.categorical_entropy(self.probabilities, self.log_probabilities)

    def score(self) -> Tensor:
        """Return the gradient of the last action's log-probability by the logits: [*lives, n_actions]."""
        return F.categorical_score(self.probabilities, self.action)

    def entropy_gradient(self, entropy: Tensor) -> Tensor:
        """Return the gradient of the entropy by the logits, given the entropy: [*lives, n_actions]."""
        return F.categorical_entropy_gradient(self.probabilities, self.log_probabilities, entropy)
