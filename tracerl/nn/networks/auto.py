"""The network that suits the shape of the observations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tracerl.config import checks
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.base import Network
from tracerl.nn.networks.convolutional import Convolutional
from tracerl.nn.networks.sequential import Dense, check_widths

IMAGE = 5  # smallest side of observations with several axes that are taken for images, in pixels
LARGE = 36  # smallest side of large images


@dataclass(frozen=True, kw_only=True)
class Auto(Convolutional):
    """Settings of convolutional layers for images and of dense ones alone for other observations; ``build`` makes one.

    Observations are images if they have two or three axes and both sides have at least 5 pixels.

    Attributes:
        large: settings that differ for images whose sides have at least 36 pixels.
    """

    large: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        check_widths(self.hidden)
        super().__post_init__()
        if not isinstance(self.large, Mapping):
            raise checks.ConfigError("large", f"must be settings such as {{channels: [32, 64]}}, got {self.large!r}")
        taken = [field.name for field in fields(Convolutional)]
        for key in self.large:
            if key not in taken:
                raise checks.ConfigError(f"large.{key}", f"does not exist. Keys: {', '.join(taken)}")
        try:
            self._convolutional(self.large)
        except checks.ConfigError as error:
            raise error.under("large") from error

    def chosen(self, shape: Sequence[int]) -> Dense:
        """Return the settings of the network for observations of a shape."""
        sides = self._image(shape)[1:] if len(shape) in (2, 3, 4) else (0,)
        if min(sides) < IMAGE:
            return Dense(**{field.name: getattr(self, field.name) for field in fields(Dense)})
        return self._convolutional(self.large if min(sides) >= LARGE else {})

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Network:
        """Make the network; see ``Dense.build`` and ``Convolutional.build``."""
        return self.chosen(shape).build(shape, n_out, lifetimes)

    def choice(self, shape: Sequence[int]) -> str:
        """Describe the network that is chosen for observations of a shape, such as ``16 of 3x3, dense 128``."""
        settings = self.chosen(shape)
        widths = f"dense {', '.join(map(str, settings.hidden))}"
        if not isinstance(settings, Convolutional):
            return f"{widths} (no image, network=auto)"
        kernels = zip(settings.channels, settings._per_layer("kernel"), strict=True)
        convolutions = ", ".join(f"{channels} of {side}x{side}" for channels, side in kernels)
        _, height, width = self._image(shape)
        return f"{convolutions}, {widths} (images of {height}x{width}, network=auto)"

    def _convolutional(self, changes: Mapping[str, Any]) -> Convolutional:
        shared = {field.name: getattr(self, field.name) for field in fields(Convolutional)}
        return Convolutional(**shared | dict(changes))
