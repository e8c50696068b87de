"""Networks: spiking layers under a leaky-integrator readout, and the peer without spikes; each in one flat buffer."""

from tracerl.network.base import Network
from tracerl.network.convolutional import Convolutional
from tracerl.network.graph import Graph
from tracerl.network.neurons import Neurons
from tracerl.network.perceptron import Perceptron, PerceptronSettings
from tracerl.network.scored import ScoredNetwork
from tracerl.network.sequential import Dense, Sequential

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
]
