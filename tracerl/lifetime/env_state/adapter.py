"""What takes one layer of an env, a wrapper or the bare env, to its state and back."""

from collections.abc import Collection
from typing import Any, Protocol


class Adapter(Protocol):
    """Knows the state of some classes of envs or wrappers. It works on one layer and never on what is inside it."""

    def matches(self, env: Any) -> bool:
        """Tell whether this layer is of a class that it knows: exactly that class, not one derived from it."""
        ...

    def obstacle(self, env: Any) -> str | None:
        """Say why this layer cannot be captured to the bit after all; None where it can."""
        ...

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the layer's state: None, bools, numbers, strings, arrays, and lists, tuples and dicts of such.

        The generator ``np_random`` of the bare env and those of spaces are kept apart.
        """
        ...

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Give a layer of the same class the state; the env's ``np_random`` has been restored before.

        Raises:
            ValueError: naming what does not fit.
        """
        ...


def is_named(env: Any, package: str, names: Collection[str]) -> bool:
    """Tell whether an object's class is one of these of a package, which need not have been imported."""
    module = type(env).__module__
    return (module == package or module.startswith(package + ".")) and type(env).__qualname__ in names
