"""The lifetime loop, the only place that steps an env, and what it needs to know of agent and env."""

from tracerl.config.moved import attribute_of

__getattr__ = attribute_of("tracerl.lifetime.loop")  # what tracerl 0.1 had in a module of this name
