"""traceTorch's output layer: leaky integrators under a softmax, differentiated through their steady state."""

from typing import Any

import torch
from torch import Tensor

from tracerl.nn.layers.trace_layer import TraceLayer
from tracerl.nn.lifetimes import Lifetimes

_EPSILON = 1e-6  # traceTorch's, added to 1 - m


class TraceLIS(TraceLayer):
    """Leaky integrators of traceTorch 0.3.0, whose membranes are logits.

    Forward: v_t = m v_{t-1} + W x_t, p_t = softmax(v_t). Backward: for constant average inputs the membranes converge
    to L = I / (1-m), and the signal is propagated through softmax(L).

    This treats the signal as a gradient with respect to probabilities. REFLECT's signal is a gradient with respect to
    log-probabilities, so that a factor 1/p is missing and improbable actions hardly learn. ``log_prob_signal``
    propagates the signal through log softmax(L).
    """

    def __init__(
        self, n_in: int, n_out: int, lifetimes: Lifetimes, *, log_prob_signal: bool = False, **settings: Any
    ) -> None:
        """Draw weights from N(0, 1 / n_in) and initialise the states at zero.

        Args:
            n_in: number of inputs.
            n_out: number of outputs.
            lifetimes: maker of tensors.
            log_prob_signal: the learning signal is the gradient with respect to log-probabilities. False: with respect
                to probabilities.
            settings: of ``TraceLayer``.
        """
        super().__init__(lifetimes.normal(n_in**-0.5, n_out, n_in), lifetimes, **settings)
        self.log_prob_signal = log_prob_signal

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick, updating state and trace in place.

        Args:
            x: spikes, [*lifetimes, n_in].

        Returns:
            The probabilities p_t, [*lifetimes, n_out].
        """
        return torch.softmax(self.integrate(x), -1)

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Overwrite the ``.grad`` of every parameter with its gradient.

        Args:
            learning_signal: gradient of the objective with respect to the probabilities or, under ``log_prob_signal``,
                their logarithms, [*lifetimes, n_out].

        Returns:
            The gradient with respect to the average inputs, [*lifetimes, n_in].
        """
        average, current = self.average_current()
        gain = (self.membrane_decay.complement + _EPSILON).reciprocal_()
        level = current * gain
        by_level = _through_softmax(torch.softmax(level, -1), learning_signal, self.log_prob_signal)
        self.membrane_decay.write_score(by_level * level * gain)
        return self.write_current(by_level * gain, average)


def _through_softmax(probabilities: Tensor, signal: Tensor, logarithmic: bool) -> Tensor:
    """Return the vjp of a softmax, p (g - sum p g), or of its logarithm, g - p sum g: [*lifetimes, n]."""
    if logarithmic:
        return signal - probabilities * signal.sum(-1, keepdim=True)
    return probabilities * (signal - (probabilities * signal).sum(-1, keepdim=True))
