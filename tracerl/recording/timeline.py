"""Draw panels over consecutive env steps below each other, with titles, scales and ends of episodes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tracerl.recording import actions
from tracerl.recording import images as P
from tracerl.recording import panels as drawing
from tracerl.recording.images import Colour, Numbers, Picture
from tracerl.recording.panels import Axis, Scales, action_colours, charge, mixed
from tracerl.recording.recorder import LayerRecording, Recording

GUTTER = 40  # width left of the panels, for scales
_TITLE, _STRIP, _TICKS, _GAP = 17, 16, 18, 7  # heights of a title, the strip of episodes and the ticks; between panels
_TALLEST, _LEAST = 110, 20  # heights: largest extra height per share, and minimum of a panel
_USUAL = 25  # extra height per share in a picture that is as high as its panels
_MOST_SERIES = 6  # largest number of components of a continuous action
_ROOM = 12  # mean pixels per episode from which lines mark the ends of episodes
_BANDS = 3  # largest number of components with bands of their deviations


@dataclass(frozen=True)
class Panel:
    """The content of one panel."""

    title: str  # text at the left
    reading: str  # text at the right: the newest numbers
    ends: tuple[str, str]  # top and bottom of the scale
    share: float  # share of the height, relative to the other panels
    draw: Callable[[Axis, int], Picture]  # returns the picture for an axis and a height
    least: int = _LEAST  # minimum height
    of_transition: bool = False  # whether a column is of the transition before the spikes and outputs of that column


class Timeline:
    """The panels of a recording."""

    def __init__(self, space: Any) -> None:
        self._space, self._scales = space, Scales()
        self._orders: dict[str, Numbers] = {}  # order of the neurons of each layer, fixed at the first frame

    def draw(self, recording: Recording, last_step: int, episode: int, size: tuple[int, int], span: int) -> Picture:
        """Draw the panels below each other.

        Args:
            recording: recording of at most ``span`` steps.
            last_step: number of its last env step.
            episode: number of its last episode.
            size: width and height of the picture; a height of 0 is replaced by that of all panels.
            span: env steps from the left to the right end.
        """
        width, height = size
        axis, n = Axis(width - GUTTER, span), _steps(recording)
        fit = (height - _STRIP - _TICKS + _GAP) // (_TITLE + _GAP + _LEAST) - 1
        panels = self._panels(recording, fit if height else len(recording.layers) + 9)
        fixed = _STRIP + _TICKS - _GAP + sum(_TITLE + _GAP + panel.least for panel in panels)
        shares = sum(panel.share for panel in panels)
        height = height or fixed + round(_USUAL * shares)
        per_share, top = min(_TALLEST, (height - fixed) / shares), _STRIP
        image = Image.new("RGB", (width, height), P.BACKGROUND)
        pen = ImageDraw.Draw(image)
        begun = [] if recording.ended is None else np.flatnonzero(recording.ended).tolist()
        _strip(pen, axis, n, begun, episode)
        for panel in panels:
            tall = panel.least + int(panel.share * per_share)
            _draw_panel(image, pen, panel, axis, top, tall)
            for i in begun if len(begun) * _ROOM <= width else ():
                x = GUTTER + axis.left(i + panel.of_transition)
                pen.line([(x, top + _TITLE), (x, top + _TITLE + tall - 1)], fill=mixed(P.INK, P.PANEL, 0.75))
            top += _TITLE + tall + _GAP
        _ticks(pen, axis, top - _GAP, last_step - n + 1, n)
        return np.asarray(image).copy()

    def _panels(self, recording: Recording, fit: int) -> list[Panel]:
        """Return the panels with data, at most as many as fit. The last layers are left out first."""
        others = self._of_outputs(recording)
        shown = recording.layers[: max(1, fit - len(others) - 1)]
        if not shown:
            return others
        tallest = max(layer.spikes.shape[1] for layer in shown)
        traces = self._of_traces(_last_of_policy(shown))
        return [*(self._of_layer(layer, tallest) for layer in shown), traces, *others]

    def _of_outputs(self, recording: Recording) -> list[Panel]:
        """Return the panels of the policy outputs, value, td error and reward."""
        found = []
        if recording.probabilities is not None:
            found.append(self._of_probabilities(recording.probabilities))
        if recording.mean is not None and recording.std is not None:
            found.append(self._of_means(recording.mean, recording.std))
        if recording.value is not None:
            found.append(self._curve("value", recording.value, P.GREEN))
        if recording.td_error is not None:
            found.append(self._curve("td error", recording.td_error, P.RED, of_transition=True))
        elif recording.reward is not None:
            found.append(self._curve("reward", recording.reward, P.RED, 0.0, of_transition=True))
        return found

    def _order(self, layer: LayerRecording) -> Numbers:
        """Return the neurons of a layer by their rate at the first frame, highest first."""
        return self._orders.setdefault(layer.name, layer.busiest_first())

    def _of_layer(self, layer: LayerRecording, tallest: int) -> Panel:
        n, fired = layer.spikes.shape[1], np.count_nonzero(layer.spikes[-1])
        draw = partial(drawing.layer_panel, layer, self._order(layer), colour=layer_colour(layer.name))
        title, reading = f"{layer.name}: spikes over membranes", f"firing: {fired} of {n}"
        return Panel(title, reading, ("busy", "quiet"), 0.6 + 4.4 * n / tallest, draw)

    def _of_traces(self, layer: LayerRecording) -> Panel:
        """Return the panel of membranes of neurons with medium rates."""
        order = self._order(layer)
        among = layer.rate[order]
        middle = int((among > (among[0] + among[-1]) / 2).sum())
        start = min(max(0, middle - len(P.TRACES) // 2), max(0, len(order) - len(P.TRACES)))
        neurons = self._orders.setdefault(f"{layer.name} traces", order[start : start + len(P.TRACES)])
        ends = self._scales.ends("membrane", np.append(charge(layer)[:, neurons], 1.0))
        title, reading = f"{layer.name}: membranes of {len(neurons)}", "line: threshold, strokes: spikes"
        draw = partial(drawing.traces_panel, layer, neurons, ends=ends, colours=P.TRACES)
        return Panel(title, reading, _written(ends), 1.0, draw, 2 * _LEAST)

    def _curve(self, name: str, values: Any, colour: Colour, *shown: float, of_transition: bool = False) -> Panel:
        """Return the panel of a number over time, on a scale that includes the numbers in ``shown``."""
        ends = self._scales.ends(name, np.append(values, shown))
        draw = partial(drawing.curves_panel, [values], ends=ends, colours=[colour])
        return Panel(name, f"{values[-1]:.2f}", _written(ends), 1.0, draw, of_transition=of_transition)

    def _of_probabilities(self, shares: Any) -> Panel:
        title, n = "action probabilities", shares.shape[1]
        if actions.add_up(self._space) and not (shares.sum(-1) > 1.01).any():
            reading = f"most probable: {actions.labels(self._space, n)[int(shares[-1].argmax())]}"
            bands = partial(drawing.shares_panel, shares, colours=action_colours(n))
            return Panel(title, reading, ("1", "0"), 1.0, bands)

        def draw(axis: Axis, height: int) -> Picture:
            return P.shades(axis.filled(shares), 0.0, 1.0, axis.width, height)

        return Panel(title, f"{n} outputs, bright: 1", ("0", str(n - 1)), 1.0, draw)

    def _of_means(self, mean: Any, std: Any) -> Panel:
        shown = min(mean.shape[1], _MOST_SERIES)
        means, around, title = mean.T[:shown], (), f"action: means of {shown} of {mean.shape[1]} numbers"
        held = means
        if shown <= _BANDS:
            around, title = std.T[:shown], "action: mean and deviation"
            held = np.concatenate([means - around, means + around])
        ends = self._scales.ends("mean", held)
        draw = partial(drawing.curves_panel, means, ends=ends, colours=action_colours(shown), around=around)
        return Panel(title, "", _written(ends), 1.3, draw)


def _written(ends: tuple[float, float]) -> tuple[str, str]:
    """Return the top and bottom of a scale as text."""
    return f"{ends[1]:g}", f"{ends[0]:g}"


def layer_colour(name: str) -> Colour:
    """Return the colour of the spikes of a layer. The critic has the colour of the value."""
    return P.GREEN if name.startswith("value") else P.SPIKE


def _last_of_policy(layers: list[LayerRecording]) -> LayerRecording:
    return next((layer for layer in reversed(layers) if layer_colour(layer.name) != P.GREEN), layers[-1])


def _steps(recording: Recording) -> int:
    return len(recording) if recording.reward is None else len(recording.reward)


def _draw_panel(image: Image.Image, pen: ImageDraw.ImageDraw, panel: Panel, axis: Axis, top: int, tall: int) -> None:
    """Draw a panel with its title above and its scale at the left."""
    small, right = P.font(10), GUTTER + axis.width
    pen.text((GUTTER, top + _TITLE - 4), panel.title, fill=P.INK, font=P.font(11), anchor="ls")
    if P.font(11).getlength(f"{panel.title}  {panel.reading}") <= axis.width:
        pen.text((right, top + _TITLE - 4), panel.reading, fill=P.QUIET, font=P.font(11), anchor="rs")
    image.paste(Image.fromarray(panel.draw(axis, tall)), (GUTTER, top + _TITLE))
    pen.text((GUTTER - 5, top + _TITLE - 1), panel.ends[0], fill=P.QUIET, font=small, anchor="rt")
    pen.text((GUTTER - 5, top + _TITLE + tall), panel.ends[1], fill=P.QUIET, font=small, anchor="rb")


def _strip(pen: ImageDraw.ImageDraw, axis: Axis, n: int, begun: list[int], episode: int) -> None:
    """Draw the episodes as a strip above the panels."""
    edges = [0, *begun, n]
    first = episode - len(begun)
    for i, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        left, right = GUTTER + axis.left(start), GUTTER + axis.left(end)
        if right <= left:
            continue
        shade = mixed(P.INK, P.PANEL, 0.16 if (first + i) % 2 else 0.08)
        pen.rectangle([left, 0, right - 1, _STRIP - 4], fill=shade)
        for text in (f"episode {first + i}", str(first + i)):
            if P.font(10).getlength(text) + 8 < right - left:
                pen.text((left + 4, (_STRIP - 4) / 2), text, fill=P.INK, font=P.font(10), anchor="lm")
                break


def _ticks(pen: ImageDraw.ImageDraw, axis: Axis, top: int, first: int, n: int) -> None:
    """Write env steps under the panels, at multiples of a round number."""
    units = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    unit = next(unit for unit in units if axis.span / unit <= max(2, axis.width // 90))
    for step in range(-(-first // unit) * unit, first + axis.span, unit):
        x = GUTTER + axis.left(step - first + 0.5)
        half = P.font(10).getlength(f"{step:,}") / 2
        if GUTTER <= x - half and x + half <= GUTTER + axis.width:
            pen.line([(x, top), (x, top + 3)], fill=P.QUIET)
            pen.text((x, top + 5), f"{step:,}", fill=P.QUIET, font=P.font(10), anchor="mt")
    pen.text((GUTTER - 5, top + 5), "step", fill=P.QUIET, font=P.font(10), anchor="rt")
