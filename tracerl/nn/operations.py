"""The cost of a decision: spikes and synaptic operations, beside the multiply-accumulates of a network without spikes.

The convention is that of NeuroBench (Yik et al. 2025, https://arxiv.org/abs/2304.04640, metric "synaptic operations"),
which separates accumulates from multiply-accumulates and leaves out biases and the updates of neurons:

    synaptic operations = ticks * sum over spikes of the neuron's fan-out     (accumulates: a spike is 1 or -1)
    multiply-accumulates = ticks * sum over inputs and graded outputs that are not 0 of their fan-out
    dense equivalent = a multiply-accumulate per synapse, in one pass

The fan-out is the number of synapses behind a neuron, those of the readout included. A weight of a convolution is a
synapse at every position. Weights that happen to be zero count. The readout's filter is state of the neurons below it,
as membranes are. Pooling is part of the weights after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from torch import Tensor

from tracerl.nn.averages import finite_mean
from tracerl.nn.exportable import Part, Portable
from tracerl.nn.layers import Graded, Pooling, SpikingLayer
from tracerl.nn.networks import Network
from tracerl.nn.wiring import INPUT

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Operations:
    """The cost of one decision of a network: means over decisions.

    Attributes:
        spikes: of all neurons.
        synaptic_operations: accumulates that the spikes cause.
        multiply_accumulates: of inputs and graded outputs that are not 0.
        dense: multiply-accumulates of a network of the same layers without spikes, in one pass.
    """

    spikes: float
    synaptic_operations: float
    multiply_accumulates: float
    dense: float

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


class FanOut:
    """The synapses behind every input and every neuron of a network.

    Attributes:
        ticks: per decision.
        spiking: each spiking layer with the fan-out of its neurons, [n].
        inputs: the synapses that receive the network's input, the slice of it among theirs, and its fan-out, [n].
        graded: fan-out of all graded neurons, whose outputs are not 0.
        dense: multiply-accumulates of a network of the same layers without spikes.
    """

    def __init__(self, part: Part, readout_alone: bool = False) -> None:
        """Count the synapses.

        Args:
            part: a network and those of its outputs that count.
            readout_alone: leave out the layers below, which count for another part of the same network.
        """
        network: Network = part.network
        nodes, wiring = network.wiring.nodes, network.wiring
        n_out, direct = len(range(network.readout.n_out)[part.outputs]), dict[int, Array]()
        for i, node in enumerate(nodes):
            size = node.layer.n_out
            direct[i] = np.full(size, float(n_out if i in wiring.outputs else 0))
        self.ticks, self.inputs = network.ticks, list[tuple[Any, slice, Array]]()
        for i, node in enumerate([] if readout_alone else nodes):
            if isinstance(node.layer, SpikingLayer):
                self._add(i, node, wiring, direct)
        through = _through_pooling(nodes, direct)
        layers = [(i, node.layer) for i, node in enumerate(nodes) if isinstance(node.layer, SpikingLayer)]
        self.spiking = [(layer, through[i]) for i, layer in layers if not isinstance(layer, Graded)]
        self.graded = float(sum(through[i].sum() for i, layer in layers if isinstance(layer, Graded)))
        self.dense = float(sum(fan.sum() for fan in direct.values()) + sum(fan.sum() for *_, fan in self.inputs))
        self._counts_spikes = not readout_alone

    def _add(self, i: int, node: Any, wiring: Any, direct: dict[int, Array]) -> None:
        """Add the synapses of one layer to the fan-out of its sources."""
        fan_out = node.layer.synapses.fan_out()
        sources = [*node.sources, *node.delayed, *([i] if node.layer.recurrent else [])]
        start = 0
        for source in sources:
            block = slice(start, start + wiring.size(source))
            start = block.stop
            if source == INPUT:
                self.inputs.append((node.layer.synapses, block, fan_out[block]))
            else:
                direct[source] = direct[source] + fan_out[block]

    def of_spikes(self, spikes: Sequence[Array]) -> tuple[float, float]:
        """Return the spikes and synaptic operations of one tick: means over the lifetimes.

        Args:
            spikes: per tick, of each layer of ``spiking``, [*lifetimes, n].
        """
        count = sum((each.sum(-1) for each in spikes), np.zeros(()))
        operations = sum((each @ fan for each, (_, fan) in zip(spikes, self.spiking, strict=True)), np.zeros(()))
        return finite_mean(np.asarray(count)) * self._counts_spikes, finite_mean(np.asarray(operations))

    def of_rates(self) -> float:
        """Return the synaptic operations per decision by the layers' running rates, mean over the lifetimes."""
        return self.ticks * self.of_spikes([numbers(layer.rate) for layer, _ in self.spiking])[1]


def fan_outs(agent: Any) -> dict[str, FanOut]:
    """Return the fan-outs of an agent's networks of spiking layers by function: ``policy`` and ``value``.

    A network with both functions counts for the policy; for the value there is its row of the readout alone.
    """
    parts: Mapping[str, Part] = agent.parts() if isinstance(agent, Portable) else {}
    found, seen = dict[str, FanOut](), set[int]()
    for name, part in parts.items():
        if isinstance(part.network, Network):
            found[name] = FanOut(part, id(part.network) in seen)
            seen.add(id(part.network))
    return found


@dataclass(frozen=True)
class Counted:
    """What some decisions of a copy cost in all.

    Attributes:
        decisions: their number.
        spiking: spikes and synaptic operations by network.
        received: multiply-accumulates of the inputs of one tick per decision, by network.
    """

    decisions: int
    spiking: Mapping[str, tuple[float, float]]
    received: Mapping[str, float]


class OperationCounter:
    """Counts the operations of frozen copies of an agent while they act.

    The copies are an agent of one lifetime, or the lifetimes of an agent of many. They count the spikes themselves, in
    ``rate``; see ``count_spikes``. The inputs are those of the newest decision.
    """

    _UNREAD = 1_000_000  # steps after which the counts are added up, while float32 is exact

    def __init__(self, agent: Any, copies: int = 1) -> None:
        """Make the agent, a copy for this purpose, count its spikes from zero."""
        self._fan_outs = fan_outs(agent) if hasattr(agent, "count_spikes") else {}
        if self._fan_outs:
            agent.count_spikes()
        layers = [layer for own in self._fan_outs.values() for layer, _ in own.spiking]
        self._spikes = {layer: np.zeros((copies, layer.n_out)) for layer in layers}  # each once, also of two functions
        read = {name: own.inputs for name, own in self._fan_outs.items()}
        self._inputs = {
            name: [(numbers(s.inputs).reshape(copies, -1)[:, b], fan) for s, b, fan in own]
            for name, own in read.items()
        }
        self._received = {name: np.zeros(copies) for name in self._fan_outs}
        self._decisions, self._unread = np.zeros(copies, np.int64), 0

    def count(self, deciding: Array) -> None:
        """Count a decision of some of the copies, and its inputs that are not zero.

        Args:
            deciding: the copies that have just chosen an action, bool, [copies].
        """
        if not self._fan_outs:
            return
        self._decisions += deciding
        for name, inputs in self._inputs.items():
            for values, fan_out in inputs:
                self._received[name] += ((values != 0) @ fan_out) * deciding
        self._unread += 1
        if self._unread >= self._UNREAD:
            self._read()

    def _read(self) -> None:
        """Add the agent's counts to those read before, and set them to zero."""
        for layer, total in self._spikes.items():
            total += numbers(layer.rate).reshape(total.shape)
            layer.rate.zero_()
        self._unread = 0

    def take(self, copy: int) -> Counted:
        """Return the counts of a copy since the last call, and begin at zero."""
        for layer, total in self._spikes.items():
            rates = numbers(layer.rate).reshape(total.shape)
            total[copy] += rates[copy]
            layer.rate.view(total.shape)[copy] = 0
        spiking = {
            name: own.of_spikes([self._spikes[layer][copy] for layer, _ in own.spiking])
            for name, own in self._fan_outs.items()
        }
        received = {name: float(each[copy]) for name, each in self._received.items()}
        found = Counted(int(self._decisions[copy]), spiking, received)
        self._decisions[copy] = 0
        for counts in (*self._spikes.values(), *self._received.values()):
            counts[copy] = 0
        return found

    def per_decision(self, parts: Sequence[Counted]) -> dict[str, Operations]:
        """Return the means by network over the decisions of these parts; empty without a network or a decision."""
        decisions, found = sum(part.decisions for part in parts), dict[str, Operations]()
        for name, own in self._fan_outs.items() if decisions else ():
            spikes, operations = (sum(part.spiking[name][i] for part in parts) / decisions for i in range(2))
            received = sum(part.received[name] for part in parts) / decisions
            multiplied = own.ticks * (received + own.graded)
            found[name] = Operations(spikes, operations, multiplied, own.dense)
        return found


def numbers(tensor: Tensor) -> Array:
    """Return a tensor as an array, a view where it is on the CPU."""
    found: Array = tensor.detach().cpu().numpy()
    return found


def _through_pooling(nodes: Sequence[Any], direct: Mapping[int, Array]) -> dict[int, Array]:
    """Return the fan-outs with those of the pooled units that a neuron is a member of."""
    found = dict(direct)
    for i in range(len(nodes) - 1, -1, -1):
        layer = nodes[i].layer
        if isinstance(layer, Pooling):
            below = nodes[i].sources[0]
            added = found[below].copy()
            added[numbers(layer.members)] += found[i][:, None]
            found[below] = added
    return found
