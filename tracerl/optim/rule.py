"""What every step-size rule has in common."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class StepRule(StateModule):
    """Turn an eligibility trace and a signal into a step of one network.

    Attributes:
        step_size: what the last step multiplied signal and (scaled) trace by, [*lifetimes, 1]; for watching.
        frozen: the agent is frozen: the rule is not called, and its averages stay as they are.
    """

    step_size: Tensor
    frozen = False

    def __init__(self, lifetimes: Lifetimes) -> None:
        """Start with no step taken."""
        super().__init__()
        self.register_buffer("step_size", lifetimes.zeros(1))

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Step along ``signal * trace`` (ascent), updating the network's parameters in place.

        Args:
            network: its ``flat`` parameters are moved; its ``score`` is that of the present env step.
            trace: eligibility trace, [*lifetimes, n].
            signal: [*lifetimes].
        """
        raise NotImplementedError

    def foreign_state(self) -> list[Tensor]:
        """Return what the rule remembers per lifetime outside its own buffers, each [*lifetimes, ...]."""
        return []

    def capture_foreign(self) -> dict[str, Tensor]:
        """Return everything the rule remembers outside its own buffers, by name."""
        return {}

    def restore_foreign(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``capture_foreign`` returned.

        Raises:
            ValueError: naming what cannot be.
        """
        if state:
            raise ValueError(f"the agent's state has {next(iter(state))} of another step-size rule")


class StepRuleSettings(Protocol):
    """Settings of a step-size rule, as a yaml names them."""

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> StepRule:
        """Make the rule for one network whose traces decay by ``trace_decay`` per env step."""
        ...
