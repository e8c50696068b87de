"""The readout: leaky integrators of spikes."""

from typing import Literal

import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule


class LI(StateModule):
    """A dense layer of leaky integrators with one decay per input: y = V zbar + c, zbar = k zbar + (1-k) z.

    The learning signal g is propagated to the previous layer by the transpose of B:

        symmetric   B = V
        random      B is drawn at random and fixed (feedback alignment; Lillicrap et al. 2016,
                    https://doi.org/10.1038/ncomms13276)
        adaptive    B is drawn at random and learns by the same gradients as V, and both decay at each update, so that B
                    converges to V without access to it (Kolen and Pollack 1994)

    These are the three choices of e-prop (Bellec et al. 2020, https://doi.org/10.1038/s41467-020-17236-y).

    Attributes:
        affine: [*lifetimes, n_out, n_in + 1], the weights V with the bias c as last column.
        feedback: B, [*lifetimes, n_out, n_in]; None where B = V.
        filtered: [*lifetimes, n_in + 1], zbar_t with a constant 1 for the bias.
        decay: k, one per input or shared.
        decay_sensitivity: d zbar_t / d k, [*lifetimes, n_in]; updated only where k is learned.
    """

    filtered: Tensor
    decay_sensitivity: Tensor
    tracked = ("decay_sensitivity",)
    feedback: Tensor | None

    def __init__(
        self,
        n_in: int,
        n_out: int,
        lifetimes: Lifetimes,
        *,
        decay: tuple[float, float] = (0.0, 0.7),
        weight_scale: float = 0.0,
        learn_decay: bool = False,
        feedback: Literal["symmetric", "random", "adaptive"] = "symmetric",
        feedback_decay: float = 0.0,
    ) -> None:
        """Draw the parameters and initialise the states at zero.

        Args:
            n_in: number of input neurons.
            n_out: number of outputs.
            lifetimes: maker of tensors.
            decay: k per tick, range to draw from per input; equal ends: shared.
            weight_scale: weights are drawn from N(0, weight_scale^2 / n_in); 0 initialises all outputs to 0.
            learn_decay: make k a parameter.
            feedback: kind of B; a random B is drawn from N(0, 1 / n_in).
            feedback_decay: share of V and B that is subtracted at each update, in [0, 1) (``adaptive``).
        """
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        weight = lifetimes.normal(weight_scale / n_in**0.5, n_out, n_in)
        self.affine = nn.Parameter(torch.cat([weight, lifetimes.zeros(n_out, 1)], -1), requires_grad=False)
        self.decay = Constrained(decay, n_in, lifetimes, "decay", learn_decay)
        self.feedback_kind, self.feedback_decay = feedback, feedback_decay
        drawn = None if feedback == "symmetric" else lifetimes.normal(n_in**-0.5, n_out, n_in)
        if feedback == "adaptive" and drawn is not None:
            self.feedback = nn.Parameter(drawn, requires_grad=False)
        else:
            self.register_buffer("feedback", drawn)
        self.register_buffer("filtered", lifetimes.full(1.0, n_in + 1))
        self.register_buffer("decay_sensitivity", lifetimes.zeros(n_in))
        self.reset_state()

    @property
    def weight(self) -> Tensor:
        """Weights V, a view: [*lifetimes, n_out, n_in]."""
        return self.affine[..., :-1]

    @property
    def bias(self) -> Tensor:
        """Biases c, a view: [*lifetimes, n_out]."""
        return self.affine[..., -1]

    @property
    def feedback_weight(self) -> Tensor:
        """The feedback weights B: [*lifetimes, n_out, n_in]."""
        return self.weight if self.feedback is None else self.feedback

    def forward(self, spikes: Tensor) -> Tensor:
        """Advance one tick, updating the state in place.

        Args:
            spikes: z_t, [*lifetimes, n_in].

        Returns:
            y_t, [*lifetimes, n_out].
        """
        decay = self.decay.refresh()
        filtered = self.filtered[..., :-1]
        if self.decay.raw is not None:
            F.carry_sensitivity_(self.decay_sensitivity.unsqueeze(-2), decay, (filtered - spikes).unsqueeze(-2))
        F.low_pass_(filtered, decay, spikes)
        return F.affine(self.affine, self.filtered)

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Write the gradient of every parameter into its ``.grad``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lifetimes, n_out].

        Returns:
            The signal for the previous layer, B^T g: [*lifetimes, n_in].
        """
        assert self.affine.grad is not None
        torch.mul(learning_signal.unsqueeze(-1), self.filtered.unsqueeze(-2), out=self.affine.grad)
        if self.feedback_kind == "adaptive":
            assert self.feedback is not None and self.feedback.grad is not None
            self.feedback.grad.copy_(self.affine.grad[..., :-1])
        below = F.affine_transposed(self.feedback_weight, learning_signal)
        if self.decay.raw is not None:
            through = F.affine_transposed(self.weight, learning_signal)
            self.decay.write_score(through * self.decay_sensitivity)
        return below

    def align(self) -> None:
        """Decay V and an adaptive B, in place; called after every update."""
        if self.feedback_kind == "adaptive":
            assert self.feedback is not None
            self.weight.mul_(1 - self.feedback_decay)
            self.feedback.mul_(1 - self.feedback_decay)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the states, in place, in the lifetimes of the mask or in all."""
        clear_(self.filtered[..., :-1], mask)
        clear_(self.decay_sensitivity, mask)
