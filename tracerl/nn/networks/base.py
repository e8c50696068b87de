"""A network of spiking layers with a leaky-integrator readout; its parameters are in one flat buffer."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tracerl.nn.credit import OTPE, Credit, Exact, Mixed, Presynaptic
from tracerl.nn.layers import LI, LIF, ConvolutionalSynapses, Graded, SpikingLayer, Ternary
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.scored import ScoredNetwork
from tracerl.nn.wiring import INPUT, Node, Wiring

CreditKind = Literal["otpe", "presynaptic", "mixed", "exact", "auto"]
_CREDITS: dict[str, type[Credit]] = {"otpe": OTPE, "presynaptic": Presynaptic, "mixed": Mixed, "exact": Exact}


class Network(ScoredNetwork):
    """Layers that receive the input, spikes of other layers, or both, and a readout that receives some of the layers.

    Attributes:
        layers: the spiking layers, in the order in which they are advanced.
        readout: the last layer.
        credit: computes the gradients of the layers.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        outputs: Sequence[int],
        readout: LI,
        n_in: int,
        lifetimes: Lifetimes,
        ticks: int = 1,
        credit: CreditKind = "otpe",
    ) -> None:
        """Join the layers.

        Args:
            nodes: at least one, each after its sources.
            outputs: the nodes whose concatenated outputs the readout receives.
            readout: the last layer.
            n_in: size of the input.
            lifetimes: maker of tensors, the one the layers were made with.
            ticks: network ticks per env step; the last tick's output is returned.
            credit: ``otpe``: exact for layers that feed the readout, approximate for the others. ``presynaptic``: one
                trace per input. ``mixed``: ``presynaptic`` for convolutional layers, ``otpe`` for the dense ones after
                them. ``exact``: real-time recurrent learning. ``auto``: ``presynaptic`` for a network without state,
                for which it is exact, and for one with convolutions, else ``otpe``.
        """
        super().__init__()
        self.wiring = Wiring(nodes, outputs, readout, n_in)
        self.hidden = nn.ModuleList(node.layer for node in nodes)
        self.readout = readout
        self.ticks = ticks
        self.layers: list[SpikingLayer] = [node.layer for node in nodes if isinstance(node.layer, SpikingLayer)]
        if credit == "auto":
            convolves = any(isinstance(layer.synapses, ConvolutionalSynapses) for layer in self.layers)
            credit = "presynaptic" if convolves or not self._has_state() else "otpe"
        self.credit = _CREDITS[credit](self.wiring, lifetimes)
        self._delayed = sorted({source for node in nodes for source in node.delayed})
        self.flatten(lifetimes.shape)

    def _has_state(self) -> bool:
        """Return whether the output depends on earlier inputs, or a layer learns more than its synapses."""
        fading = [self.readout.decay, *(layer.membrane_decay for layer in self.layers)]
        plain = all(type(layer) in (LIF, Ternary, Graded) and layer.threshold.raw is None for layer in self.layers)
        looped = any(node.delayed for node in self.wiring.nodes) or any(layer.recurrent for layer in self.layers)
        return looped or not plain or not all(decay.is_zero for decay in fading)

    def forward(self, x: Tensor) -> Tensor:
        """Advance one env step (``ticks`` ticks), updating states and traces in place.

        Args:
            x: [*lifetimes, n_in], constant over all ticks; or [*lifetimes, ticks, n_in], one input per tick.

        Returns:
            The readout's y after the last tick, [*lifetimes, n_out].
        """
        credit, wiring = self.credit, self.wiring
        held = x.dim() == self.flat.dim()
        for tick in range(self.ticks):
            credit.begin_tick()
            values = {INPUT: x if held else x[..., tick, :]}
            before = {i: wiring.nodes[i].layer.spikes.clone() for i in self._delayed}
            for i, node in enumerate(wiring.nodes):
                parts = [values[source] for source in node.sources] + [before[source] for source in node.delayed]
                values[i] = node.layer(parts[0] if len(parts) == 1 else torch.cat(parts, -1))
            spikes = [values[i] for i in wiring.outputs]
            output: Tensor = self.readout(spikes[0] if len(spikes) == 1 else torch.cat(spikes, -1))
            credit.end_tick()
        return output

    def backward(self, learning_signal: Tensor) -> None:
        """Write the gradient of every parameter into ``score``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lifetimes, n_out].
        """
        self.credit.write_scores(self.readout.backward(learning_signal), learning_signal)

    def parts(self, name: str) -> dict[str, nn.Module]:
        """Return the spiking layers and the readout; see ``ScoredNetwork.parts``."""
        return {f"{name}_{i}": layer for i, layer in enumerate(self.layers)} | {f"{name}_readout": self.readout}

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset all membranes and traces, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        for layer in self.layers:
            layer.reset_state(mask)
        self.readout.reset_state(mask)
        self.credit.reset_state(mask)

    def align(self) -> None:
        """Decay the weights of the readout and its adaptive feedback; see ``LI.align``."""
        self.readout.align()
