"""A window of one lifetime, as arrays: views of an agent at each of the newest env steps, in constant memory."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.lifetime.loop import Step
from tracerl.nn.views import LayerView, Numbers, View


class LayerRecording(LayerView):
    """One layer over the recorded steps: all are [steps, n] but the rate, which is of the last step, [n]."""


@dataclass(frozen=True)
class Recording:
    """The recorded steps, oldest first; None of what the agent does not compute or nobody handed in."""

    layers: list[LayerRecording]  # those with spiking neurons
    probabilities: Numbers | None  # of the actions, [steps, n]
    mean: Numbers | None  # of continuous actions, [steps, n]
    std: Numbers | None  # their standard deviation, [steps, n]
    value: Numbers | None  # V of the newest observation, [steps]
    td_error: Numbers | None  # the signal of the step's transition, [steps]
    reward: Numbers | None  # that the step was paid, [steps]
    ended: np.ndarray[Any, np.dtype[np.bool_]] | None  # whether an episode ended with the step, bool, [steps]

    def __len__(self) -> int:
        arrays = [layer.spikes for layer in self.layers]
        arrays += [a for a in (self.probabilities, self.mean, self.value, self.td_error, self.reward) if a is not None]
        return len(arrays[0]) if arrays else 0


class Recorder:
    """Keeps the views of the newest steps, up to ``length``."""

    def __init__(self, length: int) -> None:
        self.length = checks.whole("length", length, 1)
        self._seen: deque[tuple[View, Step | None]] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, seen: View, step: Step | None = None) -> None:
        """Keep a view of the agent and, where it is at hand, the env step that led there."""
        self._seen.append((seen, step))

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()

    def capture(self) -> dict[str, Numbers]:
        """Return the views that are kept, as arrays by name, for ``restore``; the env steps are left out."""
        found = self.recording()
        outlook = {name: array for name in _OUTLOOK if (array := getattr(found, name)) is not None}
        views = [seen for seen, _ in self._seen]
        for i, layer in enumerate(found.layers):
            rate = np.array([seen.layers[i].rate for seen in views])
            parts = {**{part: getattr(layer, part) for part in _OVER_STEPS}, "rate": rate}
            outlook |= {f"{i}.{layer.name}.{part}": array for part, array in parts.items()}
        return outlook

    def restore(self, state: Mapping[str, Numbers]) -> None:
        """Keep the views, and no others, that ``capture`` returned."""
        layers = sorted(
            {name.rpartition(".")[0] for name in state if "." in name}, key=lambda layer: int(layer.partition(".")[0])
        )
        self.clear()
        for row in range(len(next(iter(state.values()), ()))):
            seen = {name: state[name][row] for name in state}
            outlook: list[Any] = [seen.get(name) for name in _OUTLOOK]
            parts = [[seen[f"{layer}.{part}"] for part in (*_OVER_STEPS, "rate")] for layer in layers]
            names = [layer.partition(".")[2] for layer in layers]
            self.add(View([LayerView(name, *part) for name, part in zip(names, parts, strict=True)], *outlook))

    def recording(self) -> Recording:
        """Return what is kept, as arrays of its own."""
        if not self._seen:
            raise ValueError("nothing was recorded: add a view first")
        views = [seen for seen, _ in self._seen]
        steps = [step for _, step in self._seen if step is not None]
        whole = len(steps) == len(views)
        return Recording(
            layers=[_layer(views, i) for i in range(len(views[0].layers))],
            **{name: _series(views, name) for name in _OUTLOOK},
            reward=np.array([step.reward for step in steps]) if whole else None,
            ended=np.array([step.last for step in steps]) if whole else None,
        )


def _series(views: list[View], name: str) -> Numbers | None:
    """Return one of the views' numbers over the steps: [steps] or [steps, n]."""
    found = [getattr(seen, name) for seen in views]
    return None if found[0] is None else np.array(found)


def _layer(views: list[View], i: int) -> LayerRecording:
    layers = [seen.layers[i] for seen in views]
    over_steps = {name: np.array([getattr(layer, name) for layer in layers]) for name in _OVER_STEPS}
    return LayerRecording(layers[-1].name, **over_steps, rate=layers[-1].rate)


_OVER_STEPS = ("spikes", "membrane", "threshold")
_OUTLOOK = ("probabilities", "mean", "std", "value", "td_error")
