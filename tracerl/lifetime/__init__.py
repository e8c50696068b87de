"""The loops over one and over many lifetimes, and what they need to know of agents and envs."""

from tracerl.config.moved import attribute_of

__getattr__ = attribute_of("tracerl.lifetime.loop")  # what tracerl 0.1 had in a module of this name
