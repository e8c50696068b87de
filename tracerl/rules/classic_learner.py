"""A network of traceTorch's layers with REFLECT: traces updated at an action, parameters at a reward."""

import torch
from torch import Tensor

from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.layers import distributions_of
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.tracetorch import TraceNetwork
from tracerl.optim.rule import StepRuleSettings
from tracerl.rules.reflect_classic import PairedReflect, Reflect, Timescales


class ClassicLearner(FlatModule):
    """A network, its REFLECT rule and the step-size rule that updates the parameters of both.

    ``score`` is the gradient of REFLECT's loss. The step-size rule receives its negative as the trace and 1 as the
    signal, because the loss already contains the advantage.

    Attributes:
        probabilities: p_t of the newest observation, [*lifetimes, n_out].
    """

    probabilities: Tensor

    def __init__(
        self, network: TraceNetwork, timescales: Timescales, paired: bool, rule: StepRuleSettings, lifetimes: Lifetimes
    ) -> None:
        """Initialise the traces.

        Args:
            network: whose parameters are learned.
            timescales: of REFLECT.
            paired: keep the trace of the product (``PairedReflect``), else separate traces (``Reflect``).
            rule: settings of the step-size rule.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.network = network
        n_out = network.readout.n_out
        self._n = sum(parameter.numel() for parameter in network.parameters()) // len(lifetimes.seeds)
        self.paired = PairedReflect(timescales, self._n, lifetimes) if paired else None
        self.averaged = None if paired else Reflect(timescales, n_out, lifetimes)
        self.register_buffer("probabilities", lifetimes.full(1 / n_out, n_out))
        self.register_buffer("_one", lifetimes.full(1.0))
        self.flatten(lifetimes.shape)
        self.step_rule = rule.build(self, 0.0, lifetimes)  # a gradient in place of a trace: no decay

    @property
    def timescales(self) -> Timescales:
        """The averages of the reward and their parameters."""
        part = self.averaged or self.paired
        assert part is not None
        return part.timescales

    def forward(self, current: Tensor) -> Tensor:
        """Advance the network and return the logits.

        Args:
            current: [*lifetimes, n_in].

        Returns:
            The membranes of the readout (its own buffer), [*lifetimes, n_out].
        """
        self.probabilities.copy_(self.network(current))
        return self.network.readout.membrane

    def accumulate(self, action: Tensor, log_probability: Tensor) -> None:
        """Update the traces by the action chosen from the newest probabilities, in place.

        Args:
            action: its index, int64, [*lifetimes].
            log_probability: of it, [*lifetimes].
        """
        chosen = torch.zeros_like(self.probabilities).scatter_(-1, action.unsqueeze(-1), 1.0)
        if self.averaged is not None:
            self.averaged(self.probabilities, chosen)
        if self.paired is not None:
            self.network.backward(chosen)
            self.paired(log_probability, self.score[..., : self._n])

    def learn(self, reward: Tensor) -> None:
        """Take one step of gradient descent on the loss of a reward, [*lifetimes], in place."""
        if self.averaged is not None:
            self.network.backward(self.averaged.backward(reward))
        if self.paired is not None:
            self.score[..., : self._n].copy_(self.paired.backward(reward))
        if not self.step_rule.frozen:
            self.step_rule(self, self.score.neg(), self._one)

    def distributions(self, name: str) -> dict[str, Tensor]:
        """Return the layers' weights, decays, thresholds and traces; see ``tracerl.nn.views.Distributed``."""
        layers = [(f"{name}_{i}", layer) for i, layer in enumerate(self.network.layers)]
        found = dict[str, Tensor]()
        for part_name, part in [*layers, (f"{name}_readout", self.network.readout)]:
            found |= distributions_of(part, part_name) | {f"traces/{part_name}_inputs": part.input_trace}
        if self.paired is not None:
            found[f"traces/{name}"] = self.paired.eligibility_trace
        return found

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membranes and traces, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        self.network.reset_state(mask)
        for part in (self.averaged, self.paired):
            if part is not None:
                part.reset_state(mask)
