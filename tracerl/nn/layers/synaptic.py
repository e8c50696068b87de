"""Leaky integrate-and-fire neurons with filtered synaptic currents: two states per neuron."""

import torch
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.layers.spiking import LayerSettings, SpikingLayer
from tracerl.nn.layers.synapses import Synapses
from tracerl.nn.lifetimes import Lifetimes, clear_


class SynapticLIF(SpikingLayer):
    """Leaky integrate-and-fire neurons with a decaying current (a double-exponential response to a spike).

        i_t = a i_{t-1} + (1-a) I_t        u_t = m v_{t-1} + (1-m) i_t        z_t = [u_t >= theta]

    The current-based neuron of Zenke and Ganguli 2018 (SuperSpike, https://arxiv.org/abs/1705.11146), normalised so
    that i_t converges to a constant current. Both states have a derivative, which is exact without recurrence:

        di_t = a di_{t-1} + (1-a) dI_t        du_t = m dv_{t-1}/du_{t-1} du_{t-1} + (1-m) di_t

    Attributes:
        synapse_decay: a per tick, not learned.
        filtered_current: i_t, [*lifetimes, n_out].
        synapse_sensitivity: d i_t / d parameter, [*lifetimes, rows, n_out].
    """

    filtered_current: Tensor
    synapse_sensitivity: Tensor
    tracked = ("sensitivity", "synapse_sensitivity")

    def __init__(
        self,
        synapses: Synapses,
        lifetimes: Lifetimes,
        settings: LayerSettings,
        synapse_decay: tuple[float, float] = (0.0, 0.5),
    ) -> None:
        """Draw the parameters and initialise the states at zero; see ``SpikingLayer``.

        Args:
            synapses: see ``SpikingLayer``.
            lifetimes: maker of tensors.
            settings: of the neurons.
            synapse_decay: a per tick, range to draw from per neuron; equal ends: shared.
        """
        super().__init__(synapses, lifetimes, settings)
        self.synapse_decay = Constrained(synapse_decay, self.n_out, lifetimes, "decay")
        self.register_buffer("filtered_current", lifetimes.zeros(self.n_out))

    def carry(self, d_current: Tensor, current: Tensor) -> None:
        """Advance d i_t and d u_t; see ``SpikingLayer.carry``."""
        synapse, membrane = self.synapse_decay, self.membrane_decay
        driven = self.synapse_sensitivity[..., : d_current.shape[-2], :]
        F.carry_sensitivity_(driven, synapse.value, synapse.complement.unsqueeze(-2) * d_current)
        filtered = torch.lerp(current, self.filtered_current, synapse.value)
        drive = membrane.complement.unsqueeze(-2) * driven
        self._carry_potential(membrane.value * self.reset_gain, drive, filtered)

    def fire(self, current: Tensor) -> Tensor:
        """Filter the current, integrate, fire and reset; see ``SpikingLayer.fire``."""
        F.low_pass_(self.filtered_current, self.synapse_decay.value, current)
        potential = F.lif_potential(self.filtered_current, self.membrane, self.membrane_decay.value)
        return self._release(potential, self.threshold.value)

    def state_retention(self) -> list[Tensor]:
        """Return the mean decay of the current and of the membrane; see ``SpikingLayer.state_retention``."""
        return [self.synapse_decay.value.mean(-1), (self.membrane_decay.value * self.reset_gain).mean(-1)]

    def input_gain(self) -> Tensor:
        """Return psi (1-m) (1-a); see ``SpikingLayer.input_gain``."""
        return self.surrogate * self.membrane_decay.complement * self.synapse_decay.complement

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset all states; see ``SpikingLayer.reset_state``."""
        super().reset_state(mask)
        clear_(self.filtered_current, mask)
