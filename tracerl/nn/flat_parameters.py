"""The base class of modules that a step-size rule updates: all parameters, and all gradients, in one flat buffer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tracerl.nn.module import StateModule


class FlatModule(StateModule):
    """A module whose parameters, and their ``.grad``, are views of two buffers.

    A subclass calls ``flatten`` at the end of its ``__init__``.

    Attributes:
        flat: every parameter in one buffer, [*lifetimes, n].
        score: the gradient of the objective with respect to every parameter, [*lifetimes, n]. After a step of the fused
            engine by Intentional updates or AdaptiveObGD it holds the direction of the step.
    """

    unsaved = ("flat",)  # the parameters are its views
    flat: Tensor
    score: Tensor

    def flatten(self, lead: tuple[int, ...]) -> None:
        """Move all parameters and their ``.grad`` into the two flat buffers; ``lead`` is ``Lifetimes.shape``."""
        flat = torch.cat([parameter.reshape(*lead, -1) for parameter in self.parameters()], -1)
        self.register_buffer("flat", flat, persistent=False)
        self.register_buffer("score", torch.zeros_like(flat), persistent=False)
        self.bind_parameters()

    def bind_parameters(self) -> None:
        """Make every parameter and its ``.grad`` views of the present ``flat`` and ``score``."""
        start = 0
        for parameter in self.parameters():
            shape = parameter.shape[self.flat.dim() - 1 :]
            stop = start + shape.numel()
            parameter.data = self.flat[..., start:stop].unflatten(-1, shape)
            parameter.grad = self.score[..., start:stop].unflatten(-1, shape)
            start = stop

    def fan_in(self) -> list[tuple[int, int]]:
        """Return, for each parameter in the order of ``flat``, its size in one lifetime and the inputs per neuron.

        The inputs are those of the layer whose weights and biases, ``affine``, or feedback weights the parameter is; 1
        for all others, such as decays.
        """
        found, modules = list[tuple[int, int]](), list[Any](self.modules())
        for owner in modules:
            for name, parameter in owner.named_parameters(recurse=False):
                size, n = parameter.shape[self.flat.dim() - 1 :].numel(), 1
                if name == "affine":
                    n = owner.rows - 1 if hasattr(owner, "rows") else owner.n_in
                elif name == "feedback":
                    n = owner.n_in
                found.append((size, n))
        return found

    def share(self, part: nn.Module, laid_out: Tensor) -> Tensor:
        """Return the entries of a part's parameters in a tensor laid out as ``flat``, a view: [*lifetimes, m].

        ``part`` is a module within this one, whose parameters are adjacent in ``flat``.
        """
        sizes = [parameter.shape[self.flat.dim() - 1 :].numel() for parameter in part.parameters()]
        first = next(part.parameters(), self.flat)
        start = first.storage_offset() - self.flat.storage_offset()
        return laid_out[..., start : start + sum(sizes)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FlatModule":
        """Move to another device or dtype, then flatten again, because moving replaces the views by copies."""
        super()._apply(fn, recurse)
        self.flatten(tuple(self.flat.shape[:-1]))
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copied or unpickled module, then bind again, because copying separates the views."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.bind_parameters()
