"""Envs and wrappers that say themselves what their state is: this project's own, and those of users."""

from typing import Any

from .adapter import Adapter


class Methods(Adapter):
    """Classes with ``state_dict() -> dict[str, Any]`` and ``load_state_dict(state) -> None``, inherited ones included.

    ``state_dict`` returns all that a later step or reset reads and that a new env of the same arguments may not have:
    None, bools, numbers, strings, NumPy arrays, and lists, tuples and str-keyed dicts of such. What it returns is
    copied. ``load_state_dict`` gets the same values, of the same types. A class that adds to the state of the class it
    is derived from adds to both methods. ``np_random`` and the generators of spaces are kept without them; of another
    generator, ``generator.bit_generator.state`` is such a value, to be returned and to be set.
    """

    def matches(self, env: Any) -> bool:
        """Tell whether the class has both methods."""
        return all(callable(getattr(type(env), name, None)) for name in ("state_dict", "load_state_dict"))

    def capture(self, env: Any) -> dict[str, Any]:
        """Return what the class says its state is; a ValueError where that is no dict."""
        state = env.state_dict()
        if type(state) is not dict:
            raise ValueError(f"{type(env).__name__}.state_dict() must return a dict, got {state!r}")
        return state

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Hand the state to the class."""
        env.load_state_dict(state)
