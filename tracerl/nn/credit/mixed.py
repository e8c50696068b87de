"""Mixed credit: presynaptic for convolutional layers, OTPE for the dense layers after them."""

from torch import Tensor, nn

from tracerl.nn.credit.otpe import OTPE
from tracerl.nn.credit.presynaptic import Presynaptic
from tracerl.nn.layers import ConvolutionalSynapses
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.wiring import Wiring


class Mixed(StateModule):
    """``Presynaptic`` for the layers up to the last convolution, ``OTPE`` for the layers after it.

    A convolution has few weights and many positions, of which ``OTPE`` keeps each eligibility; the presynaptic trace is
    the same for all channels. Each layer's gradient is that of its own credit alone. So the dense layer under the
    readout has the exact gradient, whatever the convolutions are. Without convolutions this is ``OTPE``.

    Attributes:
        traces: see ``Presynaptic``.
        direct: see ``OTPE``, as is ``indirect``.
    """

    def __init__(self, wiring: Wiring, lifetimes: Lifetimes) -> None:
        """Initialise at zero."""
        super().__init__()
        synapses = [getattr(node.layer, "synapses", None) for node in wiring.nodes]
        start = max((i + 1 for i, kind in enumerate(synapses) if isinstance(kind, ConvolutionalSynapses)), default=0)
        presynaptic, otpe = Presynaptic(wiring, lifetimes, start), OTPE(wiring, lifetimes, start)
        self.traces, self.direct, self.indirect = presynaptic.traces, otpe.direct, otpe.indirect
        self.credits: list[Presynaptic | OTPE] = [presynaptic, otpe]
        self.parts = nn.ModuleList(self.credits)

    def begin_tick(self) -> None:
        """Do what both credits do before the layers are advanced."""
        for credit in self.credits:
            credit.begin_tick()

    def end_tick(self) -> None:
        """Update both credits, in place."""
        for credit in self.credits:
            credit.end_tick()

    def write_scores(self, below: Tensor, output_signal: Tensor) -> None:
        """Write the gradients of every hidden layer, in place; see ``OTPE.write_scores``."""
        for credit in self.credits:
            credit.write_scores(below, output_signal)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces, in place, in the lifetimes of the mask or in all."""
        for credit in self.credits:
            credit.reset_state(mask)
