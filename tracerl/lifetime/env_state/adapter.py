"""What takes one layer of an env, a wrapper or the bare env, to its state and back."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import Fields, read, write


def is_named(env: Any, package: str, names: Collection[str]) -> bool:
    """Tell whether an object's class is one of these of a package, which need not have been imported."""
    module = type(env).__module__
    return (module == package or module.startswith(package + ".")) and type(env).__qualname__ in names


@dataclass(frozen=True)
class Adapter:
    """Captures and restores layers whose state is in their attributes, without what is inside them."""

    package: str = ""  # of the classes. Classes derived from them are not meant.
    # which attributes of a layer, and their checks, by name of the class
    fields: Mapping[str, Callable[[Any], Fields]] = field(default_factory=dict)
    # of these, the ones that the first reset makes; see ``fields.write``.
    late: Mapping[str, Collection[str]] = field(default_factory=dict)

    def matches(self, env: Any) -> bool:
        """Tell whether this layer is of one of the classes."""
        return is_named(env, self.package, self.fields)

    def unsupported_reason(self, env: Any) -> str | None:
        """Say why the state of this layer cannot be captured bit-identically; None where it can."""
        return None

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the layer's state: None, bools, numbers, strings, arrays, and lists, tuples and dicts of such.

        The generator ``np_random`` of the bare env and those of spaces are kept apart.
        """
        return read(env, self.fields[type(env).__name__](env))

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Give a layer of the same class the state; the env's ``np_random`` has been restored before.

        Raises:
            ValueError: naming what does not fit.
        """
        name = type(env).__name__
        write(env, state, self.fields[name](env), self.late.get(name, ()))
