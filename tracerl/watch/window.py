"""A window that shows pictures at a pace, by pygame."""

import os
import sys
import time
from collections.abc import Callable
from types import ModuleType

from tracerl.config.checks import ConfigError
from tracerl.recording.images import Picture
from tracerl.watch.pace import Pace

_DRAWN_NOWHERE = ("dummy", "offscreen", "evdev")  # drivers that SDL falls back on without a display
_SLOWEST, _FASTEST = 1 / 64, 1024.0


def has_display() -> bool:
    """Whether a window could be seen: a display is named, or this is no Linux, or a driver was asked for."""
    named = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in named)


class Window:
    """A window; what keys do is in ``options.KEYS``, and closing it quits.

    Attributes:
        closed: the user wants to see no more.
    """

    def __init__(self, title: str, size: tuple[int, int], pace: Pace, interrupted: Callable[[], bool]) -> None:
        self._pygame = _load()
        asked = os.environ.get("SDL_VIDEODRIVER")
        try:
            self._pygame.display.init()
            if not asked and self._pygame.display.get_driver() in _DRAWN_NOWHERE:
                raise self._pygame.error("no display")
            self._screen = self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            raise ConfigError("window", f"cannot be opened: {error}; --video and --raster write files") from error
        self._title, self._pace, self._interrupted, self.closed = title, pace, interrupted, False
        self._paused, self._next_at = False, time.monotonic()
        self._picture: Picture | None = None
        self._name()

    def show(self, picture: Picture) -> None:
        """Show a picture for as long as the pace says; while paused, until a key lets it go."""
        self._picture = picture
        self._draw()
        now = time.monotonic()
        self._next_at = max(self._next_at, now - 0.1) + 1 / self._pace.fps  # after a slow frame, no rush to catch up
        once = False
        while not (self.closed or once or self._interrupted()):
            once = self._handle()
            if not self._paused and time.monotonic() >= self._next_at:
                return
            time.sleep(min(0.01, max(0.001, self._next_at - time.monotonic())) if not self._paused else 0.01)
        self._next_at = time.monotonic()

    def close(self) -> None:
        """Close it."""
        self._pygame.display.quit()

    def _handle(self) -> bool:
        """Do what the keys ask for; true: show one more moment, then pause."""
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                self.closed = True
            elif event.type in (self._pygame.VIDEORESIZE, self._pygame.VIDEOEXPOSE):
                self._draw()
            elif event.type == self._pygame.KEYDOWN and self._press(event.key, event.unicode):
                return True
        return False

    def _press(self, key: int, letter: str) -> bool:
        """Act on a key; true for one more moment."""
        if key == self._pygame.K_ESCAPE or letter == "q":
            self.closed = True
        elif key == self._pygame.K_SPACE:
            self._paused = not self._paused
        elif letter in ("+", "="):
            self._pace.speed = min(_FASTEST, self._pace.speed * 2)
        elif letter == "-":
            self._pace.speed = max(_SLOWEST, self._pace.speed / 2)
        elif letter == "n":
            self._paused = True
        self._name()
        return letter == "n"

    def _name(self) -> None:
        state = ", paused" if self._paused else ""
        self._pygame.display.set_caption(f"{self._title} ({self._pace.speed:g}x{state})")

    def _draw(self) -> None:
        """Draw the picture as large as the window, its proportions kept."""
        if self._picture is None:
            return
        surface = self._pygame.image.frombuffer(self._picture.tobytes(), self._picture.shape[1::-1], "RGB")
        room, size = self._screen.get_size(), surface.get_size()
        scale = min(room[0] / size[0], room[1] / size[1])
        if scale != 1:
            size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
            surface = self._pygame.transform.smoothscale(surface, size)
        self._screen.fill((0, 0, 0))
        self._screen.blit(surface, ((room[0] - size[0]) // 2, (room[1] - size[1]) // 2))
        self._pygame.display.flip()


def _load() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ModuleNotFoundError as error:
        raise ConfigError("window", 'needs packages that are not installed: pip install "tracerl[watch]"') from error
    module: ModuleType = pygame
    return module
