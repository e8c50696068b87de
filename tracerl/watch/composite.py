"""Compose the image of a scene: env frame and policy outputs at the left, recording at the right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tracerl.lifetime.record import Record
from tracerl.recording import actions
from tracerl.recording import images as P
from tracerl.recording.images import Picture
from tracerl.recording.maps import first_convolution, maps
from tracerl.recording.panels import action_colours, mixed
from tracerl.recording.recorder import Recording
from tracerl.recording.timeline import GUTTER, Timeline

_MARGIN, _HEADER = 12, 34
_LEFT, _LEFT_WITH_MAPS = 0.34, 0.46  # share of the width for the left part; with the maps of a convolution
_NARROWEST, _WIDEST, _TALL = 600, 1600, 660  # size of the picture of a recording
_ROW = 26  # largest height of a bar


@dataclass(frozen=True)
class Scene:
    """The data of one frame, after an env step or at the end of an episode before the next reset."""

    frame: Picture | None  # rendered image of the env; None if it cannot be rendered
    recording: Recording | None  # recording of the newest steps; None before the first
    step: int  # number of the newest recorded env step, from 1
    episode: int  # number of the current episode, from 1
    length: int  # env steps of the current episode
    earned: float  # return of the current episode so far
    # number, mean and last of the returns of up to 100 last episodes; None before an episode ends
    returns: tuple[int, float, float] | None
    action: Any  # next action or, at the end of an episode, its last action; as given to the env
    verdict: str | None = None  # how the episode ended; None before its end


class CompositeImage:
    """Composite images of one size."""

    def __init__(
        self,
        size: tuple[int, int],
        space: Any,
        title: str,
        mode: str,
        span: int | None = None,
        *,
        with_maps: bool = False,
    ) -> None:
        """Choose the layout.

        Args:
            size: width and height in pixels.
            space: action space of the env.
            title: text at the top left.
            mode: text at the top right.
            span: env steps across the panels; None: four pixels a step.
            with_maps: leave room for the neurons of a convolution beside the frame.
        """
        self.size, self._space, self._title, self._mode = size, space, title, mode
        self._left = round((_LEFT_WITH_MAPS if with_maps else _LEFT) * size[0])
        across = size[0] - self._left - 3 * _MARGIN - GUTTER
        self.span = max(10, across // 4) if span is None else span
        self._plots = across - across % self.span if across >= self.span else across  # all steps have one width
        self._timeline = Timeline(space)

    def compose(self, scene: Scene) -> Picture:
        """Draw a scene: uint8, [height, width, 3]."""
        width, height = self.size
        image = Image.new("RGB", self.size, P.BACKGROUND)
        pen = ImageDraw.Draw(image)
        _write_titles(pen, width, self._title, self._mode)
        top = self._show_frame(image, pen, scene)
        top = self._write_numbers(pen, scene, top + 14)
        self._draw_policy(image, pen, scene, top + 12)
        if scene.recording is not None and (scene.recording.layers or len(scene.recording)):
            size = GUTTER + self._plots, height - _HEADER - _MARGIN
            panels = self._timeline.draw(scene.recording, scene.step, scene.episode, size, self.span)
            image.paste(Image.fromarray(panels), (width - _MARGIN - size[0], _HEADER))
        return np.asarray(image).copy()

    def _show_frame(self, image: Image.Image, pen: ImageDraw.ImageDraw, scene: Scene) -> int:
        """Draw the env frame at the top left, and the first convolution at its right; return the bottom."""
        width, height = self._left, round(0.42 * self.size[1])
        layer = None if scene.recording is None else first_convolution(scene.recording)
        bottom = _HEADER
        if layer is not None:
            tiles = maps(layer, self._left // 2, height)
            width -= tiles.shape[1] + _MARGIN
            left = _MARGIN + width + _MARGIN
            image.paste(Image.fromarray(tiles), (left, _HEADER))
            bottom += tiles.shape[0] + 16
            pen.text((left, bottom), layer.name, fill=P.QUIET, font=P.font(11), anchor="lb")
        fitted = None if scene.frame is None else _fitted(scene.frame, width, height)
        bottom = max(bottom, _HEADER + (41 if fitted is None else fitted.height))
        pen.rectangle([_MARGIN, _HEADER, _MARGIN + width - 1, bottom - 1], fill=P.PANEL)
        if fitted is not None:
            image.paste(fitted, (_MARGIN + (width - fitted.width) // 2, _HEADER))
        else:
            middle = _MARGIN + width / 2, _HEADER + 20
            pen.text(middle, "no frame of the env", fill=P.QUIET, font=P.font(12), anchor="mm")
        return bottom

    def _write_numbers(self, pen: ImageDraw.ImageDraw, scene: Scene, top: int) -> int:
        """Write episode, step, return and earlier returns; return the bottom of the text."""
        numbers = ("episode", f"{scene.episode:,}"), ("step", f"{scene.length:,}"), ("return", f"{scene.earned:,.4g}")
        for i, (name, number) in enumerate(numbers):
            left = _MARGIN + i * self._left / 3
            pen.text((left, top), name, fill=P.QUIET, font=P.font(11), anchor="lt")
            pen.text((left, top + 16), number, fill=P.INK, font=P.font(20), anchor="lt")
        if scene.returns is not None:
            n, mean, newest = scene.returns
            text = scene.verdict or f"last return {newest:,.4g}"
            text += f", mean of {n}: {mean:,.4g}" if n > 1 else ""
            pen.text((_MARGIN, top + 46), text, fill=P.INK if scene.verdict else P.QUIET, font=P.font(11), anchor="lt")
        return top + 60

    def _draw_policy(self, image: Image.Image, pen: ImageDraw.ImageDraw, scene: Scene, top: int) -> None:
        """Draw the policy outputs and the chosen action."""
        recording = scene.recording
        if recording is None:
            return
        room = self.size[1] - _MARGIN - top - 18
        name = "last action" if scene.verdict else "next action"
        if recording.probabilities is not None:
            shares = recording.probabilities[-1]
            pen.text((_MARGIN, top), name, fill=P.INK, font=P.font(11), anchor="lt")
            self._draw_shares(image, shares, scene.action, top + 18, room)
        elif recording.mean is not None and recording.std is not None:
            pen.text((_MARGIN, top), f"{name}: mean, deviation, choice", fill=P.INK, font=P.font(11), anchor="lt")
            self._draw_means(pen, recording.mean[-1], recording.std[-1], scene.action, top + 18, room)

    def _draw_shares(self, image: Image.Image, shares: Any, action: Any, top: int, room: int) -> None:
        """Draw a bar per action, with a small triangle that points to the chosen one."""
        shown = max(1, min(len(shares), room // 10))
        pitch = min(_ROW, room // shown)
        names = actions.labels(self._space, len(shares))[:shown]
        colours = [mixed(colour, P.PANEL, 0.75) for colour in action_colours(len(shares))][:shown]
        picture = P.bars(shares[:shown], names, self._left - 16, pitch * shown, colours=colours)
        image.paste(Image.fromarray(picture), (_MARGIN, top))
        for i in actions.marks(self._space, action, len(shares)):
            if i < shown:
                x, y = _MARGIN + self._left - 12, top + (i + 0.5) * pitch - 0.5
                ImageDraw.Draw(image).polygon([(x, y), (x + 8, y - 5), (x + 8, y + 5)], fill=P.INK)

    def _draw_means(self, pen: ImageDraw.ImageDraw, mean: Any, std: Any, action: Any, top: int, room: int) -> None:
        """Draw mean, standard deviation and choice per component of the action, from -1.5 to 1.5 or wider."""
        shown = max(1, min(len(mean), room // 10))
        pitch = min(_ROW, room // shown)
        taken = actions.in_units_of_the_policy(self._space, action)
        most = max(1.5, float(np.abs(mean).max() + std.max()))

        def column(number: float) -> float:
            return _MARGIN + self._left * (0.5 + number / most / 2)

        for i, colour in enumerate(action_colours(len(mean))[:shown]):
            y = top + i * pitch
            pen.rectangle([_MARGIN, y, _MARGIN + self._left - 1, y + pitch - 3], fill=P.PANEL)
            low, high = column(mean[i] - std[i]), column(mean[i] + std[i])
            pen.rectangle([low, y + 2, high, y + pitch - 5], fill=mixed(colour, P.PANEL, 0.45))
            for edge in (-1.0, 1.0):
                pen.line([(column(edge), y), (column(edge), y + pitch - 3)], fill=P.GRID)
            pen.line([(column(mean[i]), y), (column(mean[i]), y + pitch - 3)], fill=colour, width=3)
            if taken is not None:
                x, middle = column(float(taken[i])), y + (pitch - 3) / 2
                pen.ellipse([x - 3, middle - 3, x + 3, middle + 3], fill=P.INK)


def recording_image(recording: Recording, space: Any, titles: tuple[str, str], record: Record) -> Picture:
    """Draw all panels of a recording of a lifetime, without the env."""
    n = len(recording)
    plots = max(_NARROWEST, min(4, max(1, _WIDEST // n)) * n)
    size = 2 * _MARGIN + GUTTER + plots, _TALL
    image = Image.new("RGB", size, P.BACKGROUND)
    pen = ImageDraw.Draw(image)
    _write_titles(pen, size[0], *titles)
    room = GUTTER + plots, size[1] - _HEADER - _MARGIN
    panels = Timeline(space).draw(recording, record.step, record.episodes + 1, room, n)
    image.paste(Image.fromarray(panels), (_MARGIN, _HEADER))
    return np.asarray(image).copy()


def _write_titles(pen: ImageDraw.ImageDraw, width: int, title: str, mode: str) -> None:
    """Write the title, cut to fit, and the mode."""
    room = width - 3 * _MARGIN - P.font(12).getlength(mode)
    cut = next((title[:n] for n in range(len(title), 0, -1) if P.font(14).getlength(title[:n] + "…") <= room), "")
    pen.text((_MARGIN, 22), title if cut == title else f"{cut}…", fill=P.INK, font=P.font(14), anchor="ls")
    pen.text((width - _MARGIN, 22), mode, fill=P.QUIET, font=P.font(12), anchor="rs")


def _fitted(frame: Picture, width: int, height: int) -> Image.Image:
    """Scale a frame to fit and keep its proportions. Small frames are scaled by integers, for sharp pixels."""
    image = Image.fromarray(np.ascontiguousarray(frame))
    scale = min(width / image.width, height / image.height)
    if scale >= 2:
        whole = int(scale)
        return image.resize((image.width * whole, image.height * whole), Image.Resampling.NEAREST)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR)
