"""Groups of leaky integrate-and-fire neurons with mutual inhibition, without learned parameters."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.layers.spiking import RATE_DECAY
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule


class CompetingLIF(StateModule):
    """Leaky integrate-and-fire neurons in groups of equal size; each group is inhibited by the spikes of the others.

        u_t = m v_{t-1} + (1-m)(I_t - h sum over other groups of their share of spiking neurons at t-1)
        z_t = [u_t >= theta]                                                        v_t = u_t - theta z_t

    State per lifetime: three numbers per neuron.

    Attributes:
        membrane: v_t, [*lifetimes, n].
        spikes: z_t, 0 or 1, [*lifetimes, n].
        rate: average of the spikes per tick over about 1,000 ticks, not reset between episodes, [*lifetimes, n].
    """

    membrane: Tensor
    spikes: Tensor
    rate: Tensor

    def __init__(
        self,
        groups: int,
        size: int,
        lifetimes: Lifetimes,
        *,
        membrane_decay: float,
        threshold: float,
        inhibition: float,
    ) -> None:
        """Initialise the states at zero.

        Args:
            groups: number of groups.
            size: neurons per group; the neurons of a group are adjacent.
            lifetimes: maker of tensors.
            membrane_decay: m per tick.
            threshold: theta, in units of the membrane.
            inhibition: h, current subtracted for each other group whose neurons all spiked at the previous tick.
        """
        super().__init__()
        self.groups, self.size, self.n, self.inhibition = groups, size, groups * size, inhibition
        for name in ("membrane", "spikes", "rate"):
            self.register_buffer(name, lifetimes.zeros(self.n))
        self._decay, self._threshold = lifetimes.full(membrane_decay, 1), lifetimes.full(threshold, 1)

    def forward(self, current: Tensor) -> Tensor:
        """Advance one tick, updating the state in place.

        Args:
            current: I_t, [*lifetimes, n].

        Returns:
            The spikes z_t, [*lifetimes, n]: the layer's own buffer, overwritten by the next tick.
        """
        share = self.per_group(self.spikes)
        others = self.spread(share.sum(-1, keepdim=True) - share)
        potential = F.lif_potential(current - self.inhibition * others, self.membrane, self._decay)
        step = F.lif_fire(potential, self._threshold, 1.0, "triangle", "soft")
        self.membrane.copy_(step.membrane)
        self.spikes.copy_(step.spikes)
        F.low_pass_(self.rate, RATE_DECAY, self.spikes)
        return self.spikes

    def per_group(self, neurons: Tensor) -> Tensor:
        """Average over the neurons of each group: [*lifetimes, n] to [*lifetimes, groups]."""
        grouped: Tensor = neurons.unflatten(-1, (self.groups, self.size))
        return grouped.mean(-1)

    def spread(self, groups: Tensor) -> Tensor:
        """Repeat the value of each group for its neurons: [*lifetimes, groups] to [*lifetimes, n]."""
        return groups.repeat_interleave(self.size, -1)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membranes and spikes, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        clear_(self.membrane, mask)
        clear_(self.spikes, mask)
