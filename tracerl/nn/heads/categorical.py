"""Softmaxes over the actions of a Discrete space, or over each component of a MultiDiscrete one."""

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.heads.base import Head
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream


class SingleChoice(Head):
    """One action of a Discrete space.

    Attributes:
        start: number of the first action.
        action: index of the last action, counted from 0, int64, [*lifetimes].
    """

    start: int

    def chosen(self) -> Any:
        """Return the number of the action: an int, or int64, [lifetimes]."""
        if self.action.dim() == 0:
            return self.action.item() + self.start
        return self.action.cpu().numpy() + self.start

    def chosen_by_kernel(self, number: float) -> int:
        """Return the number of the action without reading the tensor, which takes half a microsecond."""
        return int(number) + self.start


class Categorical(SingleChoice):
    """A softmax over the actions of a Discrete space.

    Attributes:
        sizes: number of actions of each component; there is one component.
        start: number of the first action.
        log_probabilities: log pi of the last logits, [*lifetimes, n_actions].
        probabilities: pi, [*lifetimes, n_actions].
        action: index of the last action, counted from 0, int64, [*lifetimes].
    """

    log_probabilities: Tensor
    probabilities: Tensor

    def __init__(self, n_actions: int, lifetimes: Lifetimes, start: int = 0) -> None:
        """Initialise the uniform distribution; ``start`` is the number of the first action."""
        super().__init__()
        self.n_outputs, self.sizes, self.start = n_actions, (n_actions,), start
        self.register_buffer("log_probabilities", torch.log_softmax(lifetimes.zeros(n_actions), -1))
        self.register_buffer("probabilities", torch.softmax(lifetimes.zeros(n_actions), -1))
        self.register_buffer("action", lifetimes.zeros(dtype=torch.int64))

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Choose an action by inverting the cumulative distribution; see ``Head.sample``."""
        torch.log_softmax(outputs, -1, out=self.log_probabilities)
        torch.exp(self.log_probabilities, out=self.probabilities)
        drawn = stream.draw()
        self.action.copy_(self.probabilities.argmax(-1) if self.greedy else inverted(self.probabilities, drawn))

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats: [*lifetimes]."""
        return self.log_probabilities.gather(-1, self.action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Return the entropy, in nats: [*lifetimes]."""
        return F.categorical_entropy(self.probabilities, self.log_probabilities)

    def score(self) -> Tensor:
        """Return the gradient of log pi of the action with respect to the logits: [*lifetimes, n_actions]."""
        return F.categorical_score(self.probabilities, self.action)

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy with respect to the logits: [*lifetimes, n_actions]."""
        return F.categorical_entropy_gradient(self.probabilities, self.log_probabilities, self.entropy())


class MultiCategorical(Head):
    """An independent softmax for each component of a MultiDiscrete space, over concatenated outputs.

    Attributes:
        sizes: number of actions of each component.
        start: numbers of the first actions, in the space's shape.
        log_probabilities: of all components, concatenated, [*lifetimes, n_outputs].
        probabilities: pi, [*lifetimes, n_outputs].
        action: index of each component's last action, counted from 0, int64, [*lifetimes, components].
    """

    log_probabilities: Tensor
    probabilities: Tensor
    _dtype: Any

    def __init__(self, space: spaces.MultiDiscrete, lifetimes: Lifetimes) -> None:
        """Initialise the uniform distribution; components are in row-major order."""
        super().__init__()
        self.sizes = tuple(int(size) for size in space.nvec.flat)
        self.n_outputs, self.n_components = sum(self.sizes), len(self.sizes)
        self.start, self._dtype, self._shape = space.start, space.dtype, (*lifetimes.shape, *space.shape)
        uniform = torch.cat([lifetimes.full(1 / size, size) for size in self.sizes], -1)
        self.register_buffer("log_probabilities", uniform.log())
        self.register_buffer("probabilities", uniform)
        self.register_buffer("action", lifetimes.zeros(len(self.sizes), dtype=torch.int64))

    def _parts(self, tensor: Tensor) -> Sequence[Tensor]:
        """Return the slice of each component in a tensor of [*lifetimes, n_outputs]."""
        parts: Sequence[Tensor] = tensor.split(self.sizes, -1)
        return parts

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Choose an action in each component by inverting its cumulative distribution; see ``Head.sample``."""
        uniform = stream.draw_many(len(self.sizes))
        torch.cat([torch.log_softmax(logits, -1) for logits in self._parts(outputs)], -1, out=self.log_probabilities)
        torch.exp(self.log_probabilities, out=self.probabilities)
        for i, probabilities in enumerate(self._parts(self.probabilities)):
            drawn = uniform[..., i]
            self.action[..., i] = probabilities.argmax(-1) if self.greedy else inverted(probabilities, drawn)

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats: [*lifetimes]."""
        parts = self._parts(self.log_probabilities)
        return torch.cat([part.gather(-1, self.action[..., i : i + 1]) for i, part in enumerate(parts)], -1).sum(-1)

    def entropy(self) -> Tensor:
        """Return the entropy, in nats: [*lifetimes]."""
        return F.categorical_entropy(self.probabilities, self.log_probabilities)

    def score(self) -> Tensor:
        """Return the gradient of log pi of the action with respect to the logits: [*lifetimes, n_outputs]."""
        parts = self._parts(self.probabilities)
        return torch.cat([F.categorical_score(part, self.action[..., i]) for i, part in enumerate(parts)], -1)

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy with respect to the logits: [*lifetimes, n_outputs]."""
        parts = zip(self._parts(self.probabilities), self._parts(self.log_probabilities), strict=True)
        gradient, entropy = F.categorical_entropy_gradient, F.categorical_entropy
        return torch.cat([gradient(p, log_p, entropy(p, log_p)) for p, log_p in parts], -1)

    def chosen(self) -> Any:
        """Return the numbers of the actions, in the space's dtype, [*lifetimes, *shape]."""
        return (self.action.cpu().numpy().reshape(self._shape) + self.start).astype(self._dtype)


def inverted(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return the index at which the cumulative distribution exceeds a float64 in [0, 1): int64, [*lifetimes]."""
    below = probabilities.cumsum(-1)[..., :-1] <= uniform.unsqueeze(-1)
    return below.sum(-1)
