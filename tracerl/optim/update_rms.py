"""Steps along the eligibility trace, divided by the running root-mean-square of the whole update."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule


@dataclass(frozen=True)
class UpdateRMS:
    """Updates normalised by their own root-mean-square; ``build`` makes the rule.

    Attributes:
        lr: step size; no parameter moves further than lr / sqrt(1 - update_decay) in one step.
        update_decay: decay of the mean square of the updates per step.
        epsilon: size of an update, signal times trace, below which it is not scaled up.
        fan_in: inputs per neuron up to which a layer's step is lr. With n inputs above it, the step is lr fan_in / n:
            updates of equal size add up over the inputs (Yang et al. 2022, https://arxiv.org/abs/2203.03466, table 3,
            Adam). None: the step of all layers is lr.
    """

    lr: float
    update_decay: float
    epsilon: float
    fan_in: int | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.positive("lr", self.lr)
        checks.decay("update_decay", self.update_decay)
        checks.positive("epsilon", self.epsilon)
        if self.fan_in is not None:
            checks.whole("fan_in", self.fan_in, 1)

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "UpdateNormalized":
        """Make the rule for one network."""
        if self.fan_in is None:
            return UpdateNormalized(self, [(network.flat.shape[-1], self.lr)], lifetimes)
        steps = [(size, self.lr * min(1.0, self.fan_in / n)) for size, n in network.fan_in()]
        return UpdateNormalized(self, steps, lifetimes)


class UpdateNormalized(StepRule):
    """RMSprop on the update of streaming actor-critic (Young and Tian 2019, https://arxiv.org/abs/1903.03176).

        u = signal zeta        v = update_decay v + (1 - update_decay) u^2        theta += lr u / sqrt(v + epsilon^2)

    The mean square starts at 0 without bias correction. Where u or v is not finite, the parameter keeps its value.

    Attributes:
        second_moment: v, [*lifetimes, n].
        step_size: lr; NaN where a number of v is not finite.
        ends: of each part of the parameters with a step of its own, the number of parameters up to its last one,
            [*lifetimes, parts].
        steps: lr of each part, [*lifetimes, parts].
    """

    unsaved = ("ends", "steps")
    second_moment: Tensor
    ends: Tensor
    steps: Tensor

    def __init__(self, settings: UpdateRMS, steps: Sequence[tuple[int, float]], lifetimes: Lifetimes) -> None:
        """Initialise the statistics.

        Args:
            settings: of the rule.
            steps: number of parameters and lr, for the parts of the network in the order of ``flat``.
            lifetimes: maker of tensors.
        """
        super().__init__(lifetimes)
        self.settings = settings
        self._sizes, self._steps = [size for size, _ in steps], [lr for _, lr in steps]
        self.register_buffer("second_moment", lifetimes.zeros(sum(self._sizes)))
        for name, values in (("ends", list(accumulate(self._sizes))), ("steps", self._steps)):
            numbers = torch.tensor(values, dtype=lifetimes.dtype, device=lifetimes.device)
            self.register_buffer(name, lifetimes.zeros(len(values)) + numbers, persistent=False)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        settings, update = self.settings, trace * signal.unsqueeze(-1)
        self.second_moment.mul_(settings.update_decay).addcmul_(update, update, value=1 - settings.update_decay)
        step = update.div_((self.second_moment + settings.epsilon**2).sqrt_()).nan_to_num_()
        flat, steps = network.flat.split(self._sizes, -1), step.split(self._sizes, -1)
        for parameters, change, lr in zip(flat, steps, self._steps, strict=True):
            parameters.add_(change, alpha=lr)
        torch.add(self.second_moment.sum(-1, keepdim=True) * 0, settings.lr, out=self.step_size)
