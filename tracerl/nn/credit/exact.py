"""Exact credit: real-time recurrent learning of the whole network, for small nets and as an oracle."""

import torch
from torch import Tensor, nn

from tracerl.nn import functional as F
from tracerl.nn.layers import SpikingLayer
from tracerl.nn.lifetimes import Lives, clear_
from tracerl.nn.module import StateModule
from tracerl.nn.wiring import INPUT, Wiring


class NodeTangents(StateModule):
    """The derivative of what a node hands on by each of the network's P hidden parameters.

    Attributes:
        now: d z_t, [*lives, P, n].
        before: d z_{t-1}, of nodes with delayed edges.
    """

    now: Tensor
    before: Tensor
    tracked = ("now", "before")

    def __init__(self, n: int, total: int, lives: Lives) -> None:
        """Start at zero, for n neurons and ``total`` parameters."""
        super().__init__()
        self.register_buffer("now", lives.zeros(total, n))
        self.register_buffer("before", lives.zeros(total, n))


class Exact(StateModule):
    """Real-time recurrent learning (Williams and Zipser 1989, https://doi.org/10.1162/neco.1989.1.2.270).

    Every layer tracks the derivatives of its states by all hidden parameters of the network, through recurrence,
    delayed edges and normalisation. Equals backpropagation through time with weights held fixed, whatever the network.
    Costs P numbers per neuron and, per tick, P times what the network itself does.

    Attributes:
        filtered: d zbar_t by the parameters, as the readout filters the spikes, [*lives, P, neurons under it].
    """

    filtered: Tensor
    tracked = ("filtered",)

    def __init__(self, wiring: Wiring, lives: Lives) -> None:
        """Number the parameters node by node and start at zero."""
        super().__init__()
        self.wiring = wiring
        self.starts: dict[int, int] = {}
        total = 0
        for i, node in enumerate(wiring.nodes):
            if isinstance(node.layer, SpikingLayer):
                self.starts[i] = total
                total += node.layer.rows * node.layer.n_out
        for i, start in self.starts.items():
            wiring.nodes[i].layer.track(lives, total, start)
        self.total = total
        self.tangents = [NodeTangents(node.layer.n_out, total, lives) for node in wiring.nodes]
        self.parts = nn.ModuleList(self.tangents)
        self._delayed = {source for node in wiring.nodes for source in node.delayed}
        self.register_buffer("filtered", lives.zeros(total, wiring.readout.n_in))

    def begin_tick(self) -> None:
        """Set aside what delayed edges will ask for."""
        for i in self._delayed:
            self.tangents[i].before.copy_(self.tangents[i].now)

    def advance(self, node: int, x: Tensor) -> Tensor:
        """Advance one layer and its derivatives, and return its spikes."""
        layer, mine = self.wiring.nodes[node].layer, self.tangents[node]
        arriving = self._arriving(node)
        if not isinstance(layer, SpikingLayer):
            spikes: Tensor = layer(x)
            mine.now.copy_(layer.push(arriving))
            return spikes
        if layer.recurrent:
            arriving = torch.cat([arriving, mine.now], -1)
        current = layer.receive(x)
        d_current = layer.synapses.push(arriving)
        layer.own(d_current)[..., : layer.synapses.rows, :] += layer.synapses.drive()
        layer.carry(d_current if layer.norm is None else layer.norm.project(d_current), current)
        spikes = layer.fire(current)
        mine.now.copy_(layer.eligibility())
        return spikes

    def _arriving(self, node: int) -> Tensor:
        """Return the derivative of what a node receives: [*lives, P, n_in]."""
        here = self.wiring.nodes[node]
        nothing = self.filtered.new_zeros(*self.filtered.shape[:-1], self.wiring.n_in)
        parts = [nothing if source == INPUT else self.tangents[source].now for source in here.sources]
        parts += [self.tangents[source].before for source in here.delayed]
        return torch.cat(parts, -1)

    def end_tick(self) -> None:
        """Filter the derivatives as the readout filters the spikes, in place."""
        spikes = torch.cat([self.tangents[i].now for i in self.wiring.outputs], -1)
        F.low_pass_(self.filtered, self.wiring.readout.decay.value.unsqueeze(-2), spikes)

    def write_scores(self, below: Tensor, output_signal: Tensor) -> None:
        """Write the score of every hidden layer, in place; see ``OTPE.write_scores``."""
        scores = F.affine(self.filtered, below)  # [*lives, P]
        for i, start in self.starts.items():
            layer = self.wiring.nodes[i].layer
            size = layer.rows * layer.n_out
            layer.write_score(scores[..., start : start + size].unflatten(-1, (layer.rows, layer.n_out)))

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Forget, in place, in the lives of the mask or in all."""
        clear_(self.filtered, mask)
        for tangents in self.tangents:
            clear_(tangents.now, mask)
            clear_(tangents.before, mask)
