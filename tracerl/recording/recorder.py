"""Record the newest env steps of one lifetime as arrays, in constant memory."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.lifetime.loop import Step
from tracerl.nn.views import LayerView, Numbers, View


class LayerRecording(LayerView):
    """One layer over the recorded steps. All arrays are [steps, n] except the rate at the last step, [n]."""

    def busiest_first(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the neurons by their rate, highest first, [n]: the order of rows from the top in every picture."""
        return np.argsort(-self.rate, kind="stable")


@dataclass(frozen=True)
class Recording:
    """The recorded steps, oldest first. Fields are None if the agent has no such output or no step was given."""

    layers: list[LayerRecording]  # layers with spiking neurons
    probabilities: Numbers | None  # probabilities of the actions, [steps, n]
    mean: Numbers | None  # mean of continuous actions, [steps, n]
    std: Numbers | None  # standard deviation of continuous actions, [steps, n]
    value: Numbers | None  # value of the newest observation, [steps]
    td_error: Numbers | None  # td error of the transition, [steps]
    reward: Numbers | None  # reward of the step, [steps]
    ended: np.ndarray[Any, np.dtype[np.bool_]] | None  # whether an episode ended with the step, bool, [steps]

    def __len__(self) -> int:
        arrays = [layer.spikes for layer in self.layers]
        arrays += [a for a in (self.probabilities, self.mean, self.value, self.td_error, self.reward) if a is not None]
        return len(arrays[0]) if arrays else 0


class Recorder:
    """A buffer of the views of the newest ``length`` env steps."""

    def __init__(self, length: int) -> None:
        self.length = checks.whole("length", length, 1)
        self._views: deque[tuple[View, Step | None]] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._views)

    def add(self, seen: View, step: Step | None = None) -> None:
        """Add a view of the agent and, if given, the env step before it."""
        self._views.append((seen, step))

    def replace_newest(self, seen: View) -> None:
        """Replace the newest view of the agent, of the same env step."""
        self._views[-1] = (seen, self._views[-1][1])

    def clear(self) -> None:
        """Remove all views."""
        self._views.clear()

    def capture(self) -> dict[str, Numbers]:
        """Return the views as arrays by name, for ``restore``. The env steps are left out."""
        found = self.recording()
        outputs = {name: array for name in _OUTPUTS if (array := getattr(found, name)) is not None}
        views = [seen for seen, _ in self._views]
        for i, layer in enumerate(found.layers):
            rate = np.array([seen.layers[i].rate for seen in views])
            parts = {**{part: getattr(layer, part) for part in _OVER_STEPS}, "rate": rate}
            outputs |= {f"{i}.{layer.name}.{part}": array for part, array in parts.items()}
        return outputs

    def restore(self, state: Mapping[str, Numbers]) -> None:
        """Replace the views by those of ``capture``."""
        numbered = {name.rpartition(".")[0] for name in state if "." in name}
        layers = sorted(numbered, key=lambda layer: int(layer.partition(".")[0]))
        self.clear()
        for row in range(len(next(iter(state.values()), ()))):
            seen = {name: state[name][row] for name in state}
            outputs: list[Any] = [seen.get(name) for name in _OUTPUTS]
            parts = [[seen[f"{layer}.{part}"] for part in (*_OVER_STEPS, "rate")] for layer in layers]
            names = [layer.partition(".")[2] for layer in layers]
            self.add(View([LayerView(name, *part) for name, part in zip(names, parts, strict=True)], *outputs))

    def recording(self) -> Recording:
        """Return the views as new arrays.

        Raises:
            ValueError: there are none.
        """
        if not self._views:
            raise ValueError("nothing was recorded: add a view first")
        views = [seen for seen, _ in self._views]
        steps = [step for _, step in self._views if step is not None]
        whole = len(steps) == len(views)
        return Recording(
            layers=[_layer(views, i) for i in range(len(views[0].layers))],
            **{name: _series(views, name) for name in _OUTPUTS},
            reward=np.array([step.reward for step in steps]) if whole else None,
            ended=np.array([step.last for step in steps]) if whole else None,
        )


def _series(views: list[View], name: str) -> Numbers | None:
    """Return a field of the views over the steps, [steps] or [steps, n]."""
    found = [getattr(seen, name) for seen in views]
    return None if found[0] is None else np.array(found)


def _layer(views: list[View], i: int) -> LayerRecording:
    layers = [seen.layers[i] for seen in views]
    over_steps = {name: np.array([getattr(layer, name) for layer in layers]) for name in _OVER_STEPS}
    return LayerRecording(layers[-1].name, **over_steps, rate=layers[-1].rate, shape=layers[-1].shape)


_OVER_STEPS = ("spikes", "membrane", "threshold")
_OUTPUTS = ("probabilities", "mean", "std", "value", "td_error")
