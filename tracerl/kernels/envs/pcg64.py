"""The random numbers of Gymnasium's environments: numpy's PCG64, its state kept as four words of a row.

The generator is PCG XSL-RR 128/64: a 128-bit linear congruential generator whose halves are xored and then rotated by
the state's top six bits (O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
Random Number Generation", section 6.3). Left out: numpy's buffered half word, which only draws of 32 bits use.
"""

from typing import Any

import numpy as np

from tracerl.kernels.jit import exact

# The first words of a row, each the bit pattern of an unsigned word.
STATE_HIGH, STATE_LOW, INCREMENT_HIGH, INCREMENT_LOW, GENERATOR_WORDS = range(5)

_MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
_MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)
_HALF_WORD = np.uint64((1 << 32) - 1)


def generator_words(seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the generator that ``env.reset(seed=seed)`` makes.

    Args:
        seed: a whole number, zero or more.

    Returns:
        Its words, int64, [GENERATOR_WORDS].

    Raises:
        gymnasium.error.Error: the seed is negative.
    """
    from gymnasium.utils.seeding import np_random  # here, so that kernels alone do not load Gymnasium

    state: Any = np_random(int(seed))[0].bit_generator.state["state"]
    halves = [divmod(state[name], 1 << 64) for name in ("state", "inc")]
    return np.array(halves, dtype=np.uint64).reshape(GENERATOR_WORDS).view(np.int64)


@exact
def uniform_between(words: Any, low: float, high: float) -> float:
    """Draw as ``Generator.uniform(low, high)`` does, moving the generator on in place."""
    return low + (high - low) * next_double(words)


@exact
def next_double(words: Any) -> float:
    """Draw from [0, 1) as ``Generator.random`` does, moving the generator on in place."""
    return float(next_word(words) >> np.uint64(11)) * 2.0**-53


@exact
def next_word(words: Any) -> Any:
    """Step the generator in place and return 64 random bits, uint64."""
    high, low = np.uint64(words[STATE_HIGH]), np.uint64(words[STATE_LOW])
    product_low = low * _MULTIPLIER_LOW
    product_high = high_product(low, _MULTIPLIER_LOW) + high * _MULTIPLIER_LOW + low * _MULTIPLIER_HIGH
    low = product_low + np.uint64(words[INCREMENT_LOW])
    carry = np.uint64(low < product_low)
    high = product_high + np.uint64(words[INCREMENT_HIGH]) + carry
    words[STATE_HIGH], words[STATE_LOW] = np.int64(high), np.int64(low)
    mixed, turn = high ^ low, high >> np.uint64(58)
    return (mixed >> turn) | (mixed << ((np.uint64(64) - turn) & np.uint64(63)))


@exact
def high_product(a: Any, b: Any) -> Any:
    """Return the upper 64 of the 128 bits of a product of words, from the products of their halves."""
    half = np.uint64(32)
    a_high, a_low, b_high, b_low = a >> half, a & _HALF_WORD, b >> half, b & _HALF_WORD
    first = a_high * b_low + ((a_low * b_low) >> half)
    second = a_low * b_high + (first & _HALF_WORD)
    return a_high * b_high + (first >> half) + (second >> half)
