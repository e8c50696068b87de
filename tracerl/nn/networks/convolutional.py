"""Convolutional layers over an image, followed by dense layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tracerl.config import checks
from tracerl.nn.layers import ConvolutionalSynapses, Pooling
from tracerl.nn.layers.convolution import Shape, convolved
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.base import Network
from tracerl.nn.networks.neurons import Neurons
from tracerl.nn.networks.sequential import Dense, Sequential


class Stage(NamedTuple):
    """A convolutional layer and the pooling after it.

    Attributes:
        in_shape: of the input image: channels, height, width.
        channels: of the layer.
        kernel: see ``Convolutional``.
        stride: see ``Convolutional``.
        padding: see ``Convolutional``.
        pool: see ``Convolutional``.
    """

    in_shape: Shape
    channels: int
    kernel: int
    stride: int
    padding: int
    pool: int

    @property
    def convolved(self) -> Shape:
        """Shape of the layer's spikes."""
        return convolved(self.in_shape, self.channels, self.kernel, self.stride, self.padding)

    @property
    def out_shape(self) -> Shape:
        """Shape of the pooled output."""
        return convolved(self.convolved, self.channels, self.pool, self.pool)


@dataclass(frozen=True, kw_only=True)
class Convolutional(Dense):
    """Settings of a sequence of convolutional layers, with or without pooling, then dense ones; ``build`` makes it.

    ``kernel``, ``stride``, ``padding`` and ``pool`` are one number for all convolutional layers or a list with one
    number per layer. The neurons are those of ``Neurons``. Decays and thresholds that are drawn or learned per neuron
    differ between positions; only the weights are shared. Layers return flat vectors, so that dense layers can follow
    directly. ``recurrent`` applies to the dense layers only.

    Attributes:
        hidden: neurons of each dense layer, first layer first; may be empty.
        channels: of each convolutional layer, first layer first.
        kernel: side of a neuron's receptive field, in pixels.
        stride: distance of neighbouring receptive fields, in pixels.
        padding: pixels of zeros around the image.
        pool: side of the squares that are pooled after a layer, in pixels; 1: no pooling.
        pool_kind: ``average``, or ``max``: whether any neuron of the square fired.
        conv_membrane_decay: ``membrane_decay`` of the convolutional layers; None: the same as that of the dense ones.
        channels_last: whether observations of three dimensions are (height, width, channels), else (channels, height,
            width); None: the shorter of the first and the last axis is the channels, the last if they are equal.
    """

    channels: Any
    kernel: Any
    stride: Any
    padding: Any
    pool: Any
    pool_kind: Any
    channels_last: bool | None
    conv_membrane_decay: Any = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if isinstance(self.hidden, (list, tuple)) and not self.hidden:
            Neurons.__post_init__(self)
        else:
            super().__post_init__()
        if not isinstance(self.channels, (list, tuple)) or not self.channels:
            raise checks.ConfigError(
                "channels", f"must be a list of channels per layer such as [16], got {self.channels!r}"
            )
        for channels in self.channels:
            checks.whole("channels", channels, 1)
        for name in ("kernel", "stride", "padding", "pool"):
            for value in self._per_layer(name):
                checks.whole(name, value, 0 if name == "padding" else 1)
        checks.choice("pool_kind", self.pool_kind, ("average", "max"))
        if self.conv_membrane_decay is not None:
            checks.span("conv_membrane_decay", self.conv_membrane_decay, "a number in [0, 1)", 0.0, 1.0)
        if self.channels_last is not None and not isinstance(self.channels_last, bool):
            raise checks.ConfigError("channels_last", f"must be true, false or null, got {self.channels_last!r}")
        if self.recurrent and not self.hidden:
            raise checks.ConfigError("recurrent", "must be false without dense layers, the only recurrent ones")

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Network:
        """Make a network of these settings.

        Args:
            shape: of the observations: (height, width), or three dimensions laid out by ``channels_last``, or four
                dimensions for several such images, whose channels are concatenated.
            n_out: number of outputs.
            lifetimes: maker of tensors; its generators are advanced.

        Raises:
            ConfigError: naming the setting that does not fit observations of that shape.
        """
        layers: list[Any] = []
        m = self.membrane_decay if self.conv_membrane_decay is None else self.conv_membrane_decay
        convolutions = replace(self, membrane_decay=m)
        codes = shape[0] if len(shape) == 4 else 1
        for stage in self._stages(shape):
            synapses = ConvolutionalSynapses(
                stage.in_shape,
                stage.channels,
                stage.kernel,
                lifetimes,
                stride=stage.stride,
                padding=stage.padding,
                channels_last=not layers and len(shape) > 2 and self._channels_at(shape[-3:]) == 2,
                codes=1 if layers else codes,
                weight_scale=self.weight_scale,
                bias_scale=self.bias_scale,
                sparsity=self.sparsity,
            )
            layers.append(convolutions.layer(synapses, lifetimes))
            if stage.pool > 1:
                layers.append(Pooling(stage.convolved, stage.pool, self.pool_kind, lifetimes))
        for width in self.hidden:
            layers.append(self.dense(layers[-1].n_out, width, lifetimes))
        return Sequential(layers, self.readout(layers[-1].n_out, n_out, lifetimes), lifetimes, self.ticks, self.credit)

    def choice(self, shape: Sequence[int]) -> str:
        """Describe the network for observations of a shape, such as ``16 of 3x3, dense 128 (images of 10x10)``."""
        kernels = zip(self.channels, self._per_layer("kernel"), strict=True)
        layers = [f"{channels} of {side}x{side}" for channels, side in kernels]
        layers += [f"dense {', '.join(map(str, self.hidden))}"] if self.hidden else []
        _, height, width = self._image(shape)
        return f"{', '.join(layers)} (images of {height}x{width})"

    def _stages(self, shape: Sequence[int]) -> list[Stage]:
        """Return the convolutional stages for observations of a shape, checked to fit."""
        columns = [self._per_layer(name) for name in ("kernel", "stride", "padding", "pool")]
        stages, image = [], self._image(shape)
        for channels, *numbers in zip(self.channels, *columns, strict=True):
            stage = Stage(image, channels, *numbers)
            if min(stage.convolved) < 1:
                raise checks.ConfigError(
                    "network.kernel", f"must fit the image, got {stage.kernel} for one of {_sides(stage.in_shape)}"
                )
            if min(stage.out_shape) < 1:
                raise checks.ConfigError(
                    "network.pool", f"must fit the image, got {stage.pool} for one of {_sides(stage.convolved)}"
                )
            stages.append(stage)
            image = stage.out_shape
        return stages

    def _image(self, shape: Sequence[int]) -> Shape:
        """Return channels, height and width of observations of a shape."""
        if len(shape) == 4:
            channels, *sides = self._image(shape[1:])
            return Shape(shape[0] * channels, *sides)
        if len(shape) == 2:
            return Shape(1, *shape)
        if len(shape) != 3:
            expected = f"needs observations of two or three dimensions, got shape {tuple(shape)}"
            raise checks.ConfigError("network.channels", expected)
        channels_at = self._channels_at(shape)
        return Shape(shape[channels_at], *(side for axis, side in enumerate(shape) if axis != channels_at))

    def _channels_at(self, shape: Sequence[int]) -> int:
        """Return the axis of the channels in observations of three dimensions."""
        last = shape[2] <= shape[0] if self.channels_last is None else self.channels_last
        return 2 if last else 0

    def _per_layer(self, name: str) -> list[Any]:
        """Return a setting for each convolutional layer."""
        value = getattr(self, name)
        if not isinstance(value, (list, tuple)):
            return [value] * len(self.channels)
        if len(value) != len(self.channels):
            wanted = f"must be one number or {len(self.channels)} of them, as there are channels"
            raise checks.ConfigError(name, f"{wanted}, got {value!r}")
        return list(value)


def _sides(image: Shape) -> str:
    return f"{image[1]} x {image[2]}"
