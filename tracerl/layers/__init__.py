"""Layers of spiking neurons: each owns its parameters, its state and the derivatives it carries forward."""

from tracerl.layers.alif import ALIF
from tracerl.layers.convolution import ConvolutionalSynapses
from tracerl.layers.distributions import distributions_of
from tracerl.layers.graded import Graded
from tracerl.layers.li import LI
from tracerl.layers.lif import LIF
from tracerl.layers.pooling import Pooling
from tracerl.layers.spiking import LayerSettings, SpikingLayer
from tracerl.layers.synapses import DenseSynapses
from tracerl.layers.synaptic import SynapticLIF
from tracerl.layers.trace_lif import TraceLIF
from tracerl.layers.trace_lis import TraceLIS

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "ConvolutionalSynapses",
    "DenseSynapses",
    "Graded",
    "LayerSettings",
    "Pooling",
    "SpikingLayer",
    "SynapticLIF",
    "TraceLIF",
    "TraceLIS",
    "distributions_of",
]
