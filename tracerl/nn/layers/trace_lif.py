"""traceTorch's spiking layer: leaky integrate-and-fire neurons, differentiated through an analytic spike rate."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.spiking import RATE_DECAY
from tracerl.nn.layers.trace_layer import TraceLayer
from tracerl.nn.lifetimes import Lifetimes, clear_

_SHARPNESS = 5.0  # of the rate window, traceTorch's


class RateWindow(NamedTuple):
    """The rate f of each neuron and its derivatives with respect to I, m and theta, each [*lifetimes, n]."""

    rate: Tensor
    by_current: Tensor
    by_decay: Tensor
    by_threshold: Tensor


def rate_window(current: Tensor, decay: Tensor, threshold: Tensor, zero_at_rest: bool = False) -> RateWindow:
    """Estimate a neuron's rate from its average current (traceTorch 0.3.0, ``snn.LIF.backward``).

        E = I (1 - m/2) - theta (1-m)          f = sigmoid(5 E)

    Without a current, E = -theta (1-m) =: E_0, which is close to 0: for m = .9 and theta = 1 the rate of a neuron at
    rest is .378, and learning changes its threshold and decay accordingly. ``zero_at_rest`` subtracts the rate at rest:

        f = (sigmoid(5 E) - sigmoid(5 E_0)) / (1 - sigmoid(5 E_0))

    For all m and theta, this is 0 without a current and 1 for a large current. For an inhibitory current it is
    negative, so that the neuron still learns.

    Args:
        current: I, [*lifetimes, n].
        decay: m, [*lifetimes, n].
        threshold: theta, [*lifetimes, n].
        zero_at_rest: use the second form.
    """
    gain, loss = 1 - decay / 2, 1 - decay
    rate = torch.sigmoid(_SHARPNESS * (current * gain - threshold * loss))
    slope = _SHARPNESS * rate * (1 - rate)  # df/dE
    rest_slope = torch.zeros_like(slope)  # df/dE_0
    if zero_at_rest:
        rest = torch.sigmoid(-_SHARPNESS * threshold * loss)
        rest_slope = -_SHARPNESS * (1 - rate) * rest / (1 - rest)
        rate, slope = (rate - rest) / (1 - rest), slope / (1 - rest)
    both = slope + rest_slope  # through theta (1-m), which E and E_0 share
    return RateWindow(rate, slope * gain, both * threshold - slope * current / 2, -both * loss)


class TraceLIF(TraceLayer):
    """Leaky integrate-and-fire neurons of traceTorch 0.3.0.

    Forward: u_t = m v_{t-1} + W x_t, z_t = [u_t >= theta], v_t = u_t - theta z_t; unlike in ``LIF``, the current is not
    multiplied by (1-m). Backward: the signal is multiplied by the derivative of ``rate_window`` at the average inputs.

    Attributes:
        threshold: theta, one per neuron.
        spikes: z_t, 0 or 1, [*lifetimes, n_out].
        rate: average of the spikes per tick over about 1,000 ticks, not reset between episodes, [*lifetimes, n_out].
    """

    spikes: Tensor
    rate: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        lifetimes: Lifetimes,
        *,
        threshold: float = 1.0,
        learn_threshold: bool = True,
        zero_rate_at_rest: bool = False,
        rate_decay: float = RATE_DECAY,
        **settings: Any,
    ) -> None:
        """Draw weights from N(theta / n_in, theta^2 / n_in) and initialise the states at zero.

        Args:
            n_in: number of inputs.
            n_out: number of neurons.
            lifetimes: maker of tensors.
            threshold: initial theta, in units of the membrane.
            learn_threshold: make theta the softplus of a parameter.
            zero_rate_at_rest: see ``rate_window``.
            rate_decay: decay of ``rate`` per tick.
            settings: of ``TraceLayer``.
        """
        weight = lifetimes.normal(threshold / n_in**0.5, n_out, n_in) + threshold / n_in
        super().__init__(weight, lifetimes, **settings)
        self.zero_rate_at_rest, self.rate_decay = zero_rate_at_rest, rate_decay
        span = (threshold, threshold)
        self.threshold = Constrained(span, n_out, lifetimes, "positive", learn_threshold, per_neuron=True)
        self.register_buffer("spikes", lifetimes.zeros(n_out))
        self.register_buffer("rate", lifetimes.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick, updating state and trace in place.

        Args:
            x: spikes or currents, [*lifetimes, n_in].

        Returns:
            The spikes z_t, [*lifetimes, n_out]: the layer's own buffer, overwritten by the next tick.
        """
        threshold = self.threshold.refresh()
        torch.ge(self.integrate(x), threshold, out=self.spikes)
        self.membrane.addcmul_(self.spikes, threshold, value=-1)
        F.low_pass_(self.rate, self.rate_decay, self.spikes)
        return self.spikes

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Overwrite the ``.grad`` of every parameter with its gradient.

        Args:
            learning_signal: gradient of the objective with respect to the average spikes, [*lifetimes, n_out].

        Returns:
            The gradient with respect to the average inputs, [*lifetimes, n_in].
        """
        average, current = self.average_current()
        window = rate_window(current, self.membrane_decay.value, self.threshold.value, self.zero_rate_at_rest)
        self.membrane_decay.write_score(learning_signal * window.by_decay)
        self.threshold.write_score(learning_signal * window.by_threshold)
        return self.write_current(learning_signal * window.by_current, average)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membrane, spikes and trace, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        super().reset_state(mask)
        clear_(self.spikes, mask)
