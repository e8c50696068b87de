"""The base class of step-size rules."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from tracerl.config.moved import previous_method
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class StepRule(StateModule):
    """Update one network from an eligibility trace and a signal.

    Attributes:
        step_size: factor of signal times (scaled) trace in the last step, [*lifetimes, 1]; for logging.
        frozen: the agent is frozen: the rule is not called, and its averages do not change.
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
            network: its ``flat`` parameters are updated; its ``score`` is the gradient of the present env step.
            trace: eligibility trace, [*lifetimes, n].
            signal: [*lifetimes].
        """
        raise NotImplementedError(f"{type(self).__name__} must have forward")

    def external_tensors(self) -> list[tuple[Tensor, float]]:
        """Return the external optimiser state of the lifetimes, outside the rule's buffers.

        Returns:
            Its tensors, each [*lifetimes, ...], with their value before the first step, which may create them.
        """
        return []

    def external_state(self) -> dict[str, Tensor]:
        """Return the whole external optimiser state, outside the rule's buffers, by name."""
        return {}

    def load_external_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the state that ``external_state`` returned.

        Raises:
            ValueError: naming a tensor that the rule does not have.
        """
        if state:
            raise ValueError(f"the agent's state has {next(iter(state))}, which belongs to another step-size rule")

    foreign_state = previous_method("foreign_state", "external_tensors")
    capture_foreign = previous_method("capture_foreign", "external_state")
    restore_foreign = previous_method("restore_foreign", "load_external_state")


class StepRuleSettings(Protocol):
    """Settings of a step-size rule, as given in a yaml file."""

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> StepRule:
        """Make the rule for one network whose traces decay by ``trace_decay`` per env step."""
        ...
