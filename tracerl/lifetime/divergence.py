"""Detect numbers that are not finite, in the step in which they occur, and stop or re-initialise the lifetime.

An agent with this check has ``faults``, int64, [*lifetimes]: 0 while the lifetime's numbers are finite. It checks the
signal and the entropy of the policy, on which all other numbers depend, and does not change the state of a lifetime
with a fault, so that the cause can be found.
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tracerl.config import checks
from tracerl.config.moved import keep_names, previous_method

if TYPE_CHECKING:
    from torch import Tensor

Faults = np.ndarray[Any, np.dtype[np.int64]]
_ADVICE = "try a smaller step size, or smaller weights such as that of the entropy bonus"
POLICIES = ("freeze", "stop", "reset_life")


class Diverged(ValueError):
    """A number is not finite."""


class DivergenceCheck:
    """What a run does with lifetimes whose numbers are not finite.

    Attributes:
        policy: ``freeze``: the lifetime stops, and the others continue. The run ends with the last one. ``stop``: the
            run ends. ``reset_life``: the agent is re-initialised with its first weights and continues to count steps.
        problems: a message per lifetime; under ``reset_life`` the newest.
    """

    def __init__(self, policy: str = "freeze") -> None:
        self.policy = checks.choice("on_nonfinite", policy, POLICIES)
        self.problems: dict[int, str] = {}
        self._initial: dict[str, Tensor] = {}

    def store_initial_state(self, agent: Any) -> None:
        """Keep the initial state of the agent if the policy needs it."""
        if self.policy == "reset_life" and hasattr(agent, "capture"):
            self._initial = {name: tensor.clone() for name, tensor in agent.capture().items()}

    remember = previous_method("remember", "store_initial_state")

    def examine(self, agent: Any, steps: Sequence[int]) -> list[int]:
        """Apply the policy to the lifetimes with a fault; one that is reported already is not reported again.

        Args:
            agent: agent of all lifetimes.
            steps: env steps of each lifetime.

        Returns:
            The lifetimes that stop, with those that stopped before.

        Raises:
            Diverged: the policy ends the run, or no lifetime is left.
        """
        lifetimes = np.flatnonzero(np.atleast_1d(agent.faults)).tolist()
        for lifetime in lifetimes:
            if lifetime not in self.problems or self.policy == "reset_life":
                problem = diagnose(agent, int(steps[lifetime]), lifetime if len(steps) > 1 else None)
                self.report(lifetime, problem, len(steps))
            if self.policy == "reset_life":
                self._reinitialise(agent, lifetime)
        return [] if self.policy == "reset_life" else lifetimes

    def report(self, lifetime: int, problem: str, n_lifetimes: int, stops: bool = False) -> None:
        """Record the problem of a lifetime, which stops under every policy if ``stops``, and print a warning.

        Raises:
            Diverged: the policy ends the run, or no lifetime is left.
        """
        self.problems[lifetime] = problem
        if self.policy == "stop" or n_lifetimes == 1 and self.policy == "freeze":
            raise Diverged(problem)
        if self.policy == "freeze" and len(self.problems) == n_lifetimes:
            raise Diverged(f"no lifetime is left; the first that stopped: {next(iter(self.problems.values()))}")
        then = "it is re-initialised" if self.policy == "reset_life" and not stops else "it stops"
        print(f"warning: {problem}; {then}", file=sys.stderr)

    def _reinitialise(self, agent: Any, lifetime: int) -> None:
        """Give one lifetime its initial state, which has no fault.

        State that an optimiser of torch has made since then begins again: from nothing for one lifetime, and for one of
        many, which share the optimiser, from zero in what it keeps of each parameter.
        """
        if not agent.lifetimes.shape:
            agent.restore({name: tensor.clone() for name, tensor in self._initial.items()})
            return
        import torch  # slow, and imported by an agent with state already

        with torch.inference_mode():
            for name, tensor in agent.capture().items():
                if tensor.dim():  # an optimiser's count of steps is of all lifetimes
                    tensor[lifetime] = self._initial[name][lifetime] if name in self._initial else 0


def finite(numbers: Any) -> bool:
    """Return whether an array of floats has finite numbers only; True for anything else.

    A finite sum of squares proves it in half a microsecond. Otherwise the numbers are checked one by one.
    """
    if not isinstance(numbers, np.ndarray) or numbers.dtype.kind != "f":
        return True
    return math.isfinite(np.vdot(numbers, numbers)) or bool(np.isfinite(numbers).all())


def first_nonfinite(numbers: np.ndarray[Any, Any]) -> tuple[list[int], float] | None:
    """Return index and value of the first number of an array that is not finite; None if all are."""
    bad = np.argwhere(~np.isfinite(numbers))
    return (bad[0].tolist(), numbers[tuple(bad[0])]) if len(bad) else None


def faults_of(agent: Any) -> Faults | None:
    """Return the faults of an agent's lifetimes, a view of its state; None for an agent without faults."""
    found: Faults | None = getattr(agent, "faults", None)
    return found


def diagnose(agent: Any, step: int | None, lifetime: int | None) -> str:
    """Return a message with the first number of a faulty lifetime that is not finite, weights first.

    Args:
        agent: agent of one lifetime or of many.
        step: env step in which the fault was detected; None: unknown.
        lifetime: index of the lifetime; None for an agent of one lifetime.
    """
    whose, when = "" if lifetime is None else f" of lifetime {lifetime}", "" if step is None else f" in step {step:,}"
    state: dict[str, Tensor] = agent.capture()
    for name in sorted(state, key=lambda name: not name.endswith((".affine", ".weight", ".raw"))):
        tensor = state[name] if lifetime is None else state[name][lifetime]
        if tensor.is_floating_point() and (found := first_nonfinite(tensor.cpu().numpy())):
            index, value = found
            place = f" at {index}" if index else ""
            return f"the agent's {name}{whose} is {value}{place}{when}: {_ADVICE}"
    return f"the agent's step{whose} along its trace is not finite{when}: {_ADVICE}"


keep_names(globals(), Guard="DivergenceCheck")
