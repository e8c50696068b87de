"""The verbs of an agent as plain ints, which numba compiles into the code."""

from tracerl.lifetime.protocol import Verb

SKIP, START, STEP, TERMINATED, TRUNCATED = (int(verb) for verb in Verb)
