"""The members of ``lifetime.protocol.StepType`` as plain ints: numba compiles them in, Python compares them faster."""

from tracerl.lifetime.protocol import StepType

SKIP, FIRST, MID, TERMINATED, TRUNCATED = (int(step_type) for step_type in StepType)
