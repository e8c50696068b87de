"""What a lifetime looks like inside: recorded activity, and the images drawn of it."""

from tracerl.config.moved import attribute_of

__getattr__ = attribute_of("tracerl.recording.recorder")  # what tracerl 0.1 had in a module of this name
