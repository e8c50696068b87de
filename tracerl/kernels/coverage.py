"""The classes that have kernels, each with its code in the kernels' records. It imports no compiler.

The exact class counts: a subclass may compute something else, which the kernels do not.
"""

from collections.abc import Iterator, Sequence

from tracerl.kernels.layout import (
    ADAPTIVE_OBGD,
    BERNOULLI,
    CATEGORICAL,
    EPSILON_GREEDY,
    GAUSSIAN,
    GRADED,
    INTENTIONAL,
    OBGD,
    POOLING,
    SGD,
    SPIKING,
    TERNARY,
    UPDATE_RMS,
)
from tracerl.nn.credit import OTPE, Exact
from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder
from tracerl.nn.encoders.base import name_of
from tracerl.nn.heads import Bernoulli, Categorical, Discretized, EpsilonGreedy, Gaussian, Head, MultiCategorical
from tracerl.nn.layers import ALIF, LIF, ConvolutionalSynapses, DenseSynapses, Graded, Pooling, SynapticLIF, Ternary
from tracerl.nn.networks import Network, Perceptron, ScoredNetwork, Sequential
from tracerl.nn.wiring import INPUT
from tracerl.optim.adaptive_obgd import AdaptiveOvershootingBounded
from tracerl.optim.intentional import BoundedIntentional
from tracerl.optim.obgd import OvershootingBounded
from tracerl.optim.sgd import FixedStep
from tracerl.optim.torch_optim import TorchStep
from tracerl.optim.update_rms import UpdateNormalized
from tracerl.rules.reflect import TraceLearner

ENCODERS = (RawEncoder, ContrastEncoder)
NETWORKS = (Network, Sequential, Perceptron)
HEADS: dict[type, int] = {
    Categorical: CATEGORICAL,
    MultiCategorical: CATEGORICAL,
    Discretized: CATEGORICAL,
    Bernoulli: BERNOULLI,
    Gaussian: GAUSSIAN,
    EpsilonGreedy: EPSILON_GREEDY,
}
STEP_RULES: dict[type, int] = {
    BoundedIntentional: INTENTIONAL,
    OvershootingBounded: OBGD,
    AdaptiveOvershootingBounded: ADAPTIVE_OBGD,
    FixedStep: SGD,
    UpdateNormalized: UPDATE_RMS,
}
LAYERS: dict[type, int] = {LIF: SPIKING, ALIF: SPIKING, Ternary: TERNARY, Graded: GRADED, Pooling: POOLING}


def unsupported(encoder: Encoder, head: Head, learners: Sequence[TraceLearner]) -> str | None:
    """Say which part of an agent has no kernel; None where all have one."""
    return next(_reasons(encoder, head, learners), None)


def _reasons(encoder: Encoder, head: Head, learners: Sequence[TraceLearner]) -> Iterator[str]:
    rules = [learner.step_rule for learner in learners]
    if any(isinstance(rule, TorchStep) for rule in rules):
        yield "it has no torch.optim optimisers"
    if type(encoder) not in ENCODERS:
        yield f"it has no kernel for the encoder {name_of(encoder)}"
    for part in (head, *rules):
        if type(part) not in (*HEADS, *STEP_RULES):
            yield f"it has no kernel for {type(part).__name__}"
    for learner in learners:
        for lacking in _lacking(learner.network):
            yield f"it has no kernel for {lacking}"


def _lacking(network: ScoredNetwork) -> Iterator[str]:
    """Yield the names of what the kernels lack of a network."""
    if type(network) not in NETWORKS:
        yield type(network).__name__
    if not isinstance(network, Network):
        return
    nodes, last = network.wiring.nodes, len(network.wiring.nodes) - 1
    in_a_row = all(node.sources == (i - 1 if i else INPUT,) and not node.delayed for i, node in enumerate(nodes))
    if not in_a_row or tuple(network.wiring.outputs) != (last,):
        yield "layers that are not in a row"
    for layer in network.layers:
        if type(layer.synapses) not in (DenseSynapses, ConvolutionalSynapses):
            yield type(layer.synapses).__name__
        if isinstance(layer.synapses, ConvolutionalSynapses) and isinstance(network.credit, OTPE):
            yield "credit=otpe of convolutional layers"
        if type(layer) not in LAYERS:
            yield "neuron=synaptic" if type(layer) is SynapticLIF else type(layer).__name__
    if network.readout.feedback is not None:
        yield f"feedback={network.readout.feedback_kind}"
    if isinstance(network.credit, Exact):
        yield "credit=exact"
