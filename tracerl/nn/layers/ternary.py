"""Leaky integrate-and-fire neurons with signed spikes."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.lif import LIF
from tracerl.nn.layers.spiking import LayerSettings
from tracerl.nn.layers.synapses import Synapses
from tracerl.nn.lifetimes import Lifetimes, clear_


class Ternary(LIF):
    """A layer of leaky integrate-and-fire neurons whose spikes are 1 at the threshold and -1 at its negative.

        u_t = m v_{t-1} + (1-m) I_t      z_t = [u_t >= theta] - [u_t <= -theta]
        v_t = u_t - theta z_t (or u_t (1 - |z_t|))

    The ternary spike of Guo et al. 2024 (https://arxiv.org/abs/2312.06372), and traceTorch's LIT with equal thresholds.
    A signed spike costs what a spike costs: an addition or a subtraction at every synapse. The surrogate derivative is
    the sum of those of both thresholds (``functional.ternary_fire``). ``rate`` averages |z_t|, and ``rate_target``
    moves both thresholds apart.

    Attributes:
        signed_surrogate: phi_t, the surrogate derivative at theta less that at -theta, [*lifetimes, n_out]; the direct
            derivative of z_t with respect to the threshold is -phi_t.
    """

    signed_surrogate: Tensor

    def __init__(self, synapses: Synapses, lifetimes: Lifetimes, settings: LayerSettings) -> None:
        """Draw the parameters and initialise the states at zero; see ``SpikingLayer``."""
        super().__init__(synapses, lifetimes, settings)
        self.register_buffer("signed_surrogate", lifetimes.zeros(self.n_out))

    def fire(self, current: Tensor) -> Tensor:
        """Integrate, fire and reset; see ``SpikingLayer.fire``."""
        potential = F.lif_potential(current, self.membrane, self.membrane_decay.value)
        theta, rise = self.threshold.value, self.threshold_rise
        settings = self.slope, self.surrogate_kind, self.reset, self.detach_reset
        step, phi = F.ternary_fire(potential, theta if rise is None else theta + rise, *settings)
        self.signed_surrogate.copy_(phi)
        if rise is not None and self.rate_target is not None and self.adapts:
            F.raise_threshold_(rise, step.spikes.abs(), self.rate_target, self.threshold_step)
        return self._store(step)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset all states; see ``SpikingLayer.reset_state``."""
        super().reset_state(mask)
        clear_(self.signed_surrogate, mask)

    def _activity(self) -> Tensor:
        """Return |z_t|; see ``SpikingLayer._activity``."""
        return self.spikes.abs()

    def _through_threshold(self, local: Tensor) -> Tensor:
        """Add the direct effect of the threshold on the spike, -phi, in place."""
        if self.threshold.raw is not None:
            self.own(local)[..., -1, :] -= self.signed_surrogate
        return local
