"""Signals that ask a run to end, taken at the end of a step instead of in its middle."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGUSR2,
)  # Ctrl-C; a scheduler's end; SLURM's warning, as submitit has it


class DeferredInterrupt:
    """A context in which the first signal is only noted; a second SIGINT raises KeyboardInterrupt at once.

    Outside the main thread, where Python allows no handlers, it does nothing.

    Attributes:
        signal: the one that was noted; None as long as none was.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Say whether a signal was noted."""
        return self.signal is not None

    def __enter__(self) -> "DeferredInterrupt":
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def hand_on(self) -> None:
        """Let the handler that stood here before have the noted signal, once everything is written.

        A launcher's own handler, such as submitit's that asks SLURM to queue the job again, must not miss it. Python's
        and the system's defaults are not called: the exit code says the same.
        """
        handler = self._previous.get(self.signal or 0)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(self.signal, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
