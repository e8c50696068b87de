"""The base class of spiking layers: synapses, a threshold, spikes, and the eligibility of the layer's parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.config.moved import previous_method
from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.normalization import CurrentNorm
from tracerl.nn.layers.synapses import Synapses
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule

RATE_DECAY = 0.999  # of the average rate of neurons of every kind, per tick
THRESHOLD_STEP = 1e-3  # of ``threshold_rise``, in units of the membrane per tick


@dataclass(frozen=True)
class LayerSettings:
    """Settings of layers of every kind of neuron.

    Attributes:
        membrane_decay: m per tick, range to draw from per neuron; equal ends: shared.
        threshold: theta, in units of the membrane, range to draw from per neuron; equal ends: shared.
        reset: ``soft`` subtracts the threshold, ``hard`` returns to 0.
        detach_reset: leave out the derivative of the spike in the reset.
        surrogate: ``triangle``, ``arctan`` or, for graded neurons, ``rectifier`` or ``centered_rectifier``.
        slope: of the surrogate.
        learn_membrane_decay: make m a parameter.
        learn_threshold: make theta a parameter.
        recurrent: whether the synapses receive the layer's own spikes too.
        layer_norm: standardise the currents over the neurons.
        rate_target: spikes per neuron and tick above which thresholds rise, in (0, 1); None: they do not.
        rate_decay: decay of ``rate`` per tick; 1: ``rate`` is the number of spikes.
    """

    membrane_decay: tuple[float, float] = (0.0, 0.9)
    threshold: tuple[float, float] = (0.25, 0.25)
    reset: F.Reset = "soft"
    detach_reset: bool = False
    surrogate: F.Surrogate = "arctan"
    slope: float = 1.0
    learn_membrane_decay: bool = False
    learn_threshold: bool = False
    recurrent: bool = False
    layer_norm: bool = False
    rate_target: float | None = None
    rate_decay: float = RATE_DECAY


class SpikingLayer(StateModule):
    """Base of the layers of spiking neurons, which differ in how a current changes the membrane potential.

    One tick is ``receive`` (inputs to currents), ``carry`` (forward-mode derivatives) and ``fire``.

    After ``track``, a layer computes the derivatives of its states with respect to its own parameters in forward mode:
    [*lifetimes, rows, n], one row per parameter of each neuron. The rows are those of the synapses, then, where they
    are learned, the membrane decay and the threshold. The derivative of the spikes is the local eligibility e_t =
    d z_t / d parameter, from which ``tracerl.nn.credit`` computes gradients.

    A recurrent layer passes its own spikes of the previous tick to its synapses, after the inputs. Its eligibility
    treats them as constant, as in e-prop (Bellec et al. 2020, https://doi.org/10.1038/s41467-020-17236-y, eq. 13).

    Attributes:
        membrane: v_t, [*lifetimes, n_out].
        spikes: z_t, 0 or 1, or what the kind of neuron sends in their place, [*lifetimes, n_out].
        surrogate: psi_t, [*lifetimes, n_out].
        reset_gain: d v_t / d u_t, [*lifetimes, n_out].
        reset_drive: direct part of d v_t / d threshold, [*lifetimes, n_out].
        rate: average of the spikes per tick over about 1,000 ticks, not reset between episodes, [*lifetimes, n_out].
        threshold_rise: what ``rate_target`` has added to the threshold, 0 or above, not reset between episodes,
            [*lifetimes, n_out]; None without a target. For the derivatives it is a constant.
        adapts: whether the rise changes; False in a frozen agent.
        sensitivity: d u_t / d parameter, [*lifetimes, rows, n_out]; None before ``track``.
    """

    membrane: Tensor
    spikes: Tensor
    surrogate: Tensor
    reset_gain: Tensor
    reset_drive: Tensor
    rate: Tensor
    threshold_rise: Tensor | None
    adapts = True
    membrane_decay: Constrained
    sensitivity: Tensor | None
    tracked: tuple[str, ...] = ("sensitivity",)  # the derivatives of this kind of neuron

    def __init__(self, synapses: Synapses, lifetimes: Lifetimes, settings: LayerSettings) -> None:
        """Draw the parameters and initialise the states at zero, without derivatives.

        Args:
            synapses: of the inputs and, in a recurrent layer, of the layer's own spikes after them.
            lifetimes: maker of tensors.
            settings: of the neurons.
        """
        super().__init__()
        self.synapses, self.recurrent, self.rate_decay = synapses, settings.recurrent, settings.rate_decay
        self.n_out = synapses.n_out
        self.n_in = synapses.n_in - (self.n_out if settings.recurrent else 0)
        self.slope, self.surrogate_kind = settings.slope, settings.surrogate
        self.reset, self.detach_reset = settings.reset, settings.detach_reset
        self.norm = CurrentNorm(self.n_out, lifetimes) if settings.layer_norm else None
        learns_m, learns_theta = settings.learn_membrane_decay, settings.learn_threshold
        self.membrane_decay = Constrained(settings.membrane_decay, self.n_out, lifetimes, "decay", learns_m)
        self.threshold = Constrained(settings.threshold, self.n_out, lifetimes, "positive", learns_theta)
        self.rows = synapses.rows + int(learns_m) + int(learns_theta)
        for name in ("membrane", "spikes", "surrogate", "reset_gain", "reset_drive", "rate"):
            self.register_buffer(name, lifetimes.zeros(self.n_out))
        self.rate_target, self.threshold_step = settings.rate_target, THRESHOLD_STEP
        self.register_buffer("threshold_rise", None if settings.rate_target is None else lifetimes.zeros(self.n_out))
        for name in self.tracked:
            self.register_buffer(name, None)
        self._own: slice | None = None
        self._input_tangents: Callable[[], Tensor] | None = None

    def track(
        self,
        lifetimes: Lifetimes,
        total: int | None = None,
        start: int = 0,
        input_tangents: Callable[[], Tensor] | None = None,
    ) -> None:
        """Compute derivatives of the layer's states from the next tick on.

        Args:
            lifetimes: maker of tensors.
            total: number of parameters; None: the layer's own, ``rows`` per neuron. If given, parameter r of neuron h
                has the index ``start + r n_out + h``.
            start: index of the layer's first parameter.
            input_tangents: returns the derivative of the synapses' inputs of this tick with respect to the parameters,
                [*lifetimes, total, n_in], including the spikes of the previous tick in a recurrent layer; None: zero.
        """
        self._input_tangents = input_tangents
        self._own = None if total is None else slice(start, start + self.rows * self.n_out)
        for name in self.tracked:
            self.register_buffer(name, lifetimes.zeros(self.rows if total is None else total, self.n_out))

    def own(self, tangents: Tensor) -> Tensor:
        """Return each neuron's derivative with respect to its own parameters, a view: [*lifetimes, rows, n_out]."""
        if self._own is None:
            return tangents
        block: Tensor = tangents[..., self._own, :].unflatten(-2, (self.rows, self.n_out))
        return block.diagonal(dim1=-2, dim2=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick, updating state and tracked derivatives in place.

        Args:
            x: inputs at t, [*lifetimes, n_in].

        Returns:
            The spikes z_t, [*lifetimes, n_out]: the layer's own buffer, overwritten by the next tick.
        """
        current = self.receive(x)
        if self.sensitivity is not None:
            self.carry(self._current_derivative(), current)
        return self.fire(current)

    def _current_derivative(self) -> Tensor:
        """Return d I_t / d parameter, [*lifetimes, rows, n_out or 1], or [*lifetimes, total, n_out]; see ``track``."""
        drive = self.synapses.drive()
        if self._input_tangents is None:
            return drive if self.norm is None else drive * self.norm.inverse.unsqueeze(-1)
        derivative = self.synapses.jvp(self._input_tangents())
        self.own(derivative)[..., : self.synapses.rows, :] += drive
        return derivative if self.norm is None else self.norm.project(derivative)

    def receive(self, x: Tensor) -> Tensor:
        """Return the currents I_t of inputs x_t, normalised under ``layer_norm``: [*lifetimes, n_out]."""
        current = self.synapses.forward(torch.cat([x, self.spikes], -1) if self.recurrent else x)
        self.membrane_decay.refresh()
        self.threshold.refresh()
        return current if self.norm is None else self.norm.forward(current)

    def carry(self, d_current: Tensor, current: Tensor) -> None:
        """Advance the tracked derivatives by one tick, in place; called before ``fire``.

        Args:
            d_current: d I_t / d parameter, [*lifetimes, rows, n_out or 1], for the synapses' parameters or, if the
                layer tracks more than its own, for all.
            current: I_t, [*lifetimes, n_out].
        """
        raise NotImplementedError(f"{type(self).__name__} must have carry")

    def fire(self, current: Tensor) -> Tensor:
        """Advance the neurons by one tick, in place, and return the spikes z_t: [*lifetimes, n_out]."""
        raise NotImplementedError(f"{type(self).__name__} must have fire")

    def state_retention(self) -> list[Tensor]:
        """Return the mean state retention over the next tick, one tensor per state, each [*lifetimes]."""
        raise NotImplementedError(f"{type(self).__name__} must have state_retention")

    leaks = previous_method("leaks", "state_retention")

    def input_gain(self) -> Tensor:
        """Return d z_t / d I_t within the tick, [*lifetimes, n_out]."""
        raise NotImplementedError(f"{type(self).__name__} must have input_gain")

    def _release(self, potential: Tensor, threshold: Tensor) -> Tensor:
        """Fire where the potential u_t reaches the threshold, reset, and return the spikes; in place."""
        rise, settings = self.threshold_rise, (self.slope, self.surrogate_kind, self.reset, self.detach_reset)
        step = F.lif_fire(potential, threshold if rise is None else threshold + rise, *settings)
        if rise is not None and self.rate_target is not None and self.adapts:
            F.raise_threshold_(rise, step.spikes, self.rate_target, self.threshold_step)
        return self._store(step)

    def _store(self, step: F.LIFStep) -> Tensor:
        """Store the results of a tick, in place, and return the layer's output."""
        self.spikes.copy_(step.spikes)
        self.membrane.copy_(step.membrane)
        self.surrogate.copy_(step.surrogate)
        self.reset_gain.copy_(step.reset_gain)
        self.reset_drive.copy_(step.reset_drive)
        if self.rate_decay < 1:
            F.low_pass_(self.rate, self.rate_decay, self._activity())
        else:
            self.rate += self._activity()
        return self.spikes

    def _activity(self) -> Tensor:
        """Return the activity of each neuron at this tick, which ``rate`` averages: [*lifetimes, n_out]."""
        return self.spikes

    def _carry_potential(self, leak: Tensor, drive: Tensor, current: Tensor) -> None:
        """Advance d u_t / d parameter: the synapses' rows by ``drive``, the others by their direct effect."""
        assert self.sensitivity is not None
        driven = drive.shape[-2]
        if self.rows == self.synapses.rows:
            F.carry_sensitivity_(self.sensitivity, leak, drive)
            return
        F.carry_sensitivity_(self.sensitivity[..., :driven, :], leak, drive)
        self.sensitivity[..., driven:, :] *= leak.unsqueeze(-2)
        own = self.own(self.sensitivity)
        if self.membrane_decay.raw is not None:
            own[..., self.synapses.rows, :] += self.membrane - current
        if self.threshold.raw is not None:
            own[..., -1, :] += self.membrane_decay.value * self.reset_drive

    def eligibility(self) -> Tensor:
        """Return e_t = d z_t / d parameter: [*lifetimes, rows, n_out]."""
        assert self.sensitivity is not None
        return self._through_threshold(self.sensitivity * self.surrogate.unsqueeze(-2))

    def _through_threshold(self, local: Tensor) -> Tensor:
        """Add the direct effect of the threshold on the spike, -psi, in place."""
        if self.threshold.raw is not None:
            self.own(local)[..., -1, :] -= self.surrogate
        return local

    def vjp(self, signals: Tensor) -> Tensor:
        """Return the vector-Jacobian products of this tick for J signals at the spikes.

        Args:
            signals: [*lifetimes, J, n_out].

        Returns:
            The signals at the inputs, [*lifetimes, J, n_in].
        """
        return self.synapses.vjp(self.at_currents(signals))[..., : self.n_in]

    def at_currents(self, signals: Tensor) -> Tensor:
        """Propagate signals at the spikes to the synapses' currents of this tick, both [*lifetimes, J, n_out]."""
        signals = signals * self.input_gain().unsqueeze(-2)
        return signals if self.norm is None else self.norm.project(signals)

    def write_score(self, score: Tensor) -> None:
        """Write a gradient into the parameters' ``.grad``, in place.

        Args:
            score: gradient of the objective, [*lifetimes, rows, n_out].
        """
        n = self.synapses.rows
        if self.rows == n:
            self.synapses.write_score(score)
            return
        self.synapses.write_score(score[..., :n, :])
        self.membrane_decay.write_score(score[..., n, :])
        self.threshold.write_score(score[..., -1, :])

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset states and tracked derivatives, in place.

        Args:
            mask: the lifetimes to reset, bool, [*lifetimes]; None for all.
        """
        for state in (self.membrane, self.spikes, self.surrogate, self.reset_gain, self.reset_drive):
            clear_(state, mask)
        if self.sensitivity is not None:
            for name in self.tracked:
                clear_(getattr(self, name), mask)
