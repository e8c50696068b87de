"""The convolutional layers of a network: their settings, and the shapes that follow from an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tracerl.config import checks
from tracerl.nn.layers.convolution import ConvolutionalSynapses, Shape, convolved
from tracerl.nn.lifetimes import Lifetimes


class Stage(NamedTuple):
    """A convolutional layer and the pooling after it.

    Attributes:
        in_shape: of the input image: channels, height, width.
        channels: of the layer.
        kernel: see ``Convolutions``.
        stride: see ``Convolutions``.
        padding: see ``Convolutions``.
        pool: see ``Convolutions``.
        channels_last: whether the flat inputs are laid out as (height, width, channels).
        codes: number of images concatenated in the flat inputs.
    """

    in_shape: Shape
    channels: int
    kernel: int
    stride: int
    padding: int
    pool: int
    channels_last: bool
    codes: int

    @property
    def convolved(self) -> Shape:
        """Shape of the layer's outputs."""
        return convolved(self.in_shape, self.channels, self.kernel, self.stride, self.padding)

    @property
    def out_shape(self) -> Shape:
        """Shape of the pooled outputs."""
        return convolved(self.convolved, self.channels, self.pool, self.pool)

    def synapses(self, lifetimes: Lifetimes, **initial: float) -> ConvolutionalSynapses:
        """Make the synapses of the layer; ``initial`` has the scales and the sparsity of their initial parameters."""
        return ConvolutionalSynapses(
            self.in_shape,
            self.channels,
            self.kernel,
            lifetimes,
            stride=self.stride,
            padding=self.padding,
            channels_last=self.channels_last,
            codes=self.codes,
            **initial,
        )


@dataclass(frozen=True)
class Convolutions:
    """Settings of a sequence of convolutional layers, checked; ``stages`` are the layers over an image.

    ``kernel``, ``stride``, ``padding`` and ``pool`` are one number for all layers or a list with one number per layer.

    Attributes:
        channels: of each layer, first layer first.
        kernel: side of the receptive field, in pixels.
        stride: distance of neighbouring receptive fields, in pixels.
        padding: pixels of zeros around the image.
        pool: side of the squares that are pooled after a layer, in pixels; 1: no pooling.
        channels_last: whether observations of three dimensions are (height, width, channels), else (channels, height,
            width); None: the shorter of the first and the last axis is the channels, the last if they are equal.
    """

    channels: Any
    kernel: Any
    stride: Any
    padding: Any = 0
    pool: Any = 1
    channels_last: Any = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if not isinstance(self.channels, (list, tuple)) or not self.channels:
            raise checks.ConfigError(
                "channels", f"must be a list of channels per layer such as [16], got {self.channels!r}"
            )
        for channels in self.channels:
            checks.whole("channels", channels, 1)
        for name in ("kernel", "stride", "padding", "pool"):
            for value in self.per_layer(name):
                checks.whole(name, value, 0 if name == "padding" else 1)
        if self.channels_last is not None and not isinstance(self.channels_last, bool):
            raise checks.ConfigError("channels_last", f"must be true, false or null, got {self.channels_last!r}")

    def per_layer(self, name: str) -> list[Any]:
        """Return a setting for each layer.

        Raises:
            ConfigError: naming the setting, whose list has another length than ``channels``.
        """
        value = getattr(self, name)
        if not isinstance(value, (list, tuple)):
            return [value] * len(self.channels)
        if len(value) != len(self.channels):
            wanted = f"must be one number or {len(self.channels)} of them, as there are channels"
            raise checks.ConfigError(name, f"{wanted}, got {value!r}")
        return list(value)

    def stages(self, shape: Sequence[int]) -> list[Stage]:
        """Return the layers over observations of a shape, first layer first.

        Args:
            shape: (height, width), or three dimensions laid out by ``channels_last``, or four dimensions for several
                such images, whose channels are concatenated.

        Raises:
            ConfigError: naming the setting that does not fit observations of that shape.
        """
        columns = [self.per_layer(name) for name in ("channels", "kernel", "stride", "padding", "pool")]
        stages, image = list[Stage](), image_of(shape, self.channels_last)
        last = len(shape) > 2 and _channels_at(shape[-3:], self.channels_last) == 2
        layout = last, shape[0] if len(shape) == 4 else 1
        for channels, kernel, stride, padding, pool in zip(*columns, strict=True):
            stage = Stage(image, channels, kernel, stride, padding, pool, *layout)
            if min(stage.convolved) < 1:
                raise checks.ConfigError(
                    "kernel", f"must fit the image, got {stage.kernel} for one of {_sides(stage.in_shape)}"
                )
            if min(stage.out_shape) < 1:
                raise checks.ConfigError(
                    "pool", f"must fit the image, got {stage.pool} for one of {_sides(stage.convolved)}"
                )
            stages.append(stage)
            image, layout = stage.out_shape, (False, 1)
        return stages


def image_of(shape: Sequence[int], channels_last: bool | None = None) -> Shape:
    """Return channels, height and width of observations of a shape; see ``Convolutions.stages``."""
    if len(shape) == 4:
        channels, *sides = image_of(shape[1:], channels_last)
        return Shape(shape[0] * channels, *sides)
    if len(shape) == 2:
        return Shape(1, *shape)
    if len(shape) != 3:
        expected = f"needs observations of two to four dimensions, got shape {tuple(shape)}"
        raise checks.ConfigError("channels", expected)
    at = _channels_at(shape, channels_last)
    return Shape(shape[at], *(side for axis, side in enumerate(shape) if axis != at))


def _channels_at(shape: Sequence[int], channels_last: bool | None) -> int:
    """Return the axis of the channels in observations of three dimensions."""
    last = shape[2] <= shape[0] if channels_last is None else channels_last
    return 2 if last else 0


def _sides(image: Shape) -> str:
    return f"{image[1]} x {image[2]}"
