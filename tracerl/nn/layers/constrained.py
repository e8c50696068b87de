"""A decay or a threshold: one per neuron or one per layer, fixed or learned within its range."""

from typing import Literal

import torch
from torch import Tensor, nn

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule

_SMALLEST = 1e-4  # least distance of a learned decay's initial value from 0 and 1, where the logit is infinite


class Constrained(StateModule):
    """A quantity with a range: decays in [0, 1), thresholds above 0.

    If learned, it is the sigmoid (decay) or the softplus (threshold) of a free parameter ``raw``, else a buffer.

    Attributes:
        value: the quantity itself, [*lifetimes, n] or, shared by the layer, [*lifetimes, 1].
        complement: 1 - value, of decays only.
    """

    value: Tensor
    complement: Tensor

    def __init__(
        self,
        span: tuple[float, float],
        n: int,
        lifetimes: Lifetimes,
        kind: Literal["decay", "positive"],
        learn: bool = False,
        per_neuron: bool = False,
    ) -> None:
        """Draw the initial values.

        Args:
            span: range from which one value per neuron is drawn; equal ends: one value shared by all.
            n: number of neurons.
            lifetimes: maker of tensors.
            kind: ``decay`` in [0, 1) or ``positive``.
            learn: make it a parameter.
            per_neuron: one value per neuron even where the ends are equal.
        """
        super().__init__()
        low, high = span
        value = lifetimes.full(low, n if per_neuron else 1) if low == high else lifetimes.uniform(low, high, n)
        if learn and kind == "decay":
            value = value.clamp(_SMALLEST, 1 - _SMALLEST)
        self.kind = kind
        self.register_buffer("value", value)
        if kind == "decay":
            self.register_buffer("complement", 1 - value)
        self.raw = None
        if learn:
            self.raw = nn.Parameter(self._raw_from(value), requires_grad=False)

    @property
    def learned(self) -> bool:
        """Whether it is a parameter."""
        return self.raw is not None

    @property
    def is_zero(self) -> bool:
        """Whether it is zero in every neuron and not learned."""
        return self.raw is None and not bool(self.value.any())

    def _raw_from(self, value: Tensor) -> Tensor:
        """Return the free parameter of a value."""
        return torch.logit(value) if self.kind == "decay" else value + torch.log(-torch.expm1(-value))

    def assign(self, value: Tensor) -> None:
        """Set the values, in place.

        Args:
            value: within the range, [*lifetimes, n] or, shared by the layer, [*lifetimes, 1].
        """
        if self.raw is not None and self.kind == "decay":
            value = value.clamp(_SMALLEST, 1 - _SMALLEST)
        self.value.copy_(value)
        if self.kind == "decay":
            torch.sub(1, self.value, out=self.complement)
        if self.raw is not None:
            self.raw.copy_(self._raw_from(self.value))

    def refresh(self) -> Tensor:
        """Update ``value`` and ``complement`` from the learned parameter, in place, and return the value."""
        if self.raw is not None:
            squash = torch.sigmoid if self.kind == "decay" else nn.functional.softplus
            self.value.copy_(squash(self.raw))
            if self.kind == "decay":
                torch.sub(1, self.value, out=self.complement)
        return self.value

    def write_score(self, gradient: Tensor) -> None:
        """Write the gradient of ``raw`` into its ``.grad``, in place.

        Args:
            gradient: of the objective with respect to each neuron's value, [*lifetimes, n].
        """
        if self.raw is None:
            return
        if self.value.shape[-1] == 1:
            gradient = gradient.sum(-1, keepdim=True)
        slope = self.value * self.complement if self.kind == "decay" else -torch.expm1(-self.value)
        assert self.raw.grad is not None
        torch.mul(gradient, slope, out=self.raw.grad)
