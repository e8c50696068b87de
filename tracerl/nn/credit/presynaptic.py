"""Presynaptic credit: one trace per input, without the state of later neurons (OTTT)."""

from typing import Any

from torch import Tensor, nn

from tracerl.nn.layers import SpikingLayer
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule
from tracerl.nn.wiring import INPUT, Wiring


class PresynapticTrace(StateModule):
    """The decaying sum of a layer's inputs: a_t = mbar a_{t-1} + dI_t/dW, with mbar the mean decay of the layer.

    Attributes:
        trace: a_t, [*lifetimes, n_in + 1, 1].
    """

    trace: Tensor
    tracked = ("trace",)

    def __init__(self, layer: SpikingLayer, lifetimes: Lifetimes) -> None:
        """Initialise at zero."""
        super().__init__()
        self.register_buffer("trace", lifetimes.zeros(*layer.synapses.received().shape[-2:]))
        self._image_of: Any = getattr(layer.synapses, "image_of", None)

    def update(self, layer: SpikingLayer) -> None:
        """Update the traces by this tick's inputs, in place."""
        received, norm = layer.synapses.received(), layer.norm
        kept = layer.membrane_decay.value.mean(-1)[..., None, None]
        self.trace.mul_(kept).add_(received if norm is None else received * norm.inverse.unsqueeze(-1))

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Convert a trace of patches, once or once per channel, to that of the image; see ``StateModule.upgrade``."""
        is_own = self._image_of is None or tensor.shape == self.trace.shape
        return tensor if is_own else self._image_of(tensor).unsqueeze(-1)

    def write_score(self, layer: SpikingLayer, signal: Tensor) -> None:
        """Write the gradient for a signal at the spikes of this tick, [*lifetimes, n]."""
        at_currents = signal.unsqueeze(-2) * layer.input_gain().unsqueeze(-2)
        if layer.norm is not None:
            at_currents = layer.norm.centre(at_currents)  # its scale is in the trace
        layer.synapses.write_products(self.trace, at_currents.squeeze(-2))


class Presynaptic(StateModule):
    """Online training through time (Xiao et al. 2022, https://arxiv.org/abs/2210.04195): presynaptic traces times psi.

        gradient of W = (signal backpropagated through this tick alone) psi (1-m) a_t

    Left out: the later effect of a spike through the states of later layers and of the readout, and the reset. This
    credit needs one number per input instead of one per synapse, and is the fastest. It is exact for neurons without
    state (m = 0, k = 0).

    Attributes:
        traces: of the spiking layers, by node number.
    """

    def __init__(self, wiring: Wiring, lifetimes: Lifetimes, stop: int | None = None) -> None:
        """Initialise at zero.

        Args:
            wiring: of the network.
            lifetimes: maker of tensors.
            stop: first node that does not receive this credit, as no later one does; None: all do.
        """
        super().__init__()
        self.wiring = wiring
        self.traces = {
            i: PresynapticTrace(node.layer, lifetimes)
            for i, node in enumerate(wiring.nodes[:stop])
            if isinstance(node.layer, SpikingLayer)
        }
        self.parts = nn.ModuleList(self.traces.values())
        self._blocks = {i: wiring.output_block(i) for i in wiring.outputs}

    def begin_tick(self) -> None:
        """Do nothing."""

    def end_tick(self) -> None:
        """Update the traces by this tick's inputs, in place."""
        for i, trace in self.traces.items():
            trace.update(self.wiring.nodes[i].layer)

    def write_scores(self, below: Tensor, output_signal: Tensor) -> None:
        """Write the gradients of the layers, in place; see ``OTPE.write_scores``."""
        wiring, at_outputs = self.wiring, below * self.wiring.readout.decay.complement
        signals: dict[int, Tensor] = {i: at_outputs[..., block] for i, block in self._blocks.items()}
        for i in range(len(wiring.nodes) - 1, -1, -1):
            node, signal = wiring.nodes[i], signals.get(i)
            if signal is None:  # the node has delayed outgoing edges only
                continue
            if any(source != INPUT for source in node.sources):
                at_inputs = node.layer.vjp(signal.unsqueeze(-2)).squeeze(-2)
                for source in node.sources:
                    part = at_inputs[..., wiring.block(i, source)]
                    signals[source] = part + signals[source] if source in signals else part
            if i in self.traces:
                self.traces[i].write_score(node.layer, signal)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces, in place, in the lifetimes of the mask or in all."""
        for trace in self.traces.values():
            clear_(trace.trace, mask)
