"""Environment variables with which envs draw their frames without a display."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """A context with environment variables that the user has not set."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def pygame_environment(*, window: bool = False) -> Iterator[None]:
    """A context in which pygame prints no banner and, unless there is a window, needs no display."""
    hidden = {} if window else {"SDL_VIDEODRIVER": "dummy"}
    with environment({"PYGAME_HIDE_SUPPORT_PROMPT": "1", **hidden}):
        yield


@contextmanager
def mujoco_environment() -> Iterator[None]:
    """A context in which MuJoCo renders with EGL if there is no display, because its default library needs one.

    It is for rendering alone: without EGL, the import of MuJoCo fails with this setting.
    """
    shown = not sys.platform.startswith("linux") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # ignore errors of an incomplete viewer
    try:
        with environment({} if shown else {"MUJOCO_GL": "egl"}):
            yield
    finally:
        sys.unraisablehook = hook
