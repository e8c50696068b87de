"""What every action head has in common."""

from typing import Any

from torch import Tensor

from tracerl.nn.module import StateModule
from tracerl.nn.random import UniformStream


class Head(StateModule):
    """A distribution over actions whose parameters are the outputs of a network. Part of the agent and of its state.

    ``sample`` fills it; what the others return is about the outputs and the action of the last sample. Where an action
    has several components, they are independent given the outputs: log-probabilities and entropies are sums.

    Attributes:
        n_outputs: numbers the head asks of the network.
        n_components: independent numbers that an action has; 1 where a head does not say.
        action: the newest sample, [*lifetimes] or [*lifetimes, components].
        greedy: take the likeliest action in place of a sample: for watching, since what learns needs samples.
    """

    n_outputs: int
    n_components: int = 1
    action: Tensor
    greedy: bool = False

    def sample(self, outputs: Tensor, stream: UniformStream) -> None:
        """Draw an action, remembering it in place.

        Args:
            outputs: of the network, [*lifetimes, n_outputs].
            stream: of random numbers; advanced.
        """
        raise NotImplementedError

    def log_probability(self) -> Tensor:
        """Return log pi of the action, in nats: [*lifetimes]."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return the entropy of the distribution, in nats: [*lifetimes]."""
        raise NotImplementedError

    def score(self) -> Tensor:
        """Return the gradient of log pi of the action by the outputs: [*lifetimes, n_outputs]."""
        raise NotImplementedError

    def entropy_gradient(self) -> Tensor:
        """Return the gradient of the entropy by the outputs: [*lifetimes, n_outputs]."""
        raise NotImplementedError

    def chosen(self) -> Any:
        """Return the action as the env's action space has it; of many lifetimes an array, [lifetimes, ...]."""
        raise NotImplementedError
