"""traceTorch's output layer: leaky integrators under a softmax, differentiated through their settled level."""

from typing import Any

import torch
from torch import Tensor

from tracerl.nn.layers.trace_layer import TraceLayer
from tracerl.nn.lifetimes import Lifetimes

_EPSILON = 1e-6  # traceTorch's, added to 1 - m


class TraceLIS(TraceLayer):
    """Leaky integrators of traceTorch 0.3.0, whose membranes are logits.

    Forward: v_t = m v_{t-1} + W x_t, p_t = softmax(v_t). Backward: the average inputs, held for ever, would settle the
    membranes at L = I / (1-m), and the signal is pushed through softmax(L).

    That takes the signal as one by probabilities. REFLECT's is one by log-probabilities: a factor p is lost where one
    is due, and unlikely actions are hardly taught. ``log_prob_signal`` pushes it through log softmax(L).
    """

    def __init__(
        self, n_in: int, n_out: int, lifetimes: Lifetimes, *, log_prob_signal: bool = False, **settings: Any
    ) -> None:
        """Draw weights from N(0, 1 / n_in) and start at rest.

        Args:
            n_in: inputs.
            n_out: outputs.
            lifetimes: maker of tensors.
            log_prob_signal: take the learning signal as the gradient by log-probabilities. False: by probabilities.
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
        """Write the gradient of every parameter into its ``.grad``, in place of what was there.

        Args:
            learning_signal: gradient of the objective by the probabilities or, as ``log_prob_signal`` says, by their
                logarithms, [*lifetimes, n_out].

        Returns:
            The gradient by the layer's average inputs, [*lifetimes, n_in].
        """
        average, current = self.average_current()
        gain = (self.membrane_decay.complement + _EPSILON).reciprocal_()
        level = current * gain
        by_level = _through_softmax(torch.softmax(level, -1), learning_signal, self.log_prob_signal)
        self.membrane_decay.write_score(by_level * level * gain)
        return self.write_current(by_level * gain, average)


def _through_softmax(probabilities: Tensor, signal: Tensor, logarithmic: bool) -> Tensor:
    """Carry a signal back through a softmax, p (g - sum p g), or its logarithm, g - p sum g: [*lifetimes, n]."""
    if logarithmic:
        return signal - probabilities * signal.sum(-1, keepdim=True)
    return probabilities * (signal - (probabilities * signal).sum(-1, keepdim=True))
