"""Plain stochastic gradient ascent along the trace."""

from dataclasses import dataclass

from torch import Tensor

from tracerl.config import checks
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule


@dataclass(frozen=True)
class SGD:
    """A fixed step size; ``build`` makes the rule.

    Attributes:
        lr: step size.
    """

    lr: float

    def __post_init__(self) -> None:
        """Check the setting, raising a ConfigError that names it."""
        checks.positive("lr", self.lr)

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "FixedStep":
        """Make the rule; it has no state per parameter."""
        return FixedStep(self, lifetimes)


class FixedStep(StepRule):
    """Gradient ascent with a fixed step size: theta += lr signal zeta."""

    def __init__(self, settings: SGD, lifetimes: Lifetimes) -> None:
        """Keep the settings."""
        super().__init__(lifetimes)
        self.step_size.fill_(settings.lr)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        network.flat.addcmul_(trace, self.step_size * signal.unsqueeze(-1))
