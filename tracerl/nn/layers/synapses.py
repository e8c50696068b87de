"""Synapses: from the inputs of a layer to the currents of its neurons, and their derivatives."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class Synapses(Protocol):
    """The methods that a spiking layer needs of its synapses, which have ``rows`` parameters per neuron.

    Attributes:
        n_in: number of inputs.
        n_out: number of neurons.
        rows: number of parameters per neuron, the last of which is its bias.
        out_shape: of the neurons' spikes; its product is n_out.
    """

    n_in: int
    n_out: int
    rows: int
    out_shape: tuple[int, ...]

    def forward(self, x: Tensor) -> Tensor:
        """Store the inputs, [*lifetimes, n_in], and return their currents I_t, [*lifetimes, n_out]."""
        ...

    def drive(self) -> Tensor:
        """Return d I_h / d (parameter r of neuron h), [*lifetimes, rows, n_out or 1]; 1 if equal for all neurons."""
        ...

    def received(self) -> Tensor:
        """Return what the parameters receive, the inputs and a 1 for the biases: [*lifetimes, n_in + 1, 1]."""
        ...

    def jvp(self, tangents: Tensor) -> Tensor:
        """Return the Jacobian-vector products of tangents [*lifetimes, P, n_in]: [*lifetimes, P, n_out]."""
        ...

    def vjp(self, signals: Tensor) -> Tensor:
        """Return the vector-Jacobian products of signals [*lifetimes, J, n_out]: [*lifetimes, J, n_in]."""
        ...

    def fan_out(self) -> np.ndarray[Any, Any]:
        """Return the number of synapses behind every input, those of all positions in a convolution: [n_in]."""
        ...

    def write_score(self, score: Tensor) -> None:
        """Write the gradient, [*lifetimes, rows, n_out], into the parameters' ``.grad``, in place."""
        ...

    def write_products(self, received: Tensor, signal: Tensor) -> None:
        """Write the gradient of parameters that receive [*lifetimes, n_in + 1, 1], for a signal at the currents.

        Args:
            received: as of ``received``, or a trace of it.
            signal: d objective / d I, [*lifetimes, n_out].
        """
        ...


class AffineSynapses(StateModule):
    """Base of synapses whose parameters are one matrix: one row of weights per input of a neuron, and a row of biases.

    Attributes:
        affine: [*lifetimes, rows, columns].
    """

    affine: nn.Parameter

    def _draw(self, weight: Tensor, bias_scale: float, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw the biases and join them with the weights, [*lifetimes, columns, rows - 1], to one matrix."""
        bias = lifetimes.uniform(-bias_scale, bias_scale, 1, weight.shape[-2])
        if sparsity:
            sparsify_(weight, sparsity, lifetimes)
        self.affine = nn.Parameter(torch.cat([weight.transpose(-1, -2), bias], -2), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """Weights W, a view: [*lifetimes, columns, rows - 1]."""
        return self.affine[..., :-1, :].transpose(-1, -2)

    @property
    def bias(self) -> Tensor:
        """Biases b, a view: [*lifetimes, columns]."""
        return self.affine[..., -1, :]


class DenseSynapses(AffineSynapses):
    """Dense synapses, from every input to every neuron: I = W x + b.

    Attributes:
        affine: [*lifetimes, n_in + 1, n_out], the weights, one column per neuron, with the biases as last row.
        inputs: [*lifetimes, n_in + 1], x_t with a constant 1 for the bias.
    """

    inputs: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        lifetimes: Lifetimes,
        *,
        weight_scale: float = 0.7,
        bias_scale: float = 1.0,
        sparsity: float = 0.0,
        late: int = 0,
        late_scale: float = 0.0,
    ) -> None:
        """Draw the parameters.

        Args:
            n_in: number of inputs.
            n_out: number of neurons.
            lifetimes: maker of tensors.
            weight_scale: weights are drawn from N(0, weight_scale^2 / (n_in - late)).
            bias_scale: biases are drawn from U(-bias_scale, bias_scale).
            sparsity: share of each neuron's weights that are initially zero, in [0, 1).
            late: number of inputs, at the end, that are spikes of the previous tick (recurrence, delayed edges).
            late_scale: the weights of late inputs are drawn from N(0, late_scale^2 / late).
        """
        super().__init__()
        self.n_in, self.n_out, self.rows = n_in, n_out, n_in + 1
        self.out_shape: tuple[int, ...] = (n_out,)
        prompt = n_in - late
        weight = lifetimes.normal(weight_scale / max(prompt, 1) ** 0.5, n_out, prompt)
        if late:
            weight = torch.cat([weight, lifetimes.normal(late_scale / late**0.5, n_out, late)], -1)
        self._draw(weight, bias_scale, sparsity, lifetimes)
        self.register_buffer("inputs", lifetimes.full(1.0, n_in + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents; see ``Synapses``."""
        self.inputs[..., :-1].copy_(x)
        return F.affine_transposed(self.affine, self.inputs)

    def drive(self) -> Tensor:
        """Return the inputs, which are equal for all neurons: [*lifetimes, rows, 1]."""
        return self.received()

    def received(self) -> Tensor:
        """Return the inputs, [*lifetimes, n_in + 1, 1]."""
        return self.inputs.unsqueeze(-1)

    def jvp(self, tangents: Tensor) -> Tensor:
        """Multiply by the weights; see ``Synapses.jvp``."""
        return tangents @ self.affine[..., :-1, :]

    def vjp(self, signals: Tensor) -> Tensor:
        """Multiply by the transposed weights; see ``Synapses.vjp``."""
        return signals @ self.weight

    def fan_out(self) -> np.ndarray[Any, Any]:
        """Return the number of neurons for every input; see ``Synapses.fan_out``."""
        return np.full(self.n_in, float(self.n_out))

    def write_score(self, score: Tensor) -> None:
        """Copy the gradient; see ``Synapses.write_score``."""
        assert self.affine.grad is not None
        self.affine.grad.copy_(score)

    def write_products(self, received: Tensor, signal: Tensor) -> None:
        """Multiply each input by each signal; see ``Synapses.write_products``."""
        assert self.affine.grad is not None
        torch.mul(received, signal.unsqueeze(-2), out=self.affine.grad)


def sparsify_(weight: Tensor, sparsity: float, lifetimes: Lifetimes) -> Tensor:
    """Zero a random share of every neuron's weights, in place (SparseInit, https://arxiv.org/abs/2410.14606).

    Args:
        weight: [*lifetimes, n_out, n_in].
        sparsity: share of the n_in weights, in [0, 1). Their number is rounded to the nearest integer. The code
            published with the paper rounds up, so that of up to nine weights none is left at a share of .9.
        lifetimes: maker of tensors; its generators are advanced.
    """
    order = lifetimes.uniform(0.0, 1.0, *weight.shape[-2:]).argsort(-1)
    return weight.scatter_(-1, order[..., : round(sparsity * weight.shape[-1])], 0.0)
