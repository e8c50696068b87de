"""What there is to see of an agent between two steps: spikes, membranes, what it expects and what it is about to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from tracerl.config.moved import keep_names

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@runtime_checkable
class SpikingNeurons(Protocol):
    """A layer whose neurons can be looked at; all that follow are [*lifetimes, n]."""

    spikes: Tensor
    membrane: Tensor
    rate: Tensor


@dataclass(frozen=True)
class PolicyOutputs:
    """What an agent makes of where it is; None of what it does not compute.

    Attributes:
        probabilities: of the actions, or of each action component's values side by side, [*lifetimes, n].
        mean: of continuous actions, in the units of the head, [*lifetimes, n].
        std: their standard deviation, [*lifetimes, n].
        value: V of the newest observation, [*lifetimes].
        td_error: the signal that the last transition was multiplied by, [*lifetimes].
    """

    probabilities: Tensor | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    value: Tensor | None = None
    td_error: Tensor | None = None


@runtime_checkable
class Visible(Protocol):
    """An agent that can be looked into."""

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of spiking neurons, by the names that their TensorBoard tags carry: ``policy_0``."""
        ...

    def outlook(self) -> PolicyOutputs:
        """Return what the agent makes of where it is."""
        ...


@runtime_checkable
class Distributed(Protocol):
    """An agent with numbers of which it is worth knowing how they are distributed."""

    def distributions(self) -> dict[str, Tensor]:
        """Return them by TensorBoard tag, such as ``weights/policy_0``, each [*lifetimes, ...]; they may share
        memory."""
        ...


@dataclass(frozen=True)
class LayerView:
    """One layer of one lifetime, after the last tick of the newest env step.

    Attributes:
        name: such as ``policy_0``.
        spikes: 0 or 1, [n].
        membrane: in units of the threshold's scale, [n].
        threshold: theta, [n]; NaN where the layer keeps none to look at.
        rate: spikes per tick, over about 1,000 ticks, [n].
    """

    name: str
    spikes: Numbers
    membrane: Numbers
    threshold: Numbers
    rate: Numbers


@dataclass(frozen=True)
class View:
    """One lifetime of an agent; arrays are copies, float64. None of what the agent does not compute.

    Attributes:
        layers: those with spiking neurons, none of an agent without any.
        probabilities: of the actions, [n].
        mean: of continuous actions, [n].
        std: their standard deviation, [n].
        value: V of the newest observation.
        td_error: the signal of the last transition.
    """

    layers: Sequence[LayerView]
    probabilities: Numbers | None
    mean: Numbers | None
    std: Numbers | None
    value: float | None
    td_error: float | None


Found = Callable[[Tensor], Numbers]  # from a tensor, [*lifetimes, ...], to what belongs to one lifetime, not copied


class Viewer:
    """Looks into one lifetime of an agent, whichever engine computes it, as often as it is called; nothing of it
    changes.

    An agent that keeps its tensors in one memory (``tracerl.nn.packed_state``) is asked for them once, which makes
    every further look ten times cheaper.
    """

    def __init__(self, agent: Any, lifetime: int = 0) -> None:
        """Choose a lifetime.

        Args:
            agent: of one lifetime or of many; one that is not ``Visible`` shows nothing.
            lifetime: number among the agent's lifetimes.
        """
        agents = getattr(agent, "agents", None)  # one agent per lifetime
        self._agent, self._lifetime = (agent, lifetime) if agents is None else (agents[lifetime], 0)
        self._visible = isinstance(self._agent, Visible)
        self._kept: _Glimpse | None = None

    def __call__(self) -> View:
        """Look."""
        if not self._visible:
            return View((), None, None, None, None, None)
        return (self._kept or self._glimpse()).view()

    def _glimpse(self) -> "_Glimpse":
        """Find the arrays to look at, and keep them where they stay what they are."""
        agent, lifetime = self._agent, self._lifetime
        many, own, steady = bool(agent.lifetimes.shape), _memory(agent), True

        def found(tensor: Tensor) -> Numbers:
            nonlocal steady
            steady = steady and tensor.untyped_storage().data_ptr() in own
            numbers: Numbers = (tensor[lifetime] if many else tensor).detach().cpu().numpy()
            return numbers

        outlook = agent.outlook()
        layers = [_layer(name, neurons, found) for name, neurons in agent.spiking_layers().items()]
        numbers = {name: found(number) for name in _OUTLOOK if (number := getattr(outlook, name)) is not None}
        glimpse = _Glimpse(layers, numbers)
        self._kept = glimpse if steady else None
        return glimpse


def view(agent: Any, lifetime: int = 0) -> View:
    """Look into one lifetime of an agent once; see ``Viewer``."""
    return Viewer(agent, lifetime)()


def distributions(agent: Any) -> dict[str, Numbers]:
    """Return the numbers of all lifetimes of an agent by tag, each flat, [n]; nothing of one that is not
    ``Distributed``.

    They may share the agent's memory: copy what shall stay as it is.
    """
    agents = getattr(agent, "agents", None)
    if agents is not None:
        each = [distributions(one) for one in agents]
        return {tag: np.concatenate([found[tag] for found in each]) for tag in each[0]}
    if not isinstance(agent, Distributed):
        return {}
    return {tag: tensor.detach().reshape(-1).cpu().numpy() for tag, tensor in agent.distributions().items()}


def changing(agent: Any) -> dict[str, Numbers]:
    """Return ``distributions`` without the decays and thresholds that the agent does not learn."""
    one = getattr(agent, "agents", [agent])[0]
    parts = one.modules() if isinstance(one, nn.Module) else ()
    fixed = {id(part.value) for part in parts if getattr(part, "learned", None) is False}
    there = one.distributions() if isinstance(one, Distributed) else {}
    return {tag: values for tag, values in distributions(agent).items() if id(there[tag]) not in fixed}


def constants(agent: Any) -> dict[str, Numbers]:
    """Return the decays and thresholds of all lifetimes of an agent, copied, by tag, each [n]."""
    groups = ("decays/", "thresholds/")
    return {tag: values.copy() for tag, values in distributions(agent).items() if tag.startswith(groups)}


_OUTLOOK = ("probabilities", "mean", "std", "value", "td_error")


@dataclass(frozen=True)
class _Glimpse:
    """Arrays of one lifetime that may share the agent's memory: of its layers, and of its outlook by name."""

    layers: Sequence[LayerView]
    outlook: Mapping[str, Numbers]

    def view(self) -> View:
        """Copy them."""
        copies = {name: float(array) if array.ndim == 0 else _copy(array) for name, array in self.outlook.items()}
        return View([_copied(layer) for layer in self.layers], *[copies.get(name) for name in _OUTLOOK])  # type: ignore[arg-type]


def _copy(array: Numbers) -> Numbers:
    return np.array(array, np.float64)


def _copied(layer: LayerView) -> LayerView:
    copies = _copy(layer.spikes), _copy(layer.membrane), _copy(layer.threshold), _copy(layer.rate)
    return LayerView(layer.name, *copies)


def _layer(name: str, neurons: SpikingNeurons, found: Found) -> LayerView:
    threshold = getattr(getattr(neurons, "threshold", None), "value", None)
    spikes = found(neurons.spikes)
    theta = np.array(np.nan) if threshold is None else found(threshold)
    return LayerView(name, spikes, found(neurons.membrane), np.broadcast_to(theta, spikes.shape), found(neurons.rate))


def _memory(agent: Any) -> set[int]:
    """Return where the memory of an agent lies that it never leaves; empty of one without such, or on a device."""
    arena = getattr(agent, "memory", None)
    tensors = [getattr(arena, name, None) for name in ("real", "wide")]
    return {t.untyped_storage().data_ptr() for t in tensors if isinstance(t, Tensor) and t.device.type == "cpu"}


keep_names(globals(), Outlook="PolicyOutputs")
