"""Leaky integrate-and-fire neurons that carry the eligibility of their own weights."""

import torch
from torch import Tensor, nn

from tracerl import functional as F
from tracerl.layers.constrained import Constrained
from tracerl.layers.credit import PathCredit, ReadoutCredit
from tracerl.lives import Lives, clear_
from tracerl.module import StateModule


class LIF(StateModule):
    """A dense layer of leaky integrate-and-fire neurons (equations in ``tracerl.functional``).

    The layer differentiates itself forward in time. ``sensitivity`` holds d u_t / d parameter for every neuron and
    each of its own parameters: one row per input weight, one for the bias and, where they are learned, one for the
    membrane decay and one for the threshold. ``surrogate * sensitivity`` is the local eligibility e_t = d z_t /
    d parameter, which the layer's ``credit`` remembers for as long as the layers above do.

    Attributes:
        affine: [*lives, n_in + 1, n_out], the input weights, one column per neuron, with the bias as last row.
        inputs: [*lives, n_in + 1], x_t with a constant 1 for the bias.
        membrane: v_t, [*lives, n_out].
        spikes: z_t, 0 or 1, [*lives, n_out].
        surrogate: psi_t, [*lives, n_out].
        sensitivity: d u_t / d parameter, [*lives, rows, n_out].
        rate: average of the spikes per tick over about 1,000 ticks; kept over episodes, [*lives, n_out].
    """

    inputs: Tensor
    membrane: Tensor
    spikes: Tensor
    surrogate: Tensor
    reset_gain: Tensor
    reset_drive: Tensor
    sensitivity: Tensor
    rate: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        lives: Lives,
        *,
        membrane_decay: tuple[float, float] = (0.0, 0.9),
        threshold: tuple[float, float] = (0.25, 0.25),
        reset: F.Reset = "soft",
        detach_reset: bool = False,
        surrogate: F.Surrogate = "arctan",
        slope: float = 1.0,
        weight_scale: float = 0.7,
        bias_scale: float = 1.0,
        learn_membrane_decay: bool = False,
        learn_threshold: bool = False,
        rate_decay: float = 0.999,
    ) -> None:
        """Draw parameters and start at rest, without credit (a ``Sequential`` gives it).

        Args:
            n_in: inputs.
            n_out: neurons.
            lives: maker of tensors.
            membrane_decay: m per tick, range to draw from per neuron; equal ends: shared.
            threshold: theta, in units of the membrane; a range as above.
            reset: ``soft`` subtracts theta, ``hard`` returns to 0.
            detach_reset: leave out the derivative of the spike in the reset.
            surrogate: ``triangle`` or ``arctan``.
            slope: of the surrogate.
            weight_scale: weights are drawn from N(0, weight_scale^2 / n_in).
            bias_scale: biases are drawn from U(-bias_scale, bias_scale).
            learn_membrane_decay: make m a parameter.
            learn_threshold: make theta a parameter.
            rate_decay: forgetting of ``rate`` per tick.
        """
        super().__init__()
        self.n_in, self.n_out, self.slope, self.rate_decay = n_in, n_out, slope, rate_decay
        self.reset, self.detach_reset, self.surrogate_kind = reset, detach_reset, surrogate
        weight = lives.normal(weight_scale / n_in**0.5, n_out, n_in)
        bias = lives.uniform(-bias_scale, bias_scale, 1, n_out)
        self.affine = nn.Parameter(torch.cat([weight.transpose(-1, -2), bias], -2), requires_grad=False)
        self.membrane_decay = Constrained(membrane_decay, n_out, lives, "decay", learn_membrane_decay)
        self.threshold = Constrained(threshold, n_out, lives, "positive", learn_threshold)
        self.rows = n_in + 1 + int(learn_membrane_decay) + int(learn_threshold)
        for name in ("membrane", "spikes", "surrogate", "reset_gain", "reset_drive", "rate"):
            self.register_buffer(name, lives.zeros(n_out))
        self.register_buffer("inputs", lives.full(1.0, n_in + 1))
        self.register_buffer("sensitivity", lives.zeros(self.rows, n_out))
        self.credit: ReadoutCredit | PathCredit | None = None

    @property
    def weight(self) -> Tensor:
        """Input weights W, a view: [*lives, n_out, n_in]."""
        return self.affine[..., :-1, :].transpose(-1, -2)

    @property
    def bias(self) -> Tensor:
        """Biases b, a view: [*lives, n_out]."""
        return self.affine[..., -1, :]

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick, updating state and sensitivity in place.

        Args:
            x: inputs at t, [*lives, n_in].

        Returns:
            The spikes z_t, [*lives, n_out]: the layer's own buffer, overwritten by the next tick.
        """
        decay, threshold = self.membrane_decay.refresh(), self.threshold.refresh()
        self.inputs[..., :-1].copy_(x)
        current = F.affine_transposed(self.affine, self.inputs)
        F.carry_sensitivity_(self.sensitivity, decay * self.reset_gain, self._drive(current, decay))
        potential = F.lif_potential(current, self.membrane, decay)
        step = F.lif_fire(potential, threshold, self.slope, self.surrogate_kind, self.reset, self.detach_reset)
        self.spikes.copy_(step.spikes)
        self.membrane.copy_(step.membrane)
        self.surrogate.copy_(step.surrogate)
        self.reset_gain.copy_(step.reset_gain)
        self.reset_drive.copy_(step.reset_drive)
        F.low_pass_(self.rate, self.rate_decay, self.spikes)
        return self.spikes

    def _drive(self, current: Tensor, decay: Tensor) -> Tensor:
        """Return the direct dependence of u_t on each row's parameter: [*lives, rows, n_out or 1]."""
        drive = self.membrane_decay.complement.unsqueeze(-2) * self.inputs.unsqueeze(-1)
        if self.rows == self.n_in + 1:
            return drive
        rows = [drive.expand(*drive.shape[:-1], self.n_out)]
        if self.membrane_decay.raw is not None:
            rows.append((self.membrane - current).unsqueeze(-2))
        if self.threshold.raw is not None:
            rows.append((decay * self.reset_drive).unsqueeze(-2))
        return torch.cat(rows, -2)

    def eligibility(self) -> Tensor:
        """Return e_t = d z_t / d parameter: [*lives, rows, n_out]."""
        local = self.sensitivity * self.surrogate.unsqueeze(-2)
        if self.threshold.raw is not None:
            local[..., -1, :] -= self.surrogate
        return local

    def backward(self, learning_signal: Tensor) -> Tensor:
        """Write the score of every parameter into its ``.grad``, in place.

        Args:
            learning_signal: what the layer's credit asks for: the objective's gradient by the layer's filtered
                spikes, [*lives, n_out], for a layer under the readout; by the network's outputs,
                [*lives, n_outputs], for a layer further down.

        Returns:
            The signal for the layer below. Under the readout: the gradient by the inputs at this tick,
            [*lives, n_in]; further down: the outputs' signal, unchanged.

        Raises:
            RuntimeError: the layer was given no credit.
        """
        if self.credit is None:
            raise RuntimeError("this layer keeps no credit yet: put it in a Sequential, or set layer.credit")
        self.write_score(self.credit.score(learning_signal))
        if isinstance(self.credit, PathCredit):
            return learning_signal
        return F.affine(self.affine[..., :-1, :], learning_signal * self.input_gain())

    def input_gain(self) -> Tensor:
        """Return d z_t / d I_t = psi (1-m), [*lives, n_out]."""
        return self.surrogate * self.membrane_decay.complement

    def write_score(self, score: Tensor) -> None:
        """Distribute a score over the parameters' ``.grad``, in place.

        Args:
            score: [*lives, rows, n_out].
        """
        assert self.affine.grad is not None
        self.affine.grad.copy_(score[..., : self.n_in + 1, :])
        if self.rows > self.n_in + 1:
            self.membrane_decay.write_score(score[..., self.n_in + 1, :])
            self.threshold.write_score(score[..., -1, :])

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Return membranes and traces to rest, in place.

        Args:
            mask: bool, [*lives]: which lives; None for all.
        """
        for state in (self.membrane, self.spikes, self.surrogate, self.reset_gain, self.reset_drive, self.sensitivity):
            clear_(state, mask)
        if self.credit is not None:
            self.credit.reset_state(mask)
