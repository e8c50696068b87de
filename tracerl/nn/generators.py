"""The state of NumPy's generators as six 64-bit words, for checkpoints."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import Space

from tracerl.nn.spaces import parts_of

Words = np.ndarray[Any, np.dtype[np.uint64]]
_LOW = 2**64 - 1


def words(generator: np.random.Generator) -> Words:
    """Return the state of a PCG64 generator: uint64, [6].

    The words are the halves of its state and of its increment, high first, then whether half of a 64-bit draw is
    buffered, and this half. A generator of another kind raises a ValueError.
    """
    found: Any = generator.bit_generator.state
    if found["bit_generator"] != "PCG64":
        raise ValueError(f"the generator must be a PCG64, as Gymnasium's are, got {found['bit_generator']}")
    state, increment = found["state"]["state"], found["state"]["inc"]
    halves = [state >> 64, state & _LOW, increment >> 64, increment & _LOW]
    return np.array([*halves, found["has_uint32"], found["uinteger"]], np.uint64)


def set_words(generator: np.random.Generator, state: Words) -> None:
    """Set the state of a PCG64 generator from its words; a ValueError if they are not six."""
    if state.shape != (6,):
        raise ValueError(f"the words of a generator must be six, got shape {state.shape}")
    high, low, increment_high, increment_low, has_left, left = (int(word) for word in state)
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": increment_high << 64 | increment_low},
        "has_uint32": has_left,
        "uinteger": left,
    }


def generators(space: Space[Any]) -> Iterator[np.random.Generator]:
    """Yield every generator from which a space samples, in the order of its parts."""
    yield space.np_random
    for part in parts_of(space):
        yield from generators(part)
