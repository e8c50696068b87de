"""Overshooting-bounded gradient descent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule


@dataclass(frozen=True)
class ObGD:
    """Overshooting-bounded gradient descent; ``build`` makes the rule.

    Attributes:
        lr: largest step size.
        kappa: bound on the effective step; a larger value gives smaller steps.
    """

    lr: float
    kappa: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.positive("lr", self.lr)
        checks.positive("kappa", self.kappa)

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "OvershootingBounded":
        """Make the rule; it has no state per parameter."""
        return OvershootingBounded(self, lifetimes)


class OvershootingBounded(StepRule):
    """Bound the effective step (Elsayed, Vasan and Mahmood 2024, https://arxiv.org/abs/2410.14606, Algorithm 3).

    alpha = lr / max(1, lr kappa max(|signal|, 1) ||zeta||_1), theta += alpha signal zeta.
    """

    def __init__(self, settings: ObGD, lifetimes: Lifetimes) -> None:
        """Keep the settings."""
        super().__init__(lifetimes)
        self.settings = settings

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        norm = trace.abs().sum(-1, keepdim=True)
        signal = signal.unsqueeze(-1)
        bounded_step_size_(self.step_size, norm, signal, self.settings.lr, self.settings.kappa)
        network.flat.addcmul_(trace, self.step_size * signal)


def bounded_step_size_(step_size: Tensor, norm: Tensor, signal: Tensor, lr: float, kappa: float) -> None:
    """Write alpha = lr / max(1, lr kappa max(|signal|, 1) norm) into ``step_size``, all [*lifetimes, 1]."""
    overshoot = signal.abs().clamp_(min=1.0).mul_(norm).mul_(lr * kappa).clamp_(min=1.0)
    torch.div(lr, overshoot, out=step_size)
