"""How long a hidden layer remembers what its parameters did: the layers above decide.

The learning signal arrives at the outputs y_t, but a spike goes on acting on them through the memory of every layer
above. Credit is the trace that makes up for it, one per layer, fed at every tick with the layer's local eligibility
e_t = d z_t / d parameter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tracerl import functional as F
from tracerl.lives import Lives, clear_
from tracerl.module import StateModule


class ReadoutCredit(StateModule):
    """Credit of the layer right under a leaky-integrator readout; exact.

        E_t = k E_{t-1} + (1-k) e_t        score = (V^T g) * E_t, row by row

    Exact because k belongs to the hidden neuron: filtering before or after V is the same, so one trace per parameter
    serves every output. Equals backpropagation through time with weights held fixed.

    Attributes:
        eligibility: E_t, [*lives, rows, n].
    """

    eligibility: Tensor

    def __init__(self, n: int, rows: int, lives: Lives) -> None:
        """Start empty, for a layer of n neurons with that many parameters each."""
        super().__init__()
        self.register_buffer("eligibility", lives.zeros(rows, n))

    def update(self, local: Tensor, readout_decay: Tensor) -> None:
        """Filter e_t as the readout filters the spikes, in place.

        Args:
            local: e_t, [*lives, rows, n].
            readout_decay: k per tick, [*lives, n] or [*lives, 1].
        """
        F.low_pass_(self.eligibility, readout_decay.unsqueeze(-2), local)

    def score(self, learning_signal: Tensor) -> Tensor:
        """Return the score, [*lives, rows, n], for the signal V^T g at the filtered spikes, [*lives, n]."""
        return self.eligibility * learning_signal.unsqueeze(-2)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Forget, in place, in the lives of the mask or in all."""
        clear_(self.eligibility, mask)


class PathCredit(StateModule):
    """Credit of a layer under other hidden layers; approximate, in the manner of OTPE.

    Exact credit needs d(everything above) / d(every parameter here). Instead e_t leaks through one average neuron per
    layer above, and is projected on the outputs by the path open at that tick:

        R^1 = l_1 R^1 + e_t,  R^2 = l_2 R^2 + R^1, ...            l_i = mean over layer i of m dv/du at t-1
        F_j = kbar F_j + P_j * R^last                             P = V (1-k) psi_L (1-m_L) W_L ... W_{l+1}
        score = sum_j g_j F_j

    One copy F_j per output j. After Summe, Schaefer and Joshi 2023 (https://arxiv.org/abs/2311.16151), with the
    projection on outputs instead of a per-tick loss. ``docs/credit.md`` has its measured angle to the true gradient.

    Attributes:
        carried: R, [*lives, layers above, rows, n].
        projected: F, [*lives, outputs, rows, n].
    """

    carried: Tensor
    projected: Tensor

    def __init__(self, n: int, rows: int, n_above: int, n_outputs: int, lives: Lives) -> None:
        """Start empty, for n neurons with that many parameters, under n_above hidden layers and n_outputs outputs."""
        super().__init__()
        self.register_buffer("carried", lives.zeros(n_above, rows, n))
        self.register_buffer("projected", lives.zeros(n_outputs, rows, n))

    def update(self, local: Tensor, leaks: Sequence[Tensor], path: Tensor, readout_decay: Tensor) -> None:
        """Carry e_t upwards by one tick, in place.

        Args:
            local: e_t, [*lives, rows, n].
            leaks: mean of d u_t / d u_{t-1} of each hidden layer above, nearest first, each [*lives].
            path: d y_t / d z_t along this tick, [*lives, outputs, n].
            readout_decay: k, [*lives, neurons under the readout] or [*lives, 1].
        """
        for i, leak in enumerate(leaks):
            level = self.carried[..., i, :, :]
            torch.addcmul(local, level, leak[..., None, None], out=level)
            local = level
        kept = readout_decay.mean(-1)[..., None, None, None]
        self.projected.mul_(kept).addcmul_(path.unsqueeze(-2), local.unsqueeze(-3))

    def score(self, output_signal: Tensor) -> Tensor:
        """Return the score, [*lives, rows, n], for the signal g at the outputs, [*lives, outputs]."""
        return (self.projected * output_signal[..., None, None]).sum(-3)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Forget, in place, in the lives of the mask or in all."""
        clear_(self.carried, mask)
        clear_(self.projected, mask)
