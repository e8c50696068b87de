"""Settings that depend on what is observed, such as ``{vectors: 0.1, images: 0.04}``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gymnasium import Space

IMAGE, MEDIUM, LARGE = 5, 36, 53  # shorter side, in pixels, from which an observation is an image of each size
_FALLBACKS: dict[str, tuple[str, ...]] = {  # kinds whose entry serves a kind without one of its own
    "vectors": (),
    "images": (),
    "unit": ("images",),
    "medium": ("large", "images"),
    "large": ("images",),
}
KINDS = tuple(_FALLBACKS)


def kind_of(shape: Sequence[int] | None) -> str:
    """Return the kind of observations of a shape: ``vectors``, ``images``, or ``medium`` or ``large`` images.

    An image has two axes, or three with the channels first or last, or four for several images.

    Args:
        shape: of an observation; None where it has none.
    """
    from tracerl.nn.networks.stages import image_of

    if shape is None or len(shape) not in (2, 3, 4):
        return "vectors"
    side = min(image_of(shape)[1:])
    return "vectors" if side < IMAGE else "images" if side < MEDIUM else "medium" if side < LARGE else "large"


def kind_of_space(space: "Space[Any]") -> str:
    """Return the kind of a space's observations: as ``kind_of``, but ``unit`` for images bounded by 0 and 1.

    A matrix of floats without bounds is no image, but rows of features, such as the last observations of a robot.
    Images of whole numbers that a run scales to [0, 1] are no ``unit``: where little of their range is used, as in a
    Box of 255 with values up to 10, their currents are small.
    """
    from gymnasium import spaces

    from tracerl.lifetime.observations import ScaledImage

    kind = kind_of(space.shape)
    if kind != "vectors" and isinstance(space, spaces.Box) and len(space.shape) == 2 and not space.is_bounded("both"):
        return "vectors"
    if kind != "images" or isinstance(space, ScaledImage):
        return kind
    bounded = isinstance(space, spaces.Box) and space.low.min() >= 0 and space.high.max() <= 1
    return "unit" if bounded or isinstance(space, spaces.MultiBinary) else kind


def for_input(settings: Any, kind: str) -> Any:
    """Return settings with the entry for a kind of observation in place of every mapping of kinds.

    A setting without an entry for the kind is left out. ``unit`` and ``large`` fall back on ``images``, ``medium`` on
    ``large`` and then on ``images``.

    Args:
        settings: mappings, lists and values; not changed.
        kind: one of ``KINDS``.
    """
    if isinstance(settings, list):
        return [for_input(part, kind) for part in settings]
    if not isinstance(settings, dict):
        return settings
    found = {}
    for key, part in settings.items():
        if isinstance(part, dict) and part and set(part) <= set(KINDS):
            kinds = [name for name in (kind, *_FALLBACKS[kind]) if name in part]
            if not kinds:
                continue
            part = part[kinds[0]]
        found[key] = for_input(part, kind)
    return found
