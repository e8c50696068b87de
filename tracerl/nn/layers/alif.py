"""Leaky integrate-and-fire neurons with an adaptive threshold."""

import torch
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.spiking import LayerSettings, SpikingLayer
from tracerl.nn.layers.synapses import Synapses
from tracerl.nn.lifetimes import Lifetimes, clear_


class ALIF(SpikingLayer):
    """Adaptive leaky integrate-and-fire neurons: a slow trace of a neuron's spikes raises its threshold.

        a_t = rho a_{t-1} + (1-rho) z_{t-1}      A_t = theta + beta a_t
        u_t = m v_{t-1} + (1-m) I_t              z_t = [u_t >= A_t]          v_t = u_t - A_t z_t (or u_t (1 - z_t))

    The neuron of the LSNN (Bellec et al. 2018, https://arxiv.org/abs/1803.09574) with a normalised trace: beta is the
    increase of the threshold for a neuron that fires at every tick. The trace has a time constant of 1/(1-rho) ticks,
    much longer than that of the membrane. There are two derivatives per parameter (the eligibility vector of e-prop,
    Bellec et al. 2020, eq. 24, with the derivative of the reset included), exact without recurrence:

        e_t = psi_t (du_t - beta da_t)           da_{t+1} = rho da_t + (1-rho) e_t
        du_{t+1} = m (dv_t/du_t du_t + dv_t/dA_t beta da_t) + (1-m) dI_{t+1}

    Attributes:
        adaptation: beta, in units of the threshold.
        adaptation_decay: rho per tick, not learned.
        adapted: a_t, between 0 and 1, [*lifetimes, n_out].
        adaptation_sensitivity: d a_t / d parameter, [*lifetimes, rows, n_out].
    """

    adapted: Tensor
    adaptation_sensitivity: Tensor
    tracked = ("sensitivity", "adaptation_sensitivity")

    def __init__(
        self,
        synapses: Synapses,
        lifetimes: Lifetimes,
        settings: LayerSettings,
        adaptation: float = 0.5,
        adaptation_decay: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        """Draw the parameters and initialise the states at zero; see ``SpikingLayer``.

        Args:
            synapses: see ``SpikingLayer``.
            lifetimes: maker of tensors.
            settings: of the neurons.
            adaptation: beta, 0 or above.
            adaptation_decay: rho per tick, range to draw from per neuron; equal ends: shared.
        """
        super().__init__(synapses, lifetimes, settings)
        self.adaptation = adaptation
        self.adaptation_decay = Constrained(adaptation_decay, self.n_out, lifetimes, "decay")
        self.register_buffer("adapted", lifetimes.zeros(self.n_out))

    def carry(self, d_current: Tensor, current: Tensor) -> None:
        """Advance d u_t and d a_t; see ``SpikingLayer.carry``."""
        decay = self.membrane_decay
        through_threshold = (self.adaptation * decay.value * self.reset_drive).unsqueeze(-2)
        lifted = through_threshold * self.adaptation_sensitivity  # [*lifetimes, rows, n_out]
        F.low_pass_(self.adaptation_sensitivity, self.adaptation_decay.value.unsqueeze(-2), self.eligibility())
        drive = decay.complement.unsqueeze(-2) * d_current
        self._carry_potential(decay.value * self.reset_gain, drive, current)
        assert self.sensitivity is not None
        self.sensitivity += lifted

    def fire(self, current: Tensor) -> Tensor:
        """Adapt, integrate, fire and reset; see ``SpikingLayer.fire``."""
        F.low_pass_(self.adapted, self.adaptation_decay.value, self.spikes)
        potential = F.lif_potential(current, self.membrane, self.membrane_decay.value)
        return self._release(potential, torch.add(self.threshold.value, self.adapted, alpha=self.adaptation))

    def eligibility(self) -> Tensor:
        """Return e_t; see ``SpikingLayer.eligibility``."""
        assert self.sensitivity is not None
        excess = torch.sub(self.sensitivity, self.adaptation_sensitivity, alpha=self.adaptation)
        return self._through_threshold(excess.mul_(self.surrogate.unsqueeze(-2)))

    def state_retention(self) -> list[Tensor]:
        """Return the mean of d u_t / d u_{t-1} for a constant threshold; see ``SpikingLayer.state_retention``."""
        return [(self.membrane_decay.value * self.reset_gain).mean(-1)]

    def input_gain(self) -> Tensor:
        """Return psi (1-m); see ``SpikingLayer.input_gain``."""
        return self.surrogate * self.membrane_decay.complement

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset all states; see ``SpikingLayer.reset_state``."""
        super().reset_state(mask)
        clear_(self.adapted, mask)
