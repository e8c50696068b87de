"""The attributes of an object that are its state: reading and setting them.

A value that does not fit, or a name that is unknown or missing, raises a ValueError. Then nothing is set.
"""

from collections import deque
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

import numpy as np

from tracerl.config.forms import Check, like

Fields = Mapping[str, Check]  # by name of the attribute; ``a.b`` is the attribute b of the attribute a


def read(owner: Any, fields: Fields) -> dict[str, Any]:
    """Return the existing attributes of these names; a deque as a list."""
    found = {}
    for name, check in fields.items():
        try:
            value = attrgetter(name)(owner)
        except AttributeError:
            continue  # attributes of an episode, before the first reset
        value = list(value) if isinstance(value, deque) else value
        found[name] = check(f"{type(owner).__name__}.{name}", value)
    return found


def checked(owner: Any, state: Mapping[str, Any], fields: Fields, late: Collection[str] = ()) -> dict[str, Any]:
    """Check the values of a state; see ``write``."""
    kind = type(owner).__name__
    unknown, missing = sorted(set(state) - set(fields)), sorted(set(fields) - set(state))
    if unknown:
        raise ValueError(f"{kind} has no {', '.join(unknown)} in its state, which is {', '.join(fields) or 'empty'}")
    if missing and set(missing) != set(late):
        raise ValueError(f"the state of {kind} must have {', '.join(missing)}")
    return {name: fields[name](f"{kind}.{name}", value) for name, value in state.items()}


def write(owner: Any, state: Mapping[str, Any], fields: Fields, late: Collection[str] = ()) -> None:
    """Set attributes to the result of ``read``, after all are checked.

    Args:
        owner: object with the attributes.
        state: values by name.
        fields: every name that may be set, and its check.
        late: names that the first reset makes. A state has all or none of them; with none they are deleted.
    """
    values = checked(owner, state, fields, late)
    for name in set(fields) - set(state):
        vars(owner).pop(name, None)
    for name, value in values.items():
        parent, _, attribute = name.rpartition(".")
        holder = attrgetter(parent)(owner) if parent else owner
        held = getattr(holder, attribute, None)
        if isinstance(held, deque):
            held.clear()
            held.extend(value)
        else:
            setattr(holder, attribute, value)


# Attributes without effect on a lifetime: drawing, paths, construction.
_APART = {"render_mode", "isopen", "screen_width", "screen_height", "screen_dim", "width", "height", "fullpath"}
_APART |= {"camera_id", "camera_name", "_ezpickle_args", "_ezpickle_kwargs", "_np_random_seed"}


def parameters(env: Any, but: Collection[str]) -> Fields:
    """Return the attributes of an env, except ``but``, that are numbers, bools, strings, arrays or tuples of numbers.

    ``Drift`` and users change them. Left out: ``_APART``, generators and spaces, which are kept apart, and attributes
    of other types, such as windows.
    """
    return {name: like(value) for name, value in vars(env).items() if name not in _APART | set(but) and _simple(value)}


def _simple(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_simple, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, (bool, int, float, str, np.bool_, np.integer, np.floating))
