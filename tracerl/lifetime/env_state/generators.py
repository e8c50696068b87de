"""Random generators as plain data: NumPy's own, and those within Gymnasium's spaces.

A state that is not of such a generator raises a ValueError.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from tracerl.nn.spaces import parts_of

from .plain import decode, encode

_KINDS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)


def read(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a bit generator of NumPy in NumPy's own form."""
    if type(generator.bit_generator) not in _KINDS:
        raise ValueError(f"a generator must be one of NumPy's own, got {type(generator.bit_generator).__name__}")
    return dict(generator.bit_generator.state)


def write(state: Any, current: np.random.Generator | None) -> np.random.Generator:
    """Return a generator with a state: the current one, changed in place, if it is of the same kind."""
    if not isinstance(state, dict):
        raise ValueError(f"a generator's state must be a dict, got {state!r}")
    kinds = {kind.__name__: kind for kind in _KINDS}
    name = state.get("bit_generator")
    if name not in kinds:
        raise ValueError(f"generator.bit_generator must be one of {', '.join(kinds)}; got {name!r}")
    if current is None or type(current.bit_generator) is not kinds[name]:
        current = np.random.Generator(kinds[name](0))
    try:
        current.bit_generator.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"generator must be the state of a {name}: {error!r}") from error
    return current


def to_plain(generator: np.random.Generator | None) -> Any:
    """Return the state of a generator as plain data; None for None."""
    return None if generator is None else encode(read(generator), "generator")


def from_plain(data: Any, current: np.random.Generator | None) -> Any:
    """Return a generator with the state of ``to_plain``; see ``write``. None for None."""
    return None if data is None else write(decode(data, "generator"), current)


def from_space(space: gym.Space[Any]) -> dict[str, Any] | None:
    """Return the generators of a space and of its parts as plain data; None if none exists yet."""
    own = to_plain(space._np_random)
    parts = [from_space(part) for part in parts_of(space)]
    return None if own is None and not any(parts) else {"generator": own, "parts": parts}


def to_space(space: gym.Space[Any], data: Any) -> None:
    """Set the generators of a space and of its parts, or remove those that the data does not have."""
    inner = parts_of(space)
    if data is None:
        data = {"generator": None, "parts": [None] * len(inner)}
    if not isinstance(data, dict) or set(data) != {"generator", "parts"} or not isinstance(data["parts"], list):
        raise ValueError(f"the generators of a space must be a dict of generator and parts, got {data!r}")
    if len(data["parts"]) != len(inner):
        raise ValueError(f"the generators of {space} must have {len(inner)} parts, got {len(data['parts'])}")
    space._np_random = from_plain(data["generator"], space._np_random)
    for part, state in zip(inner, data["parts"], strict=True):
        to_space(part, state)
