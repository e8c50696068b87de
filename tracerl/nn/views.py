"""Views of an agent between two steps: spikes, membranes, value and policy outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from torch import Tensor, nn

from tracerl.config.moved import current_method, keep_names

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@runtime_checkable
class SpikingNeurons(Protocol):
    """A layer whose neurons can be observed; all tensors are [*lifetimes, n]."""

    spikes: Tensor
    membrane: Tensor
    rate: Tensor


@dataclass(frozen=True)
class PolicyOutputs:
    """The policy outputs, value and td error at the newest step; None for quantities the agent does not compute."""

    # of the actions, or of the values of all action components, concatenated, [*lifetimes, n]
    probabilities: Tensor | None = None
    mean: Tensor | None = None  # of continuous actions, in the units of the head, [*lifetimes, n]
    std: Tensor | None = None  # their standard deviation, [*lifetimes, n]
    value: Tensor | None = None  # V of the newest observation, [*lifetimes]
    td_error: Tensor | None = None  # signal of the last transition, [*lifetimes]


@runtime_checkable
class Visible(Protocol):
    """An agent whose spikes and policy outputs can be observed."""

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the layers of spiking neurons by the name in their TensorBoard tags, such as ``policy_0``."""

    def policy_outputs(self) -> PolicyOutputs:
        """Return the policy outputs at the newest observation."""


@runtime_checkable
class _PreviousVisible(Protocol):
    """``Visible`` with the previous name of ``policy_outputs``."""

    def spiking_layers(self) -> dict[str, SpikingNeurons]: ...
    def outlook(self) -> PolicyOutputs: ...


def is_visible(agent: object) -> TypeGuard[Visible]:
    """Return whether an agent has the methods of ``Visible``, with ``outlook`` as ``policy_outputs`` if need be."""
    return isinstance(agent, (Visible, _PreviousVisible))


@runtime_checkable
class Distributed(Protocol):
    """An agent whose parameters and traces can be logged as distributions."""

    def distributions(self) -> dict[str, Tensor]:
        """Return them by TensorBoard tag, such as ``weights/policy_0``, each [*lifetimes, ...].

        The tensors may share storage.
        """


@dataclass(frozen=True)
class LayerView:
    """One layer of one lifetime, after the last tick of the newest env step.

    Attributes:
        name: such as ``policy_0``.
        spikes: 0 or 1, of ternary neurons also -1, [n].
        membrane: in units of the threshold's scale, [n].
        threshold: theta and its rise by ``network.rate_target``, [n]; NaN where the layer has none.
        rate: spikes per tick, over about 1,000 ticks, [n].
        shape: channels, height and width of neurons that lie on an image, row-major; None: of other neurons.
    """

    name: str
    spikes: Numbers
    membrane: Numbers
    threshold: Numbers
    rate: Numbers
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class View:
    """One lifetime of an agent; arrays are copies, float64. None for quantities the agent does not compute.

    Attributes:
        layers: the layers of spiking neurons; empty for an agent without any.
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


# The layers of one lifetime, and its policy outputs by name. The arrays may share storage with the agent.
_Arrays = tuple[Sequence[LayerView], Mapping[str, Numbers]]
Found = Callable[[Tensor], Numbers]  # from a tensor, [*lifetimes, ...], to the slice of one lifetime, not copied


class Viewer:
    """A callable that returns a ``View`` of one lifetime of an agent, for either engine, without changing the agent.

    For an agent with packed state (``tracerl.nn.packed_state``) the arrays are looked up once, which makes every
    further call ten times faster.
    """

    def __init__(self, agent: Any, lifetime: int = 0) -> None:
        """Choose a lifetime. The view of an agent that is not ``Visible`` is empty."""
        agents = getattr(agent, "agents", None)  # one agent per lifetime
        self._agent, self._lifetime = (agent, lifetime) if agents is None else (agents[lifetime], 0)
        self._visible = is_visible(self._agent)
        self._kept: _Arrays | None = None

    def __call__(self) -> View:
        """Return the view at the present step."""
        if not self._visible:
            return View((), None, None, None, None, None)
        return _copied(*(self._kept or self._look_up()))

    def _look_up(self) -> _Arrays:
        """Look up the arrays of the view, and keep them where their storage never changes."""
        agent, lifetime = self._agent, self._lifetime
        many, own, steady = bool(agent.lifetimes.shape), _packed_storage(agent), True

        def found(tensor: Tensor) -> Numbers:
            nonlocal steady
            steady = steady and tensor.untyped_storage().data_ptr() in own
            numbers: Numbers = (tensor[lifetime] if many else tensor).detach().cpu().numpy()
            return numbers

        outputs: PolicyOutputs = current_method(agent, "policy_outputs", "outlook")()
        neurons = agent.spiking_layers()
        layers = [_layer(name, each, found) for name, each in neurons.items()]
        steady = steady and all(getattr(each, "threshold_rise", None) is None for each in neurons.values())
        numbers = {name: found(number) for name in _OUTPUTS if (number := getattr(outputs, name)) is not None}
        self._kept = (layers, numbers) if steady else None
        return layers, numbers


def view(agent: Any, lifetime: int = 0) -> View:
    """Return a view of one lifetime of an agent; see ``Viewer``."""
    return Viewer(agent, lifetime)()


def distributions(agent: Any) -> dict[str, Numbers]:
    """Return the numbers of all lifetimes of an agent by tag, each flat, [n].

    The mapping is empty for an agent that is not ``Distributed``. The arrays may share storage with the agent: copy
    those that must not change.
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


_NUMBERS = ("spikes", "membrane", "threshold", "rate")
_OUTPUTS = ("probabilities", "mean", "std", "value", "td_error")


def _copied(layers: Sequence[LayerView], outputs: Mapping[str, Numbers]) -> View:
    """Return a view with copies of the arrays."""

    def copied(layer: LayerView) -> LayerView:
        numbers = {name: np.array(getattr(layer, name), np.float64) for name in _NUMBERS}
        return LayerView(layer.name, **numbers, shape=layer.shape)

    copies = {name: np.array(array, np.float64) if array.ndim else float(array) for name, array in outputs.items()}
    return View([copied(layer) for layer in layers], *[copies.get(name) for name in _OUTPUTS])  # type: ignore[arg-type]


def _layer(name: str, neurons: SpikingNeurons, found: Found) -> LayerView:
    threshold = getattr(getattr(neurons, "threshold", None), "value", None)
    spikes = found(neurons.spikes)
    theta, rise = np.array(np.nan) if threshold is None else found(threshold), getattr(neurons, "threshold_rise", None)
    theta = theta if rise is None else theta + found(rise)
    shape = getattr(getattr(neurons, "synapses", None), "out_shape", ())
    numbers = spikes, found(neurons.membrane), np.broadcast_to(theta, spikes.shape), found(neurons.rate)
    return LayerView(name, *numbers, tuple(shape) if len(shape) == 3 else None)


def _packed_storage(agent: Any) -> set[int]:
    """Return the addresses of an agent's packed state; empty for an agent without one or on another device."""
    state = getattr(agent, "memory", None)
    tensors = [getattr(state, name, None) for name in ("real", "wide")]
    return {t.untyped_storage().data_ptr() for t in tensors if isinstance(t, Tensor) and t.device.type == "cpu"}


keep_names(globals(), Outlook="PolicyOutputs")
