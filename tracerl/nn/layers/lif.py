"""Leaky integrate-and-fire neurons."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.spiking import SpikingLayer


class LIF(SpikingLayer):
    """A layer of leaky integrate-and-fire neurons.

        u_t = m v_{t-1} + (1-m) I_t        z_t = [u_t >= theta]        v_t = u_t - theta z_t (or u_t (1 - z_t))

    The derivative of u_t with respect to a neuron's own parameter is s_t = m dv_{t-1}/du_{t-1} s_{t-1} + (1-m) dI_t,
    which is exact in a layer without recurrence (equations and sources in ``tracerl.nn.functional``).
    """

    def carry(self, d_current: Tensor, current: Tensor) -> None:
        """Advance d u_t / d parameter; see ``SpikingLayer.carry``."""
        decay = self.membrane_decay
        drive = decay.complement.unsqueeze(-2) * d_current
        self._carry_potential(decay.value * self.reset_gain, drive, current)

    def fire(self, current: Tensor) -> Tensor:
        """Integrate, fire and reset; see ``SpikingLayer.fire``."""
        potential = F.lif_potential(current, self.membrane, self.membrane_decay.value)
        return self._release(potential, self.threshold.value)

    def state_retention(self) -> list[Tensor]:
        """Return the mean of d u_t / d u_{t-1}; see ``SpikingLayer.state_retention``."""
        return [(self.membrane_decay.value * self.reset_gain).mean(-1)]

    def input_gain(self) -> Tensor:
        """Return psi (1-m); see ``SpikingLayer.input_gain``."""
        return self.surrogate * self.membrane_decay.complement
