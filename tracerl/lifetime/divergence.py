"""Numbers that stop being finite: detected in the step in which they do, named, and contained.

An agent that takes part has ``faults``, int64, [*lifetimes]: 0 as long as the lifetime's numbers are finite. It
checks the signal and the entropy of the policy, on which all other numbers depend, and leaves the state of a lifetime
with a fault as it is, so that the cause can be found.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tracerl.config import checks
from tracerl.config.moved import keep_names

if TYPE_CHECKING:
    from torch import Tensor

Faults = np.ndarray[Any, np.dtype[np.int64]]
POLICIES = ("freeze", "stop", "reset_life")


class Diverged(ValueError):
    """A number stopped being finite."""


class DivergenceCheck:
    """What a run does about lifetimes whose numbers stop being finite.

    Attributes:
        policy: ``freeze``: such a lifetime stops and the others continue, as long as there are any. ``stop``: the run
            ends. ``reset_life``: the agent is re-initialised with its first weights, and its steps go on counting.
        problems: a message per lifetime; with ``reset_life`` the newest.
    """

    def __init__(self, policy: str = "freeze") -> None:
        """Start with no problem.

        Raises:
            ConfigError: there is no policy of that name.
        """
        self.policy = checks.choice("on_nonfinite", policy, POLICIES)
        self.problems: dict[int, str] = {}
        self._initial: dict[str, Tensor] = {}

    def remember(self, agent: Any) -> None:
        """Keep the initial state of the agent, where the policy needs it."""
        if self.policy == "reset_life" and hasattr(agent, "capture"):
            self._initial = {name: tensor.clone() for name, tensor in agent.capture().items()}

    def examine(self, agent: Any, steps: Sequence[int]) -> list[int]:
        """Apply the policy to the lifetimes that have a new fault.

        Args:
            agent: of all lifetimes.
            steps: env steps of each lifetime.

        Returns:
            Those that stop.

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

    def report(self, lifetime: int, problem: str, n_lifetimes: int) -> None:
        """Record the problem of a lifetime and print a warning.

        Raises:
            Diverged: the policy ends the run, or no lifetime is left.
        """
        self.problems[lifetime] = problem
        if self.policy == "stop" or n_lifetimes == 1 and self.policy == "freeze":
            raise Diverged(problem)
        if self.policy == "freeze" and len(self.problems) == n_lifetimes:
            raise Diverged(f"no lifetime is left; the first that stopped: {next(iter(self.problems.values()))}")
        then = "it is re-initialised" if self.policy == "reset_life" else "it stops"
        print(f"warning: {problem}; {then}", file=sys.stderr)

    def _reinitialise(self, agent: Any, lifetime: int) -> None:
        """Give one lifetime its initial state, which has no fault."""
        for name, tensor in agent.capture().items():
            initial = self._initial[name]
            if agent.lifetimes.shape:
                tensor[lifetime] = initial[lifetime]
            else:
                tensor.copy_(initial)


def finite(numbers: Any) -> bool:
    """Return whether an array of floats holds finite numbers only; true of everything else.

    A finite sum of squares proves it in half a microsecond; the numbers are checked one by one only where it is not.
    """
    if not isinstance(numbers, np.ndarray) or numbers.dtype.kind != "f":
        return True
    return math.isfinite(np.vdot(numbers, numbers)) or bool(np.isfinite(numbers).all())


def first_nonfinite(numbers: np.ndarray[Any, Any]) -> tuple[list[int], float] | None:
    """Return the index and value of the first number of an array that is not finite; None where all are."""
    bad = np.argwhere(~np.isfinite(numbers))
    return (bad[0].tolist(), numbers[tuple(bad[0])]) if len(bad) else None


def faults_of(agent: Any) -> Faults | None:
    """Return the faults of an agent's lifetimes, a view of its state; None of an agent that has none."""
    found: Faults | None = getattr(agent, "faults", None)
    return found


def diagnose(agent: Any, step: int | None, lifetime: int | None) -> str:
    """Say which number of a faulty lifetime is not finite, by the names of ``Stateful.capture``.

    Args:
        agent: of one lifetime or of many.
        step: env step in which it was detected; None: unknown.
        lifetime: which one; None where there is one.
    """
    whose, when = "" if lifetime is None else f" of lifetime {lifetime}", "" if step is None else f" in step {step:,}"
    found = _first_of_state(agent.capture(), lifetime)
    if found is None:
        return f"the agent's step{whose} along its trace is not finite{when}: try a smaller step size"
    name, index, value = found
    place = f" at {list(index)}" if index else ""
    return f"the agent's {name}{whose} is {value}{place}{when}: try a smaller step size"


def _first_of_state(state: Mapping[str, "Tensor"], lifetime: int | None) -> tuple[str, tuple[int, ...], float] | None:
    """Return the name, index and value of the first number that is not finite; weights first, then what follows them.

    Args:
        state: tensors by name.
        lifetime: row of each that counts; None where there is one lifetime.
    """
    for name in sorted(state, key=lambda name: not name.endswith((".affine", ".weight", ".raw"))):
        tensor = state[name] if lifetime is None else state[name][lifetime]
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            index = tuple(int(i) for i in (~tensor.isfinite()).nonzero()[0]) if tensor.dim() else ()
            return name, index, tensor[index].item()
    return None


keep_names(globals(), Guard="DivergenceCheck")
