"""The default credit: exact for layers that feed the readout, approximate (OTPE) for the layers before them.

The learning signal arrives at the outputs y_t. A spike influences later outputs through the state of every later layer.
Credit is a trace per layer that accounts for this influence. At every tick it is updated by the layer's local
eligibility e_t = d z_t / d parameter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tracerl.config.moved import current_method
from tracerl.nn import functional as F
from tracerl.nn.layers import SpikingLayer
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule
from tracerl.nn.wiring import Route, Wiring


def _retention_of(layer: SpikingLayer) -> list[Tensor]:
    """Return the state retention of a layer, which may have ``leaks``, the method's previous name, only."""
    found: list[Tensor] = current_method(layer, "state_retention", "leaks")()
    return found


class ReadoutCredit(StateModule):
    """Credit of a layer right under a leaky-integrator readout; exact.

        E_t = k E_{t-1} + (1-k) e_t        gradient = (V^T g) * E_t, row by row

    This is exact because k is a property of the hidden neuron: filters before and after V are equal, so that one trace
    per parameter suffices for all outputs. It equals backpropagation through time with weights held fixed.

    Attributes:
        eligibility: E_t, [*lifetimes, rows, n].
    """

    eligibility: Tensor
    tracked = ("eligibility",)

    def __init__(self, n: int, rows: int, lifetimes: Lifetimes) -> None:
        """Initialise at zero, for a layer of n neurons with ``rows`` parameters each."""
        super().__init__()
        self.register_buffer("eligibility", lifetimes.zeros(rows, n))

    def update(self, local: Tensor, readout_decay: Tensor) -> None:
        """Filter e_t as the readout filters spikes, in place.

        Args:
            local: e_t, [*lifetimes, rows, n].
            readout_decay: k per tick, [*lifetimes, n] or [*lifetimes, 1].
        """
        F.low_pass_(self.eligibility, readout_decay.unsqueeze(-2), local)

    def score(self, learning_signal: Tensor) -> Tensor:
        """Return the gradient, [*lifetimes, rows, n], for the signal V^T g at the filtered spikes, [*lifetimes, n]."""
        return self.eligibility * learning_signal.unsqueeze(-2)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces, in place, in the lifetimes of the mask or in all."""
        clear_(self.eligibility, mask)


class PathCredit(StateModule):
    """Credit of a layer that feeds other hidden layers; approximate, after OTPE.

    Exact credit needs the derivatives of all later layers with respect to the parameters of this one. Instead, e_t is
    filtered by the mean state retention of each later layer and projected on the outputs by the Jacobian of this tick:

        R^1 = l_1 R^1 + e_t,  R^2 = l_2 R^2 + R^1, ...            l_i = mean over layer i of m dv/du at t-1
        F_j = kbar F_j + P_j * R^last                             P = V (1-k) psi_L (1-m_L) W_L ... W_{l+1}
        gradient = sum_j g_j F_j

    There is one F_j per output j and one R per state of the later layers. Where several routes lead to the readout,
    each adds its own P * R. After Summe, Schaefer and Joshi 2023 (https://arxiv.org/abs/2311.16151), with the
    projection on outputs in place of a loss per tick. ``docs/credit.md`` gives the measured angle to the true gradient.

    Attributes:
        levels: for each R: the level that is its input (-1: e_t itself), the later node it represents, and the index of
            that node's state.
        ends: last level of each of ``routes`` (-1: e_t itself).
        carried: R, [*lifetimes, levels, rows, n].
        projected: F, [*lifetimes, outputs, rows, n].
    """

    carried: Tensor
    projected: Tensor
    tracked = ("carried", "projected")

    def __init__(self, node: int, wiring: Wiring, lifetimes: Lifetimes) -> None:
        """Initialise at zero, for a node of a network."""
        super().__init__()
        self.routes = list(wiring.routes(node))
        self.levels: list[tuple[int, int, int]] = []
        known: dict[Route, int] = {(): -1}  # last level of each prefix of a route
        for route in self.routes:
            for i in range(1, len(route) + 1):
                if route[:i] not in known:
                    known[route[:i]] = self._add_levels(known[route[: i - 1]], route[i - 1], wiring)
        self.ends = [known[route] for route in self.routes]
        layer = wiring.nodes[node].layer
        self.register_buffer("carried", lifetimes.zeros(len(self.levels), layer.rows, layer.n_out))
        self.register_buffer("projected", lifetimes.zeros(wiring.readout.n_out, layer.rows, layer.n_out))

    def _add_levels(self, below: int, above: int, wiring: Wiring) -> int:
        """Add a level for every state of a later layer and return the last one."""
        layer = wiring.nodes[above].layer
        for state in range(len(_retention_of(layer)) if isinstance(layer, SpikingLayer) else 0):
            self.levels.append((below, above, state))
            below = len(self.levels) - 1
        return below

    def update(
        self, local: Tensor, retention: Sequence[Tensor], paths: Sequence[Tensor], readout_decay: Tensor
    ) -> None:
        """Update R and F by e_t of one tick, in place.

        Args:
            local: e_t, [*lifetimes, rows, n].
            retention: state retention l of each level, each [*lifetimes].
            paths: d y_t / d z_t within this tick along each route, each [*lifetimes, outputs, n].
            readout_decay: k per tick, [*lifetimes, readout.n_in] or [*lifetimes, 1].
        """
        reached = [local]  # then every level: level i has the index i + 1
        for i, ((below, _, _), retained) in enumerate(zip(self.levels, retention, strict=True)):
            level = self.carried[..., i, :, :]
            torch.addcmul(reached[below + 1], level, retained[..., None, None], out=level)
            reached.append(level)
        self.projected.mul_(readout_decay.mean(-1)[..., None, None, None])
        for end, path in zip(self.ends, paths, strict=True):
            self.projected.addcmul_(path.unsqueeze(-2), reached[end + 1].unsqueeze(-3))

    def score(self, output_signal: Tensor) -> Tensor:
        """Return the gradient, [*lifetimes, rows, n], for the signal g at the outputs, [*lifetimes, outputs]."""
        return (self.projected * output_signal[..., None, None]).sum(-3)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces, in place, in the lifetimes of the mask or in all."""
        clear_(self.carried, mask)
        clear_(self.projected, mask)


class OTPE(StateModule):
    """Credit of spiking layers: ``ReadoutCredit`` for edges to the readout, ``PathCredit`` for edges to other layers.

    Attributes:
        direct: credit of the nodes that feed the readout, by node number.
        indirect: credit of the nodes with a route to the readout through other nodes, by node number.
    """

    def __init__(self, wiring: Wiring, lifetimes: Lifetimes, start: int = 0) -> None:
        """Initialise at zero, and make the layers track their eligibility.

        Args:
            wiring: of the network.
            lifetimes: maker of tensors.
            start: first node that receives this credit, as all later ones do.
        """
        super().__init__()
        self.wiring = wiring
        self.direct: dict[int, ReadoutCredit] = {}
        self.indirect: dict[int, PathCredit] = {}
        for i, node in enumerate(wiring.nodes):
            if i < start or not isinstance(node.layer, SpikingLayer):
                continue
            node.layer.track(lifetimes)
            if i in wiring.outputs:
                self.direct[i] = ReadoutCredit(node.layer.n_out, node.layer.rows, lifetimes)
            if next(wiring.routes(i), None) is not None:
                self.indirect[i] = PathCredit(i, wiring, lifetimes)
        self.parts = nn.ModuleList([*self.direct.values(), *self.indirect.values()])
        ways = {route[i:] for credit in self.indirect.values() for route in credit.routes for i in range(len(route))}
        self._routes = sorted(ways, key=len)  # each after its suffixes
        self._above = sorted({above for credit in self.indirect.values() for _, above, _ in credit.levels})
        self._retention: dict[int, list[Tensor]] = {}
        self._split = len(wiring.outputs) > 1

    def begin_tick(self) -> None:
        """Store the state retention of the later layers before they are advanced."""
        self._retention.update((i, _retention_of(self.wiring.nodes[i].layer)) for i in self._above)

    def end_tick(self) -> None:
        """Update the credit by this tick's eligibilities, in place."""
        nodes, decay = self.wiring.nodes, self.wiring.readout.decay.value
        local = {i: nodes[i].layer.eligibility() for i in self.direct.keys() | self.indirect.keys()}
        for i, direct in self.direct.items():
            direct.update(local[i], self._of_outputs(decay, i))
        if not self.indirect:
            return
        jacobians = self._route_jacobians()
        for i, indirect in self.indirect.items():
            retention = [self._retention[above][state] for _, above, state in indirect.levels]
            paths = [jacobians[route][..., self.wiring.block(route[0], i)] for route in indirect.routes]
            indirect.update(local[i], retention, paths, decay)

    def _route_jacobians(self) -> dict[Route, Tensor]:
        """Return d y_t / d (inputs of the first node) along each route: [*lifetimes, outputs, n_in]."""
        readout = self.wiring.readout
        weights = readout.feedback_weight * readout.decay.complement.unsqueeze(-2)  # [*lifetimes, outputs, n]
        jacobians: dict[Route, Tensor] = {}
        for route in self._routes:
            first, *rest = route
            if rest:
                jacobian = jacobians[tuple(rest)][..., self.wiring.block(rest[0], first)]
            else:
                jacobian = self._of_outputs(weights, first)
            jacobians[route] = self.wiring.nodes[first].layer.vjp(jacobian)
        return jacobians

    def write_scores(self, below: Tensor, output_signal: Tensor) -> None:
        """Write the gradients of every hidden layer, in place.

        Args:
            below: V^T g, [*lifetimes, readout.n_in].
            output_signal: g, [*lifetimes, outputs].
        """
        for i, direct in self.direct.items():
            score = direct.score(self._of_outputs(below, i))
            if i in self.indirect:
                score += self.indirect[i].score(output_signal)
            self._write(i, score)
        for i in self.indirect.keys() - self.direct.keys():
            self._write(i, self.indirect[i].score(output_signal))

    def _write(self, node: int, score: Tensor) -> None:
        """Write the gradient of a layer, with the effect of a weight on all neurons that are normalised together.

        A weight changes the normalised currents of all of these neurons. Their eligibilities for the same input give
        the later effect, so that the sum over the neurons is exact for the mean of the currents. For the deviation, the
        present currents approximate the earlier ones. Where neurons have different inputs, as in a convolution, the
        eligibilities of the biases give the later effect, and the present inputs approximate the earlier ones.
        """
        layer: SpikingLayer = self.wiring.nodes[node].layer
        if layer.norm is not None:
            driven, drive = score[..., : layer.synapses.rows, :], layer.synapses.drive()
            if drive.shape[-1] == 1:
                driven.copy_(layer.norm.centre(driven))
            else:
                by_bias = driven[..., -1:, :]
                driven.addcmul_(drive, by_bias - layer.norm.centre(by_bias), value=-1)
        layer.write_score(score)

    def _of_outputs(self, values: Tensor, node: int) -> Tensor:
        """Return the slice of a node in a tensor laid out as the readout's inputs; a shared value is returned whole."""
        return values[..., self.wiring.output_block(node)] if self._split and values.shape[-1] > 1 else values

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces, in place, in the lifetimes of the mask or in all."""
        for direct in self.direct.values():
            direct.reset_state(mask)
        for indirect in self.indirect.values():
            indirect.reset_state(mask)
