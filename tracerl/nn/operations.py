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


class OperationCounter:
    """A callback that counts the operations of a frozen agent of one lifetime while it acts.

    The agent counts the spikes itself, in ``rate``; see ``count_spikes``. The inputs are those of the newest decision.
    """

    every = 1
    _UNREAD = 1_000_000  # steps after which the counts are added up, while float32 is exact

    def __init__(self, agent: Any) -> None:
        """Make the agent, a copy for this purpose, count its spikes from zero."""
        self._fan_outs = fan_outs(agent) if hasattr(agent, "count_spikes") else {}
        if self._fan_outs:
            agent.count_spikes()
        layers = [layer for own in self._fan_outs.values() for layer, _ in own.spiking]
        self._spikes = {layer: np.zeros(layer.n_out) for layer in layers}  # each once, also one of two functions
        read = {name: own.inputs for name, own in self._fan_outs.items()}
        self._inputs = {name: [(numbers(s.inputs)[b], fan) for s, b, fan in own] for name, own in read.items()}
        self._received, self._seen = dict.fromkeys(self._fan_outs, 0.0), 0

    def call(self, records: Any, agent: object) -> None:
        """Count the inputs that are not zero; see ``Callback.call``."""
        self._seen += 1
        for name, inputs in self._inputs.items():
            for values, fan_out in inputs:
                self._received[name] += float((values != 0) @ fan_out)
        if self._seen % self._UNREAD == 0:
            self._read()

    def call_at_end(self, records: Any, agent: object) -> None:
        """Count nothing more."""

    def _read(self) -> None:
        """Add the agent's counts to those read before, and set them to zero."""
        for layer, total in self._spikes.items():
            total += numbers(layer.rate)
            layer.rate.zero_()

    def per_decision(self, decisions: int) -> dict[str, Operations]:
        """Return the means by network; empty for an agent without such networks, or before the first env step."""
        self._read()
        found, seen = dict[str, Operations](), self._seen
        for name, own in self._fan_outs.items() if seen and decisions else ():
            spikes, operations = own.of_spikes([self._spikes[layer] / decisions for layer, _ in own.spiking])
            multiplied = own.ticks * (self._received[name] / seen + own.graded)
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
