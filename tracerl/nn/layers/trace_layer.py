"""The base class of traceTorch's two layers: a dense weight, a leaky membrane and a decaying trace of the inputs."""

import math

import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule


class TraceLayer(StateModule):
    """A dense layer of traceTorch 0.3.0 (https://pypi.org/project/tracetorch/), which learns from its average inputs.

        s_t = a s_{t-1} + x_t          xbar_t = (1-a) s_t          u_t = m v_{t-1} + W x_t

    In the backward pass, a subclass differentiates its steady-state rate as a function of the average current
    I = W xbar. The gradient depends on time through s alone, not through the membrane.

    Attributes:
        weight: W, [*lifetimes, n_out, n_in].
        membrane_decay: m, one per neuron.
        input_trace_decay: a, one per input.
        membrane: v_t, [*lifetimes, n_out].
        input_trace: s_t, [*lifetimes, n_in].
    """

    weight: Tensor
    membrane: Tensor
    input_trace: Tensor
    tracked = ("input_trace",)

    def __init__(
        self,
        weight: Tensor,
        lifetimes: Lifetimes,
        *,
        membrane_decay: float = 0.9,
        input_trace_decay: float = 0.9,
        exact_trace_decay: bool = False,
        learn_weight: bool = True,
        learn_membrane_decay: bool = True,
        learn_input_trace_decay: bool = True,
    ) -> None:
        """Initialise the states at zero.

        Args:
            weight: initial W, [*lifetimes, n_out, n_in].
            lifetimes: maker of tensors.
            membrane_decay: initial m per tick, in [0, 1).
            input_trace_decay: initial a per tick, in [0, 1); see ``exact_trace_decay``.
            exact_trace_decay: use ``input_trace_decay`` itself as the initial a. False: use its sigmoid, as traceTorch
                does; for .9, a is then .711.
            learn_weight: make W a parameter; else it is a buffer, as for the next two.
            learn_membrane_decay: make m the sigmoid of a parameter.
            learn_input_trace_decay: make a the sigmoid of a parameter.
        """
        super().__init__()
        self.n_out, self.n_in = weight.shape[-2:]
        if learn_weight:
            self.weight = nn.Parameter(weight, requires_grad=False)
        else:
            self.register_buffer("weight", weight)
        a = input_trace_decay if exact_trace_decay else 1 / (1 + math.exp(-input_trace_decay))
        m_learned, a_learned = learn_membrane_decay, learn_input_trace_decay
        self.membrane_decay = Constrained(
            (membrane_decay,) * 2, self.n_out, lifetimes, "decay", m_learned, per_neuron=True
        )
        self.input_trace_decay = Constrained((a, a), self.n_in, lifetimes, "decay", a_learned, per_neuron=True)
        self.register_buffer("membrane", lifetimes.zeros(self.n_out))
        self.register_buffer("input_trace", lifetimes.zeros(self.n_in))

    def integrate(self, x: Tensor) -> Tensor:
        """Update trace and membrane by the inputs, in place.

        Args:
            x: spikes or currents, [*lifetimes, n_in].

        Returns:
            u_t, [*lifetimes, n_out]: the membrane itself.
        """
        self.input_trace.mul_(self.input_trace_decay.refresh()).add_(x)
        self.membrane.mul_(self.membrane_decay.refresh()).add_(F.affine(self.weight, x))
        return self.membrane

    def average_current(self) -> tuple[Tensor, Tensor]:
        """Return the average inputs xbar, [*lifetimes, n_in], and their current I = W xbar, [*lifetimes, n_out]."""
        average = self.input_trace * self.input_trace_decay.complement
        return average, F.affine(self.weight, average)

    def write_current(self, gradient: Tensor, average: Tensor) -> Tensor:
        """Overwrite the ``.grad`` of W and a with their gradients through the average current.

        Args:
            gradient: of the objective with respect to I, [*lifetimes, n_out].
            average: xbar, [*lifetimes, n_in].

        Returns:
            The gradient with respect to xbar, W^T gradient: [*lifetimes, n_in].
        """
        if isinstance(self.weight, nn.Parameter):
            assert self.weight.grad is not None
            torch.mul(gradient.unsqueeze(-1), average.unsqueeze(-2), out=self.weight.grad)
        below = F.affine_transposed(self.weight, gradient)
        self.input_trace_decay.write_score(-below * self.input_trace)
        return below

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membrane and trace, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        clear_(self.membrane, mask)
        clear_(self.input_trace, mask)
