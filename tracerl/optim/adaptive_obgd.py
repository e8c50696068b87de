"""Adaptive overshooting-bounded gradient descent: ObGD with a step size per parameter."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.moved import previous_attribute
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.obgd import bounded_step_size_
from tracerl.optim.rule import StepRule

_EPSILON = 1e-8  # added to every scale


@dataclass(frozen=True)
class AdaptiveObGD:
    """Adaptive overshooting-bounded gradient descent; ``build`` makes the rule.

    The small number that keeps a scale above 0 is added to the root, as in Adam. The code published with the paper adds
    it to the second moment, which shortens the steps of parameters whose updates are below 1e-4.

    Attributes:
        lr: largest step size.
        kappa: bound on the effective step; a larger value gives smaller steps.
        update_decay: decay of the second moment of the updates per step.
    """

    lr: float
    kappa: float
    update_decay: float

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.positive("lr", self.lr)
        checks.positive("kappa", self.kappa)
        checks.decay("update_decay", self.update_decay)

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "AdaptiveOvershootingBounded":
        """Make the rule for one network."""
        return AdaptiveOvershootingBounded(self, network.flat.shape[-1], lifetimes)


class AdaptiveOvershootingBounded(StepRule):
    """ObGD on updates scaled by their running root-mean-square (https://arxiv.org/abs/2410.14606, Adaptive ObGD).

        v = .999 v + .001 (signal zeta)^2       v_hat = sqrt(v / (1-.999^t)) + 1e-8
        alpha = lr / max(1, lr kappa max(|signal|, 1) ||zeta/v_hat||_1)       theta += alpha signal zeta/v_hat

    Attributes:
        second_moment: v, [*lifetimes, n].
        bias_correction: its weight update_decay^t, float64, [*lifetimes, 1].
    """

    second_moment: Tensor
    bias_correction: Tensor
    previous_names = {"bias_correction": "unseen"}
    unseen = previous_attribute("unseen", "bias_correction")

    def __init__(self, settings: AdaptiveObGD, n: int, lifetimes: Lifetimes) -> None:
        """Initialise the statistics of n parameters."""
        super().__init__(lifetimes)
        self.settings = settings
        self.register_buffer("second_moment", lifetimes.zeros(n))
        self.register_buffer("bias_correction", lifetimes.zeros(1, dtype=torch.float64) + 1)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        decay = self.settings.update_decay
        signal = signal.unsqueeze(-1)
        correction = (1 - self.bias_correction.mul_(decay)).to(trace.dtype)
        update = trace * signal
        self.second_moment.mul_(decay).addcmul_(update, update, value=1 - decay)
        direction = trace / (self.second_moment / correction).sqrt_().add_(_EPSILON)
        norm = direction.abs().sum(-1, keepdim=True)
        bounded_step_size_(self.step_size, norm, signal, self.settings.lr, self.settings.kappa)
        network.flat.addcmul_(direction, self.step_size * signal)
