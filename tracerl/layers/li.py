"""The readout: leaky integrators that turn spikes into numbers."""

import torch
from torch import Tensor, nn

from tracerl import functional as F
from tracerl.layers.constrained import Constrained
from tracerl.lives import Lives, clear_
from tracerl.module import StateModule


class LI(StateModule):
    """A dense layer of leaky integrators, whose decay belongs to the input: y = V zbar + c, zbar = k zbar + (1-k) z.

    Attributes:
        affine: [*lives, n_out, n_in + 1], the weights V with the bias c as last column.
        filtered: [*lives, n_in + 1], zbar_t with a constant 1 for the bias.
        decay: k, one per input or shared.
        decay_sensitivity: d zbar_t / d k, [*lives, n_in]; advanced only where k is learned.
    """

    filtered: Tensor
    decay_sensitivity: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        lives: Lives,
        *,
        decay: tuple[float, float] = (0.0, 0.7),
        weight_scale: float = 0.0,
        learn_decay: bool = False,
    ) -> None:
        """Draw parameters and start at rest.

        Args:
            n_in: neurons below.
            n_out: outputs.
            lives: maker of tensors.
            decay: k per tick, range to draw from per input; equal ends: shared.
            weight_scale: weights are drawn from N(0, weight_scale^2 / n_in); 0 starts with all outputs 0.
            learn_decay: make k a parameter.
        """
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        weight = lives.normal(weight_scale / n_in**0.5, n_out, n_in)
        self.affine = nn.Parameter(torch.cat([weight, lives.zeros(n_out, 1)], -1), requires_grad=False)
        self.decay = Constrained(decay, n_in, lives, "decay", learn_decay)
        self.register_buffer("filtered", lives.full(1.0, n_in + 1))
        self.register_buffer("decay_sensitivity", lives.zeros(n_in))
        self.reset_state()

    @property
    def weight(self) -> Tensor:
        """Weights V, a view: [*lives, n_out, n_in]."""
        return self.affine[..., :-1]

    @property
    def bias(self) -> Tensor:
        """Biases c, a view: [*lives, n_out]."""
        return self.affine[..., -1]

    def forward(self, spikes: Tensor) -> Tensor:
        """Advance one tick, updating the state in place.

        Args:
            spikes: z_t, [*lives, n_in].

        Returns:
            y_t, [*lives, n_out].
        """
        decay = self.decay.refresh()
        filtered = self.filtered[..., :-1]
        if self.decay.raw is not None:
            F.carry_sensitivity_(self.decay_sensitivity.unsqueeze(-2), decay, (filtered - spikes).unsqueeze(-2))
        F.low_pass_(filtered, decay, spikes)
        return F.affine(self.affine, self.filtered)

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Write the score of every parameter into its ``.grad``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lives, n_out].

        Returns:
            The signal for the layer below, V^T g: [*lives, n_in].
        """
        assert self.affine.grad is not None
        torch.mul(learning_signal.unsqueeze(-1), self.filtered.unsqueeze(-2), out=self.affine.grad)
        below = F.affine_transposed(self.weight, learning_signal)
        if self.decay.raw is not None:
            self.decay.write_score(below * self.decay_sensitivity)
        return below

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Return to rest, in place, in the lives of the mask or in all."""
        clear_(self.filtered[..., :-1], mask)
        clear_(self.decay_sensitivity, mask)
