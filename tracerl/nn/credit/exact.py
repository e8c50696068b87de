"""Exact credit: real-time recurrent learning of the whole network, for small networks and as a reference."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.layers import SpikingLayer
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule
from tracerl.nn.wiring import INPUT, Node, Wiring


class NodeTangents(StateModule):
    """The derivative of a node's output with respect to each of the network's P hidden parameters.

    Attributes:
        now: d z_t, [*lifetimes, P, n]; updated at the end of the tick.
        before: d z_{t-1}, [*lifetimes, P, n]; used for nodes with delayed edges.
    """

    now: Tensor
    before: Tensor
    tracked = ("now", "before")

    def __init__(
        self, node: Node, others: Sequence["NodeTangents"], n_in: int, total: int, lifetimes: Lifetimes
    ) -> None:
        """Initialise at zero.

        Args:
            node: whose spikes are differentiated.
            others: tangents of all nodes by number; the sequence may be completed later.
            n_in: size of the network's input, which depends on no parameter.
            total: P.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.node, self.others, self.n_in = node, others, n_in
        for name in ("now", "before"):
            self.register_buffer(name, lifetimes.zeros(total, node.layer.n_out))

    def output_tangents(self) -> Tensor:
        """Return d z_t after the layer has been advanced, [*lifetimes, P, n]."""
        layer = self.node.layer
        if isinstance(layer, SpikingLayer):
            return layer.eligibility()
        derivative: Tensor = layer.jvp(self.input_tangents())
        return derivative

    def input_tangents(self) -> Tensor:
        """Return the derivative of the synapses' inputs, [*lifetimes, P, n_in]; see ``SpikingLayer.track``."""
        nothing = self.now.new_zeros(*self.now.shape[:-1], self.n_in)
        parts = [nothing if source == INPUT else self.others[source].output_tangents() for source in self.node.sources]
        parts += [self.others[source].before for source in self.node.delayed]
        if isinstance(self.node.layer, SpikingLayer) and self.node.layer.recurrent:
            parts.append(self.now)
        return torch.cat(parts, -1)


class Exact(StateModule):
    """Real-time recurrent learning (Williams and Zipser 1989, https://doi.org/10.1162/neco.1989.1.2.270).

    Every layer tracks the derivatives of its states with respect to all hidden parameters of the network, through
    recurrence, delayed edges and normalisation. For every network the gradient equals backpropagation through time with
    weights held fixed. The cost is P numbers per neuron and P times the operations of the network per tick.

    Attributes:
        filtered: d zbar_t / d parameters, filtered as the readout filters spikes, [*lifetimes, P, readout.n_in].
    """

    filtered: Tensor
    tracked = ("filtered",)

    def __init__(self, wiring: Wiring, lifetimes: Lifetimes) -> None:
        """Number the parameters node by node and initialise the derivatives at zero."""
        super().__init__()
        self.wiring = wiring
        self.starts: dict[int, int] = {}
        total = 0
        for i, node in enumerate(wiring.nodes):
            if isinstance(node.layer, SpikingLayer):
                self.starts[i] = total
                total += node.layer.rows * node.layer.n_out
        self.tangents: list[NodeTangents] = []
        for node in wiring.nodes:
            self.tangents.append(NodeTangents(node, self.tangents, wiring.n_in, total, lifetimes))
        for i, start in self.starts.items():
            wiring.nodes[i].layer.track(lifetimes, total, start, self.tangents[i].input_tangents)
        self.parts = nn.ModuleList(self.tangents)
        self._delayed = {source for node in wiring.nodes for source in node.delayed}
        self.register_buffer("filtered", lifetimes.zeros(total, wiring.readout.n_in))

    def begin_tick(self) -> None:
        """Store the derivatives of the previous tick for delayed edges."""
        for i in self._delayed:
            self.tangents[i].before.copy_(self.tangents[i].now)

    def end_tick(self) -> None:
        """Store the derivatives of this tick and filter them as the readout filters spikes, in place."""
        for tangents in self.tangents:
            tangents.now.copy_(tangents.output_tangents())
        spikes = torch.cat([self.tangents[i].now for i in self.wiring.outputs], -1)
        F.low_pass_(self.filtered, self.wiring.readout.decay.value.unsqueeze(-2), spikes)

    def write_scores(self, below: Tensor, output_signal: Tensor) -> None:
        """Write the gradients of every hidden layer, in place; see ``OTPE.write_scores``."""
        scores = F.affine(self.filtered, below)  # [*lifetimes, P]
        for i, start in self.starts.items():
            layer = self.wiring.nodes[i].layer
            size = layer.rows * layer.n_out
            layer.write_score(scores[..., start : start + size].unflatten(-1, (layer.rows, layer.n_out)))

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the derivatives, in place, in the lifetimes of the mask or in all."""
        clear_(self.filtered, mask)
        for tangents in self.tangents:
            clear_(tangents.now, mask)
            clear_(tangents.before, mask)
