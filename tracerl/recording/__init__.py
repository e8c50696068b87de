"""Record the activity of a network and draw it as images."""

from tracerl.config.moved import attribute_of

__getattr__ = attribute_of("tracerl.recording.recorder")  # what tracerl 0.1 had in a module of this name
