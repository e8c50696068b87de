"""The methods of an agent that computes in torch, for one lifetime and for many, over four steps of its own."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.lifetime.arguments import as_numbers, origin_of
from tracerl.lifetime.divergence import finite
from tracerl.lifetime.protocol import Action, Observation, Origin, StepType
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule
from tracerl.nn.packed_state import PackedState
from tracerl.nn.state_dict import load_state, state_tensors
from tracerl.nn.views import PolicyOutputs, SpikingNeurons
from tracerl.optim.rule import StepRule

from .inputs import START, STEP, TERMINATED, CheckedAgent, InputCheck, not_finite

if TYPE_CHECKING:
    from tracerl.kernels.engine import FusedEngine

Array = np.ndarray[Any, Any]
_FOREIGN = "foreign."  # begins the names of what belongs to lifetimes outside the memory


class OnlineAgent(CheckedAgent):
    """Base of agents whose tensors carry the lifetimes axis: both ``Agent`` and ``ManyAgents``.

    What an agent of its own kind adds: ``_begin`` (see the first observation of an episode), ``_learn`` (from one
    transition), ``_act`` (choose an action), ``_chosen`` (hand it over) and ``_clear`` (what belongs to an episode).
    None of them knows of masks: all lifetimes are computed, and what happened to those that a step type does not
    concern is undone. Every tensor that belongs to a lifetime is a buffer, which ``_pack`` moves into one memory.

    Attributes:
        lifetimes: maker of the agent's tensors.
        memory: of all lifetimes, set by ``_pack``.
        fault: 1 where a number of the lifetime stopped being finite, int64, [*lifetimes]; such a lifetime learns no
            more.
        faults: the same memory as an array.
        engine: what computes the steps: ``torch``, or ``fused`` where an agent with kernels sets ``fused``.
        fused: the compiled engine over the same memory; None where torch computes.
        frozen: it acts, and learns no more; see ``freeze``.
        in_episode: ``start`` was called and ``end`` was not; of one lifetime.
        n_observed: numbers in an observation; None of an agent that does not say: they are not counted.
        built_from: settings, spaces and seeds, of an agent that ``tracerl.make_agent`` or a run made.
    """

    memory: PackedState
    fault: Tensor
    engine = "torch"
    fused: "FusedEngine | None" = None
    frozen = False
    in_episode = False
    n_observed: int | None = None
    built_from: Origin | None = None

    def _pack(self, lifetimes: Lifetimes) -> None:
        """Gather every buffer in one memory; the last thing that an agent's construction does."""
        self.lifetimes = lifetimes
        self.register_buffer("fault", lifetimes.zeros(dtype=torch.int64))
        self.inputs = InputCheck(len(lifetimes.seeds))
        self._continues = {ended: lifetimes.full(0.0 if ended else 1.0) for ended in (False, True)}
        self.memory = PackedState(self, lifetimes)

    @property
    def lives(self) -> Lifetimes:
        """``lifetimes`` by its previous name."""
        warnings.warn("an agent's lives is now lifetimes", DeprecationWarning, stacklevel=2)
        return self.lifetimes

    @property
    def faults(self) -> Array:
        """The faults of the lifetimes: int64, [*lifetimes]; on the CPU a view of the memory."""
        found: Array = self.fault.cpu().numpy()
        return found

    def _sound(self, number: Tensor) -> bool:
        """Note which lifetimes' number, [*lifetimes], is not finite; false where none is finite."""
        if number.dim() == 0 and math.isfinite(number.item()):  # half the time, and most lifetimes are one
            return True
        finite = torch.isfinite(number)
        self.fault.bitwise_or_(~finite)
        return bool(finite.any())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "OnlineAgent":
        """Refuse to be moved: views and kernels would go on looking at the old memory."""
        raise RuntimeError("an agent cannot be moved: build it with Lifetimes(seed, dtype, device) where it shall live")

    def _begin(self, observation: Tensor) -> Tensor:
        """See the first observation of an episode.

        Args:
            observation: float64, [*lifetimes, n].

        Returns:
            What ``_act`` needs, [*lifetimes, m].
        """
        raise NotImplementedError

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Learn from one transition.

        Args:
            reward: float64, [*lifetimes].
            observation: what the last action led to, float64, [*lifetimes, n].
            continues: 0 where the episode terminated, 1 elsewhere, [*lifetimes].

        Returns:
            What ``_act`` needs, [*lifetimes, m].
        """
        raise NotImplementedError

    def _act(self, seen: Tensor) -> None:
        """Choose an action and keep it in a buffer."""
        raise NotImplementedError

    def _rules(self) -> Sequence[StepRule]:
        """Return the step-size rules, which may hold what belongs to lifetimes outside the memory."""
        return ()

    def _learned(self) -> list[Tensor]:
        """Return what learning changes: the parameters, and what else an agent of its own kind learns."""
        return [parameter.detach() for parameter in self.parameters()]

    @torch.inference_mode()
    def freeze(self) -> None:
        """Act, and learn no more: what has been learned stays bit-identical until ``unfreeze``.

        Membranes, the running scales of observations and rewards, and what the agent expects (value, td error) go on.
        What only serves learning does not: the averages that step sizes rest on stay as they are, eligibility traces
        and derivatives are set to zero and stay there. The switch is no part of the agent's state.
        """
        self._kept = [tensor.clone() for tensor in self._learned()]
        self._tracked = [
            tensor
            for module in self.modules()
            if isinstance(module, StateModule)
            for name in module.tracked
            if (tensor := getattr(module, name)) is not None
        ]
        self._forget()
        self._switch(frozen=True)

    def unfreeze(self) -> None:
        """Learn on after ``freeze``, with the step sizes it had: credit goes to what the agent does from now on."""
        self._switch(frozen=False)

    def act_greedily(self, greedy: bool = True) -> None:
        """Take the likeliest action from now on, in place of a sample; of continuous ones the mean.

        Args:
            greedy: False: sample again.

        Raises:
            ValueError: the agent has no distribution over actions.
        """
        head = getattr(self, "head", None)
        if head is None:
            name = type(self).__name__
            raise ValueError(f"only an agent with a distribution over actions can act greedily, got {name}")
        head.greedy = checks.flag("greedy", greedy)
        self._switch(self.frozen)

    def _switch(self, frozen: bool) -> None:
        """Take up whether the agent is frozen, after its head took up whether it is greedy."""
        self.frozen = frozen
        for rule in self._rules():
            rule.frozen = frozen
        if self.fused is not None:
            self.fused.switch(frozen, getattr(getattr(self, "head", None), "greedy", False))

    def _forget(self) -> None:
        """Set to zero what an agent tracks in order to learn."""
        for tensor in self._tracked:
            tensor.zero_()

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of spiking neurons by name; see ``tracerl.nn.views.Visible``."""
        return {}

    def diagnostics(self) -> dict[str, float]:
        """Return how many transitions were left out, where the agent skips them; see ``Agent.diagnostics``."""
        return {"learn/skipped": float(self.skipped.sum())} if self.on_nonfinite == "skip" else {}

    def outlook(self) -> PolicyOutputs:
        """Return what the agent makes of where it is; see ``tracerl.nn.views.Visible``."""
        head = getattr(self, "head", None)
        of_head = {name: getattr(head, name, None) for name in ("probabilities", "mean", "std")}
        return PolicyOutputs(**of_head, value=getattr(self, "value", None), td_error=getattr(self, "signal", None))

    def _take_in(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Learn from one transition, unless the agent is frozen; see ``_learn``."""
        seen = self._learn(reward, observation, continues)
        if self.frozen:
            for tensor, kept in zip(self._learned(), self._kept, strict=True):
                tensor.copy_(kept)
        return seen

    def _foreign_state(self) -> list[Tensor]:
        """Return what belongs to lifetimes outside the memory, each [*lifetimes, ...]."""
        return [state for rule in self._rules() for state in rule.foreign_state()]

    def _capture_foreign(self) -> dict[str, Tensor]:
        found = enumerate(self._rules())
        return {f"{i}.{name}": tensor for i, rule in found for name, tensor in rule.capture_foreign().items()}

    def _restore_foreign(self, state: Mapping[str, Tensor]) -> None:
        for i, rule in enumerate(self._rules()):
            start = f"{i}."
            own = {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
            rule.restore_foreign(own)

    def _carry_out(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        """Carry out a step type for the only lifetime; see ``CheckedAgent``."""
        if self.fused is not None:
            return self.fused.advance_one(step_type, reward, observation)
        return self._carry_out_in_torch(step_type, reward, observation)

    def _advance(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Carry out one step type for each of many lifetimes; see ``CheckedAgent``."""
        if self.fused is not None:
            return self.fused.advance(step_types, rewards, observations)
        return self._advance_in_torch(step_types, rewards, observations)

    @torch.inference_mode()
    def _carry_out_in_torch(self, step_type: int, reward: float, observation: Observation) -> Action | None:
        seen = self._tensor(observation)
        if self.fault.item() or not (math.isfinite(reward) and bool(torch.isfinite(seen).all())):
            return None
        if step_type == START:
            seen = self._begin(seen)
        else:
            seen = self._take_in(self._scalar(reward), seen, self._continues[step_type == TERMINATED])
        if step_type <= STEP and not self.fault.item():
            self._act(seen)
            if self.frozen:
                self._forget()
        elif step_type > STEP:
            self._clear(None)
        return None if self.fault.item() else self._chosen()

    @torch.inference_mode()
    def _advance_in_torch(self, step_types: Array, rewards: Array, observations: Observation) -> Array | None:
        """Let those that arrived learn, those that began begin, those that go on act."""
        alive = step_types != StepType.SKIP
        if (self.faults[alive] != 0).any():
            return None
        if not (finite(rewards) and finite(observations)) and not_finite(step_types, rewards, observations).any():
            return None
        observation, starting, ended = (
            self._tensor(observations),
            step_types == StepType.FIRST,
            step_types >= StepType.TERMINATED,
        )
        learning, seen = step_types >= StepType.MID, None
        if learning.any():
            continues = self._scalar(step_types != StepType.TERMINATED).to(self.lifetimes.dtype)
            with self.memory.only(learning, self._foreign_state()):
                seen = self._take_in(self._scalar(rewards), observation, continues)
        if ended.any():
            self._clear(self._mask(ended))
        if starting.any():
            with self.memory.only(starting):
                first = self._begin(observation)
            mask = self._mask(starting)
            seen = first if seen is None else torch.where(mask.reshape(-1, *[1] * (first.dim() - 1)), first, seen)
        acting = starting | ((step_types == StepType.MID) & (self.faults == 0))
        if seen is not None and acting.any():
            with self.memory.only(acting):
                self._act(seen)
                if self.frozen:
                    self._forget()
        return None if (self.faults[alive] != 0).any() else self._chosen()

    def capture(self) -> dict[str, Tensor]:
        """Return everything the agent remembers; see ``Stateful.capture``."""
        foreign = {f"{_FOREIGN}{name}": tensor for name, tensor in self._capture_foreign().items()}
        return dict(state_tensors(self)) | foreign

    @torch.inference_mode()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the agent that ``capture`` was called of; see ``Stateful.restore``."""
        foreign = {name: tensor for name, tensor in state.items() if name.startswith(_FOREIGN)}
        load_state(self, {name: tensor for name, tensor in state.items() if name not in foreign})
        self._restore_foreign({name.removeprefix(_FOREIGN): tensor for name, tensor in foreign.items()})
        if self.frozen:
            self.freeze()
        self.in_episode = True  # a state does not say, and is mostly of an episode

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Take in a state, which may be of an episode; see ``nn.Module.load_state_dict``."""
        self.in_episode = True
        return super().load_state_dict(*arguments, **options)

    def save(self, path: str | Path) -> None:
        """Write settings, spaces and state to one file, between two steps; ``tracerl.load_agent`` reads it.

        Args:
            path: of the file; one that is there is replaced when the new one is on the disk.

        Raises:
            ConfigError: the agent was built by its class, so that its settings are not known.
            OSError: the disk is full, read-only or gone; the file is as it was.
        """
        origin_of(self).write(self, path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the contents of the agent's file: pickle would write a shared memory once for each of its views."""
        reduced: tuple[Any, ...] = origin_of(self).reduce(self)
        return reduced

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnlineAgent":
        """Copy the agent with a memory of its own, of which its tensors are views."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(deepcopy(self.__dict__, memo))  # type: ignore[no-untyped-call]
        return copied

    @torch.inference_mode()
    def abandon(self) -> None:
        """Clear what belongs to the running episodes; see ``Stateful.abandon``."""
        self._clear(None)
        self.in_episode = False

    def _mask(self, mask: Array) -> Tensor:
        return torch.from_numpy(mask).to(self.lifetimes.device)

    def _scalar(self, value: Any) -> Tensor:
        """Return a number per lifetime: float64, [*lifetimes]."""
        return torch.as_tensor(value, dtype=torch.float64, device=self.lifetimes.device)

    def _tensor(self, observation: Observation) -> Tensor:
        """Return the observation flattened: float64, [*lifetimes, n]."""
        size = None if self.n_observed is None else self.n_observed * len(self.lifetimes.seeds)
        try:
            tensor = torch.as_tensor(observation, dtype=torch.float64, device=self.lifetimes.device)
        except (TypeError, ValueError, RuntimeError):
            tensor = torch.empty(0)
        if size is not None and tensor.numel() != size:
            tensor = torch.as_tensor(as_numbers(observation, size), device=self.lifetimes.device)
        return tensor.reshape(*self.lifetimes.shape, -1)
