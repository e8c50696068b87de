"""Layers of spiking neurons: each owns its parameters, its state and its forward-mode derivatives."""

from tracerl.nn.layers.alif import ALIF
from tracerl.nn.layers.convolution import ConvolutionalSynapses
from tracerl.nn.layers.distributions import distributions_of
from tracerl.nn.layers.graded import Graded
from tracerl.nn.layers.li import LI
from tracerl.nn.layers.lif import LIF
from tracerl.nn.layers.pooling import Pooling
from tracerl.nn.layers.spiking import LayerSettings, SpikingLayer
from tracerl.nn.layers.synapses import DenseSynapses
from tracerl.nn.layers.synaptic import SynapticLIF
from tracerl.nn.layers.ternary import Ternary
from tracerl.nn.layers.trace_lif import TraceLIF
from tracerl.nn.layers.trace_lis import TraceLIS

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
    "Ternary",
    "TraceLIF",
    "TraceLIS",
    "distributions_of",
]
