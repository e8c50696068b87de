"""Any optimiser of torch.optim, with the eligibility trace in place of the gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule

_OVER_ALL = ("Adafactor", "Muon")  # whose step of one number depends on the others of its tensor


def _names() -> list[str]:
    """Return the names of the optimisers of the installed torch that take a step by a dense gradient alone."""
    optimizer = torch.optim.Optimizer
    classes = {name: item for name, item in vars(torch.optim).items() if isinstance(item, type)}
    return sorted(
        name
        for name, item in classes.items()
        if issubclass(item, optimizer) and item is not optimizer and name not in ("LBFGS", "SparseAdam")
    )


@dataclass(frozen=True)
class TorchOptim:
    """A class of torch.optim; ``build`` makes the rule.

    All lifetimes share one optimiser, so that many lifetimes need an elementwise one (SGD, RMSprop, Adam, ...). Its
    count of steps is that of the lifetime with most. LBFGS is not supported: it needs a closure that evaluates the loss
    again, and an agent processes each transition once. SparseAdam takes no dense gradients.

    Attributes:
        name: of the class, e.g. ``Adam``.
        kwargs: its arguments, e.g. ``{lr: 1e-3}``.
    """

    name: str
    kwargs: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check the settings by building the optimiser once, raising a ConfigError that names what is wrong."""
        checks.choice("name", self.name, _names())
        if not isinstance(self.kwargs, Mapping):
            raise checks.ConfigError("kwargs", f"must map argument names to values, got {self.kwargs!r}")
        try:
            self.initial_state()
        except (TypeError, ValueError, RuntimeError) as error:
            raise checks.ConfigError("kwargs", f"must suit torch.optim.{self.name}: {error}") from error

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Make the torch optimiser for these parameters."""
        made: torch.optim.Optimizer = getattr(torch.optim, self.name)(parameters, **self.kwargs)
        return made

    def initial_state(self) -> dict[str, float]:
        """Return the entries of the optimiser's state per parameter before its first step, by name.

        The optimisers make them in that step, so they are read after one whose gradient is zero.
        """
        parameter = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
        parameter.grad = torch.zeros_like(parameter)
        optimizer = self.make([parameter])
        optimizer.step()
        state = optimizer.state[parameter]
        return {name: float(state[name].flatten()[0]) for name in state if isinstance(state[name], Tensor)}

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "TorchStep":
        """Make the rule for one network; a ConfigError for an optimiser that would mix the lifetimes."""
        if lifetimes.shape and self.name in _OVER_ALL:
            problem = f"must be of an elementwise class of torch.optim for several lifetimes, got {self.name}"
            raise checks.ConfigError("optimizer", problem)
        return TorchStep(self, network, lifetimes)


class TorchStep(StepRule):
    """Pass ``-signal * zeta`` to a torch optimiser as the gradient to descend.

    ``step_size`` is lr, and NaN where a number of the gradient is not finite.

    During the optimiser's step, ``.grad`` of the parameters holds this update. Afterwards it is a view of the network's
    ``score`` again.
    """

    def __init__(self, settings: TorchOptim, network: FlatModule, lifetimes: Lifetimes) -> None:
        """Make the optimiser."""
        super().__init__(lifetimes)
        self._parameters_of_network = list(network.parameters())
        self._optimizer = settings.make(self._parameters_of_network)
        self._initial = settings.initial_state()
        self._update = torch.zeros_like(network.flat)
        self._updates = []
        start = 0
        for parameter in self._parameters_of_network:
            shape = parameter.shape[network.flat.dim() - 1 :]
            self._updates.append(self._update[..., start : start + shape.numel()].unflatten(-1, shape))
            start += shape.numel()
        self._lr = float(self._optimizer.param_groups[0]["lr"])
        self.step_size.fill_(self._lr)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        torch.mul(trace, -signal.unsqueeze(-1), out=self._update)
        torch.add(self._update.sum(-1, keepdim=True) * 0, self._lr, out=self.step_size)
        scores = [parameter.grad for parameter in self._parameters_of_network]
        for parameter, update in zip(self._parameters_of_network, self._updates, strict=True):
            parameter.grad = update
        self._optimizer.step()
        for parameter, score in zip(self._parameters_of_network, scores, strict=True):
            parameter.grad = score

    def external_tensors(self) -> list[tuple[Tensor, float]]:
        """Return the optimiser's tensors that have the shape of their parameter; see ``StepRule.external_tensors``."""
        return [
            (state, self._initial[name])
            for parameter in self._parameters_of_network
            for name, state in self._optimizer.state.get(parameter, {}).items()
            if isinstance(state, Tensor) and state.shape == parameter.shape
        ]

    def external_state(self) -> dict[str, Tensor]:
        """Return the optimiser's state by parameter and name; see ``StepRule.external_state``."""
        found = {}
        for i, state in self._optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if value is not None:
                    found[f"{i}.{name}"] = torch.as_tensor(value)
        return found

    def load_external_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the optimiser's state; see ``StepRule.load_external_state``."""
        whole, shared = self._optimizer.state_dict(), []
        whole["state"] = {}
        for name, tensor in state.items():
            i, _, inner = name.partition(".")
            if not i.isdecimal() or int(i) >= len(self._parameters_of_network):
                raise ValueError(f"the agent's state has {name}, but the optimiser has no such parameter")
            whole["state"].setdefault(int(i), {})[inner] = tensor.clone()
            parameter = self._parameters_of_network[int(i)]
            if tensor.shape != parameter.shape:
                shared.append((parameter, inner, tensor))
        self._optimizer.load_state_dict(whole)
        for parameter, inner, tensor in shared:  # which torch has converted to the parameter's dtype
            if isinstance(self._optimizer.state[parameter][inner], Tensor):
                self._optimizer.state[parameter][inner] = tensor.clone()
