"""The step types of ``lifetime.protocol.StepType`` as plain ints, which numba compiles into the code."""

from tracerl.lifetime.protocol import StepType

SKIP, FIRST, MID, TERMINATED, TRUNCATED = (int(step_type) for step_type in StepType)
