"""What there is to see of an agent between two steps: spikes, membranes, what it expects and what it is about to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@runtime_checkable
class SpikingNeurons(Protocol):
    """A layer whose neurons can be looked at; all that follow are [*lives, n]."""

    spikes: Tensor
    membrane: Tensor
    rate: Tensor


@dataclass(frozen=True)
class Outlook:
    """What an agent makes of where it is; None of what it does not compute.

    Attributes:
        probabilities: of the actions, or of each action component's values side by side, [*lives, n].
        mean: of continuous actions, in the units of the head, [*lives, n].
        std: their standard deviation, [*lives, n].
        value: V of the newest observation, [*lives].
        td_error: the signal that the last transition was multiplied by, [*lives].
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

    def outlook(self) -> Outlook:
        """Return what the agent makes of where it is."""
        ...


@dataclass(frozen=True)
class LayerView:
    """One layer of one life, after the last tick of the newest env step.

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
    """One life of an agent; arrays are copies, float64. None of what the agent does not compute.

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


def view(agent: Any, life: int = 0) -> View:
    """Look into one life of an agent, whichever engine computes it; nothing of it changes.

    Args:
        agent: of one life or of many; one that is not ``Visible`` shows nothing.
        life: number among the agent's lives.
    """
    agents = getattr(agent, "agents", None)  # one agent per life
    if agents is not None:
        return view(agents[life])
    if not isinstance(agent, Visible):
        return View((), None, None, None, None, None)
    many = bool(agent.lives.shape)  # type: ignore[attr-defined]

    def seen(tensor: Tensor | None) -> Numbers | None:
        if tensor is None:
            return None
        found: Numbers = (tensor[life] if many else tensor).detach().double().cpu().numpy().copy()
        return found

    outlook = agent.outlook()
    value, td_error = seen(outlook.value), seen(outlook.td_error)
    return View(
        [_layer(name, neurons, seen) for name, neurons in agent.spiking_layers().items()],
        seen(outlook.probabilities),
        seen(outlook.mean),
        seen(outlook.std),
        None if value is None else float(value),
        None if td_error is None else float(td_error),
    )


def _layer(name: str, neurons: SpikingNeurons, seen: Any) -> LayerView:
    threshold = getattr(getattr(neurons, "threshold", None), "value", None)
    spikes = seen(neurons.spikes)
    theta = np.full(spikes.shape, np.nan) if threshold is None else np.broadcast_to(seen(threshold), spikes.shape)
    return LayerView(name, spikes, seen(neurons.membrane), theta, seen(neurons.rate))
