"""Independent Bernoulli variables for the bits of a MultiBinary space."""

from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.heads.base import Head
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream


class Bernoulli(Head):
    """An independent Bernoulli variable for each bit of a MultiBinary space, in row-major order.

    Attributes:
        logits: log p / (1-p) of the last outputs, [*lifetimes, bits].
        probabilities: p that a bit is 1, [*lifetimes, bits].
        action: the last bits, int64, [*lifetimes, bits].
    """

    logits: Tensor
    probabilities: Tensor

    def __init__(self, space: spaces.MultiBinary, lifetimes: Lifetimes) -> None:
        super().__init__()
        self.n_outputs = self.n_components = int(torch.Size(space.shape).numel())
        self._dtype, self._shape = space.dtype, (*lifetimes.shape, *space.shape)
        self.register_buffer("logits", lifetimes.zeros(self.n_outputs))
        self.register_buffer("probabilities", lifetimes.full(0.5, self.n_outputs))
        self.register_buffer("action", lifetimes.zeros(self.n_outputs, dtype=torch.int64))

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Sample every bit, with one random number each; see ``Head.sample``."""
        self.logits.copy_(outputs)
        torch.sigmoid(outputs, out=self.probabilities)
        drawn = stream.draw_many(self.n_outputs)
        self.action.copy_((0.5 if self.greedy else drawn) < self.probabilities)

    def log_probability(self) -> Tensor:
        """Return log pi of the bits, in nats: [*lifetimes]."""
        return (self.logits * self.action - F.softplus(self.logits)).sum(-1)

    def entropy(self) -> Tensor:
        """Return the entropy, in nats: [*lifetimes]."""
        return F.bernoulli_entropy(self.logits, self.probabilities)

    def score(self) -> Tensor:
        """Return the gradient of log pi of the bits with respect to the logits, a - p: [*lifetimes, bits]."""
        return self.action - self.probabilities

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy with respect to the logits: [*lifetimes, bits]."""
        return F.bernoulli_entropy_gradient(self.logits, self.probabilities)

    def chosen(self) -> Any:
        """Return the bits in the space's dtype, [*lifetimes, *shape]."""
        return self.action.cpu().numpy().reshape(self._shape).astype(self._dtype)
