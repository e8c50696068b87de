"""Adapters between one layer of an env (a wrapper or the bare env) and its state."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracerl.config.checks import first_line

from .fields import Fields, read, write


def is_named(env: Any, package: str, names: Collection[str]) -> bool:
    """Return whether an object's class is one of these of a package, which need not be imported."""
    return f"{type(env).__module__}.".startswith(f"{package}.") and type(env).__qualname__ in names


@dataclass(frozen=True)
class Adapter:
    """An adapter for layers whose state is in their attributes. Derived classes do not match."""

    package: str = ""  # package of the classes
    fields: Mapping[str, Callable[[Any], Fields]] = field(default_factory=dict)  # attributes and checks, by class name
    late: Mapping[str, Collection[str]] = field(default_factory=dict)  # those that the first reset makes; ``write``

    def matches(self, env: Any) -> bool:
        """Return whether this layer is of one of the classes."""
        return is_named(env, self.package, self.fields)

    def unsupported_reason(self, env: Any) -> str | None:
        """Return why the state of this layer cannot be captured bit-identically; None if it can."""
        return None

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the layer's state: None, bools, numbers, strings, arrays, and lists, tuples and dicts of these.

        The generators of the bare env (``np_random``) and of spaces are not part of it.
        """
        return read(env, self.fields[type(env).__name__](env))

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the state of a layer of the same class, whose ``np_random`` is restored already.

        Raises:
            ValueError: naming the entry that does not fit.
        """
        name = type(env).__name__
        write(env, state, self.fields[name](env), self.late.get(name, ()))


class Methods(Adapter):
    """An adapter for classes with ``state_dict() -> dict[str, Any]`` and ``load_state_dict(state) -> None``.

    ``state_dict`` returns all that a later step or reset reads and that a new env of the same arguments can lack: None,
    bools, numbers, strings, NumPy arrays, and lists, tuples and str-keyed dicts of these. The result is copied.
    ``load_state_dict`` gets the same values with the same types. A class that adds to the state of its base class
    extends both methods. ``np_random`` and the generators of spaces are kept apart. The state of another generator is
    ``generator.bit_generator.state``.
    """

    def matches(self, env: Any) -> bool:
        """Return whether the class has both methods."""
        return all(callable(getattr(type(env), name, None)) for name in ("state_dict", "load_state_dict"))

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the result of ``state_dict``; a ValueError if it is no dict, or if the method raises an exception."""
        state = _called(env, "state_dict")
        if type(state) is not dict:
            raise ValueError(f"{type(env).__name__}.state_dict() must return a dict, got {type(state).__name__}")
        return state

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Pass the state to ``load_state_dict``; a ValueError if it raises an exception."""
        _called(env, "load_state_dict", state)


def _called(env: Any, method: str, *arguments: Any) -> Any:
    """Return the result of a method of a user's class; a ValueError that names both if it raises an exception."""
    try:
        return getattr(env, method)(*arguments)
    except Exception as error:
        raised = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"{type(env).__name__}.{method} raised {raised}") from error
