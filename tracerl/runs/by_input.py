"""Settings that depend on what is observed, such as ``{vectors: 0.1, images: 0.04}``."""

from collections.abc import Sequence
from typing import Any

IMAGE, LARGE = 5, 36  # shorter side, in pixels, from which an observation is an image and a large one
KINDS = ("vectors", "images", "large")


def kind_of(shape: Sequence[int] | None) -> str:
    """Return the kind of observations of a shape: ``vectors``, ``images`` or ``large`` images.

    An image has two axes, or three with the channels first or last, or four for several images.

    Args:
        shape: of an observation; None where it has none.
    """
    axes = sorted(shape[-3:]) if shape is not None and len(shape) in (2, 3, 4) else [0, 0]
    return KINDS[(axes[-2] >= IMAGE) + (axes[-2] >= LARGE)]


def for_input(settings: Any, kind: str) -> Any:
    """Return settings with the entry for a kind of observation in place of every mapping of kinds.

    A setting without an entry for the kind is left out; ``large`` falls back on ``images``.

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
            kinds = [name for name in (kind, "images" if kind == "large" else kind) if name in part]
            if not kinds:
                continue
            part = part[kinds[0]]
        found[key] = for_input(part, kind)
    return found
