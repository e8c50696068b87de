"""Networks: spiking layers with a leaky-integrator readout, and a perceptron; parameters are in one flat buffer."""

from tracerl.nn.networks.base import Network
from tracerl.nn.networks.convolutional import Convolutional
from tracerl.nn.networks.graph import Graph
from tracerl.nn.networks.neurons import Neurons
from tracerl.nn.networks.perceptron import Perceptron, PerceptronSettings, check_spiking
from tracerl.nn.networks.scored import ScoredNetwork
from tracerl.nn.networks.sequential import Dense, Sequential

__all__ = [
    "Convolutional",
    "Dense",
    "Graph",
    "Network",
    "Neurons",
    "Perceptron",
    "PerceptronSettings",
    "ScoredNetwork",
    "Sequential",
    "check_spiking",
]
