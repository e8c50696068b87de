"""Leaky integrators with a graded output in place of spikes."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.lif import LIF


class Graded(LIF):
    """A layer of leaky integrators that do not spike: the output is a smooth function of the potential.

        u_t = m u_{t-1} + (1-m) I_t        z_t = 2/pi arctan(pi/2 slope (u_t - theta))        no reset

    or the integral of the triangle, or the leaky ReLU of u_t - theta (rectifier), or that less its mean for standard
    normal input (centered rectifier). Some neurons of the retina and of invertebrates transmit graded potentials over
    short distances (Roberts and Bush 1981, Neurones without impulses). The surrogate is here the exact derivative, so
    that the gradient is that of the network itself. The layer is meant for critics, which are not deployed with the
    policy. The value of a few spikes changes abruptly between steps, which adds noise to the td error.

    ``spikes`` holds z_t, between -1 and 1 (-1/2 and 1/2 for the triangle, without bounds for the rectifiers); ``rate``
    averages its magnitude.
    """

    def fire(self, current: Tensor) -> Tensor:
        """Integrate and return z_t; see ``SpikingLayer.fire``."""
        potential = F.lif_potential(current, self.membrane, self.membrane_decay.value)
        return self._store(F.graded_fire(potential, self.threshold.value, self.slope, self.surrogate_kind))

    def _activity(self) -> Tensor:
        """Return |z_t|; see ``SpikingLayer._activity``."""
        return self.spikes.abs()
