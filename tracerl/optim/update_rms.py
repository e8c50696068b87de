"""Steps along the eligibility trace, divided by the running root-mean-square of the whole update."""

from dataclasses import dataclass

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
    """

    lr: float
    update_decay: float
    epsilon: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.positive("lr", self.lr)
        checks.decay("update_decay", self.update_decay)
        checks.positive("epsilon", self.epsilon)

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "UpdateNormalized":
        """Make the rule for one network."""
        return UpdateNormalized(self, network.flat.shape[-1], lifetimes)


class UpdateNormalized(StepRule):
    """RMSprop on the update of streaming actor-critic (Young and Tian 2019, https://arxiv.org/abs/1903.03176).

        u = signal zeta        v = update_decay v + (1 - update_decay) u^2        theta += lr u / sqrt(v + epsilon^2)

    The mean square starts at 0 without bias correction. Where u or v is not finite, the parameter keeps its value.

    Attributes:
        second_moment: v, [*lifetimes, n].
        step_size: lr; NaN where a number of v is not finite.
    """

    second_moment: Tensor

    def __init__(self, settings: UpdateRMS, n: int, lifetimes: Lifetimes) -> None:
        """Initialise the statistics of n parameters."""
        super().__init__(lifetimes)
        self.settings = settings
        self.register_buffer("second_moment", lifetimes.zeros(n))

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        settings, update = self.settings, trace * signal.unsqueeze(-1)
        self.second_moment.mul_(settings.update_decay).addcmul_(update, update, value=1 - settings.update_decay)
        step = update.div_((self.second_moment + settings.epsilon**2).sqrt_())
        network.flat.add_(step.nan_to_num_(), alpha=settings.lr)
        torch.add(self.second_moment.sum(-1, keepdim=True) * 0, settings.lr, out=self.step_size)
