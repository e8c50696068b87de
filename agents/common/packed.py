"""Agents whose state is packed: saving, loading and copying it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.config.moved import current_method, previous_method
from tracerl.lifetime.arguments import check_state, origin_of
from tracerl.lifetime.protocol import AgentOrigin
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.packed_state import PackedState
from tracerl.nn.state_dict import load_state, state_tensors
from tracerl.optim.rule import StepRule

Array = np.ndarray[Any, Any]
_EXTERNAL = "foreign."  # prefix, in a captured state, of the state that optimisers keep outside the packed state

_PREVIOUS = {"external_tensors": "foreign_state", "external_state": "capture_foreign"}
_PREVIOUS |= {"load_external_state": "restore_foreign"}


def _own(rule: StepRule, name: str) -> Callable[..., Any]:
    """Return a method of a rule, which may have it under its previous name only."""
    return current_method(rule, name, _PREVIOUS[name])


class PackedAgent(StateModule):
    """Base of agents that keep every tensor of a lifetime in one packed state.

    Every tensor that belongs to a lifetime is a buffer, which ``_pack`` moves into the packed state.

    Attributes:
        memory: packed state of all lifetimes, set by ``_pack``.
        fault: divergence flag: 1 where a number of the lifetime is no longer finite, int64, [*lifetimes]. Such a
            lifetime does not learn any further.
        faults: the same flags as an array.
        lifetimes: maker of the agent's tensors.
        in_episode: ``start`` was called and ``end`` was not; for one lifetime.
        built_from: settings, spaces and seeds, for an agent that ``tracerl.make_agent`` or a run made.
    """

    memory: PackedState
    fault: Tensor
    lifetimes: Lifetimes
    in_episode = False
    built_from: AgentOrigin | None = None

    def _pack(self, lifetimes: Lifetimes) -> None:
        """Move every buffer into the packed state; the last step of an agent's construction."""
        self.lifetimes = lifetimes
        self.register_buffer("fault", lifetimes.zeros(dtype=torch.int64))
        self.memory = PackedState(self, lifetimes)

    @property
    def lives(self) -> Lifetimes:
        """``lifetimes`` by its previous name."""
        warnings.warn("an agent's lives is now lifetimes", DeprecationWarning, stacklevel=2)
        return self.lifetimes

    @property
    def faults(self) -> Array:
        """Divergence flags of the lifetimes: int64, [*lifetimes]; on the CPU a view of the packed state."""
        found: Array = self.fault.cpu().numpy()
        return found

    def _clear(self, mask: Tensor | None) -> None:
        """Reset the state of an episode, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        raise NotImplementedError(f"{type(self).__name__} must have _clear")

    @torch.inference_mode()
    def reset_episode(self) -> None:
        """Reset the state of the running episodes; see ``Stateful.reset_episode``."""
        self._clear(None)
        self.in_episode = False

    abandon = previous_method("abandon", "reset_episode")

    def _rules(self) -> Sequence[StepRule]:
        """Return the step-size rules, which may keep state of the lifetimes outside the packed state."""
        return ()

    def _external_tensors(self) -> list[tuple[Tensor, float]]:
        """Return the external optimiser state of the lifetimes; see ``StepRule.external_tensors``."""
        return [state for rule in self._rules() for state in _own(rule, "external_tensors")()]

    def capture(self) -> dict[str, Tensor]:
        """Return the whole state of the agent; see ``Stateful.capture``."""
        external = {
            f"{_EXTERNAL}{i}.{name}": tensor
            for i, rule in enumerate(self._rules())
            for name, tensor in _own(rule, "external_state")().items()
        }
        return dict(state_tensors(self)) | external

    @torch.inference_mode()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the state that ``capture`` returned; see ``Stateful.restore``. After an error the agent is unchanged."""
        check_state(state)
        rules = self._rules()
        before = [{name: tensor.clone() for name, tensor in _own(rule, "external_state")().items()} for rule in rules]
        try:
            for i, rule in enumerate(rules):
                start, load = f"{_EXTERNAL}{i}.", _own(rule, "load_external_state")
                load({n.removeprefix(start): t for n, t in state.items() if n.startswith(start)})
            load_state(self, {name: tensor for name, tensor in state.items() if not name.startswith(_EXTERNAL)})
        except Exception:
            for rule, own in zip(rules, before, strict=True):
                _own(rule, "load_external_state")(own)
            raise
        self.in_episode = True  # the state does not record it, and most states are taken within an episode

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Load a state, which may be within an episode; see ``nn.Module.load_state_dict``."""
        self.in_episode = True
        return super().load_state_dict(*arguments, **options)

    def save(self, path: str | Path) -> None:
        """Write settings, spaces and state to one file, between two steps; ``tracerl.load_agent`` reads it.

        Args:
            path: of the file. An existing file is replaced once the new one is complete on the disk.

        Raises:
            ConfigError: the agent was built by calling its class, so that its settings are not recorded.
            OSError: the disk is full, read-only or missing; an existing file is unchanged.
        """
        origin_of(self).write(self, path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the contents of the agent's file: pickle would write shared storage once for each of its views."""
        reduced: tuple[Any, ...] = origin_of(self).reduce(self)
        return reduced

    def __deepcopy__(self, memo: dict[int, Any]) -> "PackedAgent":
        """Copy the agent with its own packed state, of which its tensors are views."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(deepcopy(self.__dict__, memo))  # type: ignore[no-untyped-call]
        return copied

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PackedAgent":
        """Raise: after a move, views and kernels would still use the previous storage."""
        raise RuntimeError("an agent cannot be moved: build it with Lifetimes(seed, dtype, device) on its final device")
