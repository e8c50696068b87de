"""A network of spiking layers under a leaky-integrator readout, its parameters in one flat buffer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tracerl.credit import OTPE, Credit, Exact, Presynaptic
from tracerl.layers import ALIF, LI, LIF, DenseSynapses, SpikingLayer, SynapticLIF
from tracerl.lives import Lives
from tracerl.module import StateModule
from tracerl.topology import INPUT, Node, Wiring

CreditKind = Literal["otpe", "presynaptic", "exact"]
_CREDITS: dict[str, type[Credit]] = {"otpe": OTPE, "presynaptic": Presynaptic, "exact": Exact}


class Network(StateModule):
    """Layers that receive the input, each other's spikes, or both, under a readout that receives some of them.

    Attributes:
        layers: the spiking layers, in the order in which they are advanced.
        readout: the layer on top.
        credit: what the scores of the layers are made of.
        flat: every parameter of the network in one buffer, [*lives, n]; the layers' parameters are views of it.
        score: the gradient of the objective by every parameter, [*lives, n]; their ``.grad`` are views of it.
    """

    flat: Tensor
    score: Tensor

    def __init__(
        self,
        nodes: Sequence[Node],
        outputs: Sequence[int],
        readout: LI,
        n_in: int,
        lives: Lives,
        ticks: int = 1,
        credit: CreditKind = "otpe",
    ) -> None:
        """Join the layers.

        Args:
            nodes: at least one, each after its sources.
            outputs: the nodes that the readout receives, side by side.
            readout: the layer on top.
            n_in: size of the input.
            lives: maker of tensors, the one the layers were made with.
            ticks: network ticks per env step; the last tick's output is returned.
            credit: ``otpe``: exact under the readout, close to it further down. ``presynaptic``: a trace per input.
                ``exact``: real-time recurrent learning.
        """
        super().__init__()
        self.wiring = Wiring(nodes, outputs, readout, n_in)
        self.hidden = nn.ModuleList(node.layer for node in nodes)
        self.readout = readout
        self.ticks = ticks
        self.layers: list[SpikingLayer] = [node.layer for node in nodes if isinstance(node.layer, SpikingLayer)]
        self.credit = _CREDITS[credit](self.wiring, lives)
        self._delayed = sorted({source for node in nodes for source in node.delayed})
        self._flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Advance one env step (``ticks`` ticks), updating states and traces in place.

        Args:
            x: the input of every tick, [*lives, n_in].

        Returns:
            The readout's y after the last tick, [*lives, n_out].
        """
        credit, wiring = self.credit, self.wiring
        for _ in range(self.ticks):
            credit.begin_tick()
            handed = {INPUT: x}
            before = {i: wiring.nodes[i].layer.spikes.clone() for i in self._delayed}
            for i, node in enumerate(wiring.nodes):
                parts = [handed[source] for source in node.sources] + [before[source] for source in node.delayed]
                handed[i] = credit.advance(i, parts[0] if len(parts) == 1 else torch.cat(parts, -1))
            spikes = [handed[i] for i in wiring.outputs]
            output: Tensor = self.readout(spikes[0] if len(spikes) == 1 else torch.cat(spikes, -1))
            credit.end_tick()
        return output

    def backward(self, learning_signal: Tensor) -> None:
        """Write the score of every parameter into ``score``, in place.

        Args:
            learning_signal: g = d objective / d y_t, [*lives, n_out].
        """
        self.credit.write_scores(self.readout.backward(learning_signal), learning_signal)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Return all membranes and traces to rest, in place, in the lives of the mask (bool, [*lives]) or in all."""
        for layer in self.layers:
            layer.reset_state(mask)
        self.readout.reset_state(mask)
        self.credit.reset_state(mask)

    def obstacle_to_fusing(self) -> str | None:
        """Say what of this network the fused engine has no kernel for; None where it has all."""
        lacking = next(self._without_kernel(), None)
        return lacking and f"it has no kernel for {lacking}"

    def _without_kernel(self) -> Iterator[str]:
        """Yield the names of what the kernels lack."""
        wiring, n = self.wiring, len(self.wiring.nodes)
        in_a_row = all(node.sources == (i - 1 if i else INPUT,) for i, node in enumerate(wiring.nodes))
        if not in_a_row or self._delayed or tuple(wiring.outputs) != (n - 1,) or len(self.layers) < n:
            yield "layers that are not in a row"
        for layer in self.layers:
            if not isinstance(layer.synapses, DenseSynapses):
                yield "synapses that are not dense"
            if type(layer) not in (LIF, ALIF):
                yield "neuron=synaptic" if type(layer) is SynapticLIF else type(layer).__name__
        if isinstance(self.credit, Exact):
            yield "credit=exact"

    def _flatten(self) -> None:
        """Gather every parameter, and its ``.grad``, in the two flat buffers."""
        lead = self.readout.affine.shape[:-2]
        flat = torch.cat([parameter.reshape(*lead, -1) for parameter in self.parameters()], -1)
        self.register_buffer("flat", flat, persistent=False)
        self.register_buffer("score", torch.zeros_like(flat), persistent=False)
        self.bind_parameters()

    def bind_parameters(self) -> None:
        """Make every parameter, and its ``.grad``, a view of ``flat`` and ``score`` where they now are."""
        start = 0
        for parameter in self.parameters():
            shape = parameter.shape[self.flat.dim() - 1 :]
            stop = start + shape.numel()
            parameter.data = self.flat[..., start:stop].unflatten(-1, shape)
            parameter.grad = self.score[..., start:stop].unflatten(-1, shape)
            start = stop

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Network":
        """Move to another device or dtype, then flatten again: moving tears the views apart."""
        super()._apply(fn, recurse)
        self._flatten()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copied or unpickled network, then bind again: copying tears the views apart."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.bind_parameters()
