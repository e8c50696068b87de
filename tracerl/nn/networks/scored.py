"""What every network has in common that can be given a learning signal at its outputs."""

from collections.abc import Sequence

from torch import Tensor, nn

from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.layers import SpikingLayer


class ScoredNetwork(FlatModule):
    """A network that carries a signal at its outputs to the score of each of its parameters, by equations of its own.

    Attributes:
        layers: the spiking ones, bottom first; none of a network without spikes.
    """

    layers: Sequence[SpikingLayer] = ()

    def forward(self, x: Tensor) -> Tensor:
        """See one input of an env step, updating states in place.

        Args:
            x: [*lifetimes, n_in].

        Returns:
            The outputs y, [*lifetimes, n_out].
        """
        raise NotImplementedError

    def backward(self, learning_signal: Tensor) -> None:
        """Write the score of every parameter into ``score``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lifetimes, n_out].
        """
        raise NotImplementedError

    def parts(self, name: str) -> dict[str, nn.Module]:
        """Return the layers with parameters, bottom first, by the names that their tags carry: ``policy_0``.

        Args:
            name: of the network.
        """
        raise NotImplementedError

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Forget the episode, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""

    def align(self) -> None:
        """Do what has to follow every update of the parameters, in place."""
