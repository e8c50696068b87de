"""Convolutional synapses: the same weights at every position of an image."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tracerl.nn.layers.synapses import AffineSynapses
from tracerl.nn.lifetimes import Lifetimes


class Shape(NamedTuple):
    """Shape of an image: channels, height and width."""

    channels: int
    height: int
    width: int


def convolved(in_shape: Shape, channels: int, kernel: int, stride: int = 1, padding: int = 0) -> Shape:
    """Return the output shape of a convolution; a side below 1 means that the kernel does not fit."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in in_shape[1:])
    return Shape(channels, height, width)


class ConvolutionalSynapses(AffineSynapses):
    """A two-dimensional convolution: I[c, p] = sum_r W[r, c] x[patch r of position p] + b[c].

    Inputs and currents are flat vectors, as in any other layer; the currents are laid out as ``out_shape`` (channels,
    height, width), row-major. So a dense layer can follow directly.

    Each neuron, one per channel and position, has derivatives with respect to the K + 1 parameters that it shares with
    the other positions of its channel. The gradient of a parameter is the sum over the positions. A derivative of these
    synapses therefore has (K + 1) channels H' W' numbers, H' W' times the number of parameters: 37,888 for 16 channels
    of 3 x 3 over an image of 10 x 10 x 4, with 592 parameters. ``otpe`` keeps several. What the parameters receive at
    a position is a patch of the image, and a trace of it is that patch of the trace of the image. So the presynaptic
    trace has a number per pixel and one for the biases: 401.

    Attributes:
        in_shape: channels, height and width of the image.
        out_shape: channels, height H' and width W' of the currents.
        affine: [*lifetimes, K + 1, channels] with K = in_channels kernel^2: the weights of a patch, laid out as
            (in_channels, kernel, kernel), row-major; one column per channel, with the biases as last row.
        inputs: [*lifetimes, n_in + 1], x_t with a constant 1 for the bias.
        padded: number of pixels of the image with its padding, of all channels.
    """

    inputs: Tensor
    previous_names = {"inputs": "patches"}

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        channels: int,
        kernel: int,
        lifetimes: Lifetimes,
        *,
        stride: int = 1,
        padding: int = 0,
        channels_last: bool = False,
        codes: int = 1,
        weight_scale: float = 0.7,
        bias_scale: float = 1.0,
        sparsity: float = 0.0,
    ) -> None:
        """Draw the parameters.

        Args:
            in_shape: channels, height and width of the image.
            channels: of the currents.
            kernel: side of a patch, in pixels.
            lifetimes: maker of tensors.
            stride: pixels between neighbouring patches.
            padding: pixels of zeros around the image.
            channels_last: whether the flat inputs are laid out as (height, width, channels), as Gymnasium's images are.
            codes: number of images concatenated in the flat inputs, each with an equal share of the channels.
            weight_scale: weights are drawn from N(0, weight_scale^2 / K).
            bias_scale: biases are drawn from U(-bias_scale, bias_scale).
            sparsity: share of each channel's weights that start at zero, in [0, 1).
        """
        super().__init__()
        self.in_shape, self.channels_last, self.codes = Shape(*in_shape), channels_last, codes
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.out_shape: tuple[int, ...] = convolved(self.in_shape, channels, kernel, stride, padding)
        self.n_in, self.n_out = math.prod(in_shape), math.prod(self.out_shape)
        self.channels, seen = channels, in_shape[0] * kernel * kernel
        self.rows, self.padded = seen + 1, math.prod((in_shape[0], *(side + 2 * padding for side in in_shape[1:])))
        weight = lifetimes.normal(weight_scale / seen**0.5, channels, seen)
        self._draw(weight, bias_scale, sparsity, lifetimes)
        self.register_buffer("inputs", lifetimes.full(1.0, self.n_in + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents; see ``Synapses``."""
        self.inputs[..., :-1].copy_(x)
        return torch.matmul(self.affine.transpose(-1, -2), self._patches(self.inputs)).flatten(-2)

    def drive(self) -> Tensor:
        """Return the patches for every channel: [*lifetimes, rows, n_out]."""
        patches = self._patches(self.inputs)
        return patches.unsqueeze(-2).expand(*patches.shape[:-1], self.channels, -1).flatten(-2)

    def received(self) -> Tensor:
        """Return the image and the constant 1, [*lifetimes, n_in + 1, 1]."""
        return self.inputs.unsqueeze(-1)

    def jvp(self, tangents: Tensor) -> Tensor:
        """Convolve without biases; see ``Synapses.jvp``."""
        return torch.matmul(self.weight.unsqueeze(-3), self._unfold(tangents)).flatten(-2)

    def vjp(self, signals: Tensor) -> Tensor:
        """Convolve with the transposed weights; see ``Synapses.vjp``."""
        at_positions = signals.unflatten(-1, (self.channels, -1))  # [*lifetimes, J, channels, positions]
        return self._fold(torch.matmul(self.affine[..., :-1, :].unsqueeze(-3), at_positions))

    def fan_out(self) -> np.ndarray[Any, Any]:
        """Return the channels times the patches that a pixel is in; see ``Synapses.fan_out``."""
        ones = torch.ones(self.rows - 1, self.n_out // self.channels, dtype=torch.float64)
        found: np.ndarray[Any, Any] = self._fold(ones).numpy() * self.channels
        return found

    def write_score(self, score: Tensor) -> None:
        """Write the gradient, summed over the positions; see ``Synapses.write_score``."""
        assert self.affine.grad is not None
        torch.sum(score.unflatten(-1, (self.channels, -1)), -1, out=self.affine.grad)

    def write_products(self, received: Tensor, signal: Tensor) -> None:
        """Sum over the positions; see ``Synapses.write_products``."""
        assert self.affine.grad is not None
        patches = self._patches(received.squeeze(-1))
        torch.matmul(patches, signal.unflatten(-1, (self.channels, -1)).transpose(-1, -2), out=self.affine.grad)

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Convert patches, as were once saved, to their image; see ``StateModule.upgrade``."""
        return self.image_of(tensor) if name == "inputs" and tensor.shape != self.inputs.shape else tensor

    def image_of(self, patches: Tensor) -> Tensor:
        """Return patches [..., rows, at least H' W'] as [..., n_in + 1], with 0 for pixels in no patch."""
        places = self._unfold(torch.arange(1.0, self.n_in + 1, dtype=torch.float64)).long()
        image = patches.new_zeros(*patches.shape[:-2], 1 + self.n_in)  # padding is written to place 0
        image[..., places.flatten()] = patches[..., :-1, : places.shape[-1]].flatten(-2)
        return torch.cat([image[..., 1:], patches[..., -1, :1]], -1)

    def _patches(self, x: Tensor) -> Tensor:
        """Return the patches of flat images with a constant as last row: [..., n_in + 1] to [..., rows, positions]."""
        patches = self._unfold(x[..., :-1])
        return torch.cat([patches, x[..., -1:, None].expand(*patches.shape[:-2], 1, patches.shape[-1])], -2)

    def _unfold(self, x: Tensor) -> Tensor:
        """Return the patches of flat images at each position: [..., n_in] to [..., K, positions]."""
        channels, height, width = self.in_shape
        images = x
        if self.channels_last:
            images = x.unflatten(-1, (self.codes, height, width, channels // self.codes)).movedim(-1, -3)
        patches = nn.functional.unfold(
            images.reshape(-1, *self.in_shape), self.kernel, padding=self.padding, stride=self.stride
        )
        return patches.reshape(*x.shape[:-1], *patches.shape[-2:])

    def _fold(self, patches: Tensor) -> Tensor:
        """Sum overlapping patches, the transpose of ``_unfold``: [..., K, positions] to [..., n_in]."""
        images = nn.functional.fold(
            patches.reshape(-1, *patches.shape[-2:]),
            self.in_shape[1:],
            self.kernel,
            padding=self.padding,
            stride=self.stride,
        )
        if self.channels_last:
            images = images.unflatten(-3, (self.codes, -1)).movedim(-3, -1)
        return images.reshape(*patches.shape[:-2], self.n_in)
