"""Layers of spiking neurons: each owns its parameters, its state and the traces it learns from."""

from tracerl.layers.li import LI
from tracerl.layers.lif import LIF
from tracerl.layers.trace_lif import TraceLIF
from tracerl.layers.trace_lis import TraceLIS

__all__ = ["LI", "LIF", "TraceLIF", "TraceLIS"]
