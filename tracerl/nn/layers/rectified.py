"""The layers of a perceptron, without spikes and without state over time."""

import math

import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.layers.convolution import ConvolutionalSynapses
from tracerl.nn.layers.normalization import CurrentNorm
from tracerl.nn.layers.synapses import sparsify_
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


def sparse_weight(n_in: int, n_out: int, sparsity: float, lifetimes: Lifetimes) -> Tensor:
    """Draw U(-1/sqrt(n_in), 1/sqrt(n_in)), then zero a random share of every row (Elsayed et al. 2024, SparseInit).

    The number of zeros is rounded to the nearest integer. With four inputs, all weights of the first layer are zero.
    Such a layer still learns, since its gradient depends on the weights of the later layers only.

    Args:
        n_in: number of inputs, the columns.
        n_out: number of units, the rows.
        sparsity: share of zeros in each row, in [0, 1).
        lifetimes: maker of tensors; its generators are advanced.

    Returns:
        [*lifetimes, n_out, n_in].
    """
    bound = 1 / math.sqrt(n_in)
    return sparsify_(lifetimes.uniform(-bound, bound, n_out, n_in), sparsity, lifetimes)


class RectifiedLayer(StateModule):
    """Base of hidden layers: h = leaky_relu(norm(I)) of the currents I, with a norm over the layer without parameters.

    Attributes:
        slopes: derivative of the rectifier at the last input, 1 or 0.01, [*lifetimes, n_out].
    """

    slopes: Tensor

    def __init__(self, n_in: int, n_out: int, lifetimes: Lifetimes) -> None:
        """Initialise at zero."""
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        self.norm = CurrentNorm(n_out, lifetimes)
        self.register_buffer("slopes", lifetimes.zeros(n_out))

    def rectify(self, currents: Tensor) -> Tensor:
        """Return h of the currents, both [*lifetimes, n_out], and store what ``at_currents`` needs."""
        normalized: Tensor = self.norm(currents)
        self.slopes.fill_(F.RECTIFIER_LEAK).masked_fill_(normalized > 0, 1.0)
        return normalized * self.slopes

    def at_currents(self, signal: Tensor) -> Tensor:
        """Return the signal at the currents of one at h, both [*lifetimes, n_out]."""
        return self.norm.project((signal * self.slopes).unsqueeze(-2)).squeeze(-2)


class Rectified(RectifiedLayer):
    """A dense hidden layer: h = leaky_relu(norm(W x + b)).

    Attributes:
        affine: [*lifetimes, n_in + 1, n_out], the weights, one column per unit, with the biases as last row.
        inputs: [*lifetimes, n_in + 1], x with a constant 1 for the bias.
    """

    inputs: Tensor

    def __init__(self, n_in: int, n_out: int, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw sparse weights, with biases at zero; see ``sparse_weight``."""
        super().__init__(n_in, n_out, lifetimes)
        weight = sparse_weight(n_in, n_out, sparsity, lifetimes)
        affine = torch.cat([weight.transpose(-1, -2), lifetimes.zeros(1, n_out)], -2)
        self.affine = nn.Parameter(affine, requires_grad=False)
        self.register_buffer("inputs", lifetimes.full(1.0, n_in + 1))

    @property
    def weight(self) -> Tensor:
        """Weights W, a view: [*lifetimes, n_out, n_in]."""
        return self.affine[..., :-1, :].transpose(-1, -2)

    @property
    def bias(self) -> Tensor:
        """Biases b, a view: [*lifetimes, n_out]."""
        return self.affine[..., -1, :]

    def forward(self, x: Tensor) -> Tensor:
        """Return h, [*lifetimes, n_out], and store what ``backward`` needs.

        Args:
            x: [*lifetimes, n_in].
        """
        self.inputs[..., :-1].copy_(x)
        return self.rectify(F.affine_transposed(self.affine, self.inputs))

    def backward(self, signal: Tensor) -> Tensor:
        """Write the gradient of every parameter into its ``.grad``, in place, and return the signal at the inputs.

        Args:
            signal: d objective / d h, [*lifetimes, n_out].

        Returns:
            [*lifetimes, n_in].
        """
        at_currents = self.at_currents(signal)
        assert self.affine.grad is not None
        torch.mul(self.inputs.unsqueeze(-1), at_currents.unsqueeze(-2), out=self.affine.grad)
        return F.affine(self.affine[..., :-1, :], at_currents)


class RectifiedConvolution(RectifiedLayer):
    """A convolutional hidden layer: h = leaky_relu(norm(W * x + b)), with the norm over all channels and positions.

    Attributes:
        synapses: of the convolution.
    """

    def __init__(self, synapses: ConvolutionalSynapses, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw sparse weights in place of those of the synapses, with biases at zero; see ``sparse_weight``."""
        super().__init__(synapses.n_in, synapses.n_out, lifetimes)
        self.synapses = synapses
        synapses.weight.copy_(sparse_weight(synapses.rows - 1, synapses.channels, sparsity, lifetimes))
        synapses.bias.zero_()

    @property
    def affine(self) -> nn.Parameter:
        """Weights and biases; see ``ConvolutionalSynapses``."""
        return self.synapses.affine

    @property
    def inputs(self) -> Tensor:
        """The input x with a constant 1 for the bias, [*lifetimes, n_in + 1]."""
        return self.synapses.inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return h, [*lifetimes, n_out], of x, [*lifetimes, n_in], and store what ``backward`` needs."""
        return self.rectify(self.synapses.forward(x))

    def backward(self, signal: Tensor) -> Tensor:
        """Write the gradient of every parameter into its ``.grad``; see ``Rectified.backward``."""
        at_currents = self.at_currents(signal)
        self.synapses.write_products(self.synapses.received(), at_currents)
        return self.synapses.vjp(at_currents.unsqueeze(-2)).squeeze(-2)


class Linear(StateModule):
    """A readout: y = V h + c.

    Attributes:
        affine: [*lifetimes, n_out, n_in + 1], the weights V with the bias c as last column.
        inputs: [*lifetimes, n_in + 1], h with a constant 1 for the bias.
    """

    inputs: Tensor

    def __init__(self, n_in: int, n_out: int, sparsity: float, lifetimes: Lifetimes) -> None:
        """Draw sparse weights, with biases at zero; see ``sparse_weight``."""
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        affine = torch.cat([sparse_weight(n_in, n_out, sparsity, lifetimes), lifetimes.zeros(n_out, 1)], -1)
        self.affine = nn.Parameter(affine, requires_grad=False)
        self.register_buffer("inputs", lifetimes.full(1.0, n_in + 1))

    @property
    def weight(self) -> Tensor:
        """Weights V, a view: [*lifetimes, n_out, n_in]."""
        return self.affine[..., :-1]

    @property
    def bias(self) -> Tensor:
        """Biases c, a view: [*lifetimes, n_out]."""
        return self.affine[..., -1]

    def forward(self, x: Tensor) -> Tensor:
        """Return y, [*lifetimes, n_out], and store x, [*lifetimes, n_in], in place."""
        self.inputs[..., :-1].copy_(x)
        return F.affine(self.affine, self.inputs)

    def backward(self, signal: Tensor) -> Tensor:
        """Write the gradient of every parameter into its ``.grad``, in place, and return the signal at the inputs.

        Args:
            signal: g = d objective / d y, [*lifetimes, n_out].

        Returns:
            V^T g, [*lifetimes, n_in].
        """
        assert self.affine.grad is not None
        torch.mul(signal.unsqueeze(-1), self.inputs.unsqueeze(-2), out=self.affine.grad)
        return F.affine_transposed(self.weight, signal)
