"""Layers of spiking neurons: each owns its parameters, its state and the traces it learns from."""

from tracerl.layers.li import LI
from tracerl.layers.lif import LIF

__all__ = ["LI", "LIF"]
