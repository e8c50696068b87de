"""The base class of action heads."""

from typing import Any

from torch import Tensor

from tracerl.nn.module import StateModule
from tracerl.nn.random import UniformStream


class Head(StateModule):
    """A distribution over actions whose parameters are the outputs of a network.

    ``sample`` stores the outputs and the action; the other methods refer to the last sample. The components of an
    action are independent given the outputs, so log-probabilities and entropies are sums over components.

    Attributes:
        n_outputs: number of network outputs that the head needs.
        n_components: number of independent components of an action; 1 by default.
        action: the newest sample, [*lifetimes] or [*lifetimes, components].
        bonus_scale: factor of the entropy in the entropy bonus; 1 by default.
        greedy: take the most probable action in place of a sample; for evaluation, since learning needs samples.
    """

    n_outputs: int
    n_components: int = 1
    bonus_scale: float = 1.0
    action: Tensor
    greedy: bool = False

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Draw an action and store it in place.

        Args:
            outputs: of the network, [*lifetimes, n_outputs].
            stream: of random numbers; advanced.
        """
        raise NotImplementedError(f"{type(self).__name__} must have sample")

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats: [*lifetimes]."""
        raise NotImplementedError(f"{type(self).__name__} must have log_probability")

    def entropy(self) -> Tensor:
        """Return the entropy of the distribution, in nats: [*lifetimes]."""
        raise NotImplementedError(f"{type(self).__name__} must have entropy")

    def score(self) -> Tensor:
        """Return the gradient of log pi of the action with respect to the outputs: [*lifetimes, n_outputs]."""
        raise NotImplementedError(f"{type(self).__name__} must have score")

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy with respect to the outputs: [*lifetimes, n_outputs]."""
        raise NotImplementedError(f"{type(self).__name__} must have entropy_gradient")

    def shown(self) -> dict[str, Tensor | None]:
        """Return what a viewer shows of the distribution, by the names of ``tracerl.nn.views.PolicyOutputs``."""
        return {name: getattr(self, name, None) for name in ("probabilities", "mean", "std")}

    def chosen(self) -> Any:
        """Return the action as a member of the action space; for many lifetimes an array, [lifetimes, ...]."""
        raise NotImplementedError(f"{type(self).__name__} must have chosen")

    def chosen_by_kernel(self, number: float) -> Any:
        """Return ``chosen()`` of one lifetime; ``number`` is what ``kernels.heads.chosen`` has returned for it."""
        return self.chosen()
