"""Show pictures in a pygame window at a frame rate."""

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.recording.images import Picture
from tracerl.watch.pace import Pace

_INVISIBLE = ("dummy", "offscreen", "evdev")  # fallback drivers of SDL without a display
_SLOWEST, _FASTEST = 1 / 64, 1024.0


def has_display() -> bool:
    """Return whether a display or video driver is set, or the system is not Linux."""
    named = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in named)


class Window:
    """A window. ``options.KEYS`` lists its keys. Closing the window quits.

    Attributes:
        closed: whether the user has closed the window.
    """

    def __init__(self, title: str, size: tuple[int, int], pace: Pace, interrupted: Callable[[], bool]) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        checks.packages("window", "watch", "pygame")
        self._pygame = import_module("pygame")
        asked = os.environ.get("SDL_VIDEODRIVER")
        try:
            self._pygame.display.init()
            if not asked and self._pygame.display.get_driver() in _INVISIBLE:
                raise self._pygame.error("no display")
            self._screen = self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            raise ConfigError("window", f"cannot be opened: {error}; --video and --raster write files") from error
        self._title, self._pace, self._interrupted, self.closed = title, pace, interrupted, False
        self._paused, self._next_at = False, time.monotonic()
        self._picture: Picture | None = None
        self._name()

    def show(self, picture: Picture) -> None:
        """Show a picture for the duration of a frame or, while paused, until a key is pressed."""
        self._picture = picture
        self._draw()
        now = time.monotonic()
        self._next_at = max(self._next_at, now - 0.1) + 1 / self._pace.fps  # do not catch up after a slow frame
        once = False
        while not (self.closed or once or self._interrupted()):
            once = self._handle()
            if not self._paused and time.monotonic() >= self._next_at:
                return
            time.sleep(min(0.01, max(0.001, self._next_at - time.monotonic())) if not self._paused else 0.01)
        self._next_at = time.monotonic()

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()

    def _handle(self) -> bool:
        """Handle all events; return True to show one more picture and then pause."""
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                self.closed = True
            elif event.type in (self._pygame.VIDEORESIZE, self._pygame.VIDEOEXPOSE):
                self._draw()
            elif event.type == self._pygame.KEYDOWN and self._press(event.key, event.unicode):
                return True
        return False

    def _press(self, key: int, letter: str) -> bool:
        """Handle a key; return True for one more picture."""
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
        """Draw the picture in the size of the window and keep its proportions."""
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
