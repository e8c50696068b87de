"""The folder of one run: writing, resuming and reading it."""

from tracerl.config.moved import attribute_of

__getattr__ = attribute_of("tracerl.runs.saved_run")  # what tracerl 0.1 had in a module of this name
