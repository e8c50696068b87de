"""Leaky integrators that hand on a graded potential in place of spikes."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.lif import LIF


class Graded(LIF):
    """A layer of leaky integrators that do not spike: what they hand on grows with their potential, without a step.

        u_t = m u_{t-1} + (1-m) I_t        z_t = 2/pi arctan(pi/2 slope (u_t - theta))        no reset

    or the integral of the triangle. Neurons of the retina and of invertebrates signal like this over short ways, by a
    release that follows the potential (Roberts and Bush 1981, Neurones without impulses). The surrogate is the
    derivative itself, so that the gradient is that of the network as it runs. Made for critics, which are not deployed
    with the policy that they teach: V of a few spikes jumps from step to step, which is noise in the td error.

    ``spikes`` holds z_t, between -1 and 1 (-1/2 and 1/2 of a triangle); ``rate`` averages its magnitude.
    """

    def fire(self, current: Tensor) -> Tensor:
        """Integrate and return z_t; see ``SpikingLayer.fire``."""
        potential = F.lif_potential(current, self.membrane, self.membrane_decay.value)
        return self._take(F.graded_fire(potential, self.threshold.value, self.slope, self.surrogate_kind))

    def _activity(self) -> Tensor:
        """Return |z_t|; see ``SpikingLayer._activity``."""
        return self.spikes.abs()
