"""Ctrl-C, taken at the end of a step instead of in its middle."""

import signal
import threading
from types import FrameType, TracebackType


class DeferredInterrupt:
    """A context in which the first SIGINT is only noted; a second one raises KeyboardInterrupt at once.

    Outside the main thread, where Python allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        """Nothing noted yet."""
        self._noted = False

    def __call__(self) -> bool:
        """Say whether an interrupt was noted."""
        return self._noted

    def __enter__(self) -> "DeferredInterrupt":
        """Take over SIGINT."""
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give SIGINT back."""
        if self._active:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = True
