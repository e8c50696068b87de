"""The base class of networks that compute gradients from a learning signal at their outputs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.layers import SpikingLayer


class ScoredNetwork(FlatModule):
    """A network that computes the gradient of each parameter from a signal at its outputs, without autograd.

    Attributes:
        layers: the spiking layers, first layer first; empty for a network without spikes.
    """

    layers: Sequence[SpikingLayer] = ()

    def forward(self, x: Tensor) -> Tensor:
        """Process the input of one env step, updating states in place.

        Args:
            x: [*lifetimes, n_in].

        Returns:
            The outputs y, [*lifetimes, n_out].
        """
        raise NotImplementedError(f"{type(self).__name__} must have forward")

    def backward(self, learning_signal: Tensor) -> None:
        """Write the gradient of every parameter into ``score``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lifetimes, n_out].
        """
        raise NotImplementedError(f"{type(self).__name__} must have backward")

    def states(self, traces: bool = True) -> list[Tensor]:
        """Return every buffer but ``flat`` and ``score``; without ``traces``, what a frozen agent updates alone."""
        return [
            buffer
            for module in self.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if name not in ("flat", "score") and (traces or name not in getattr(module, "tracked", ()))
        ]

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Restore all states and traces on exit, so that a forward pass within the context leaves none behind."""
        before = [state.clone() for state in self.states()]
        yield
        for state, kept in zip(self.states(), before, strict=True):
            state.copy_(kept)

    def parts(self, name: str) -> dict[str, nn.Module]:
        """Return the layers with parameters, first layer first, by the name in their tags, such as ``policy_0``.

        Args:
            name: of the network, such as ``policy``.
        """
        raise NotImplementedError(f"{type(self).__name__} must have parts")

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the state of the episode, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""

    def align(self) -> None:
        """Perform, in place, what must follow every update of the parameters; by default nothing."""
