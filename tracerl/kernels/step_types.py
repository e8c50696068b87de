"""The step types of ``lifetime.protocol.Verb`` as plain ints, which numba compiles into the code."""

from tracerl.lifetime.protocol import Verb

SKIP, FIRST, MID, TERMINATED, TRUNCATED = (int(verb) for verb in Verb)
