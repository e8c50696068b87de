"""Signals that end a run, handled at the end of an env step."""

import signal
import threading
from types import FrameType
from typing import Any

# Ctrl-C; the end of a scheduler's job; the warning of SLURM, as submitit sets it.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class DeferredInterrupt:
    """A context that records the first signal. A second SIGINT raises KeyboardInterrupt at once.

    It has no effect outside the main thread, because Python allows signal handlers only there.

    Attributes:
        signal: the recorded signal; None before the first one.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Return whether a signal was recorded."""
        return self.signal is not None

    def __enter__(self) -> "DeferredInterrupt":
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def forward(self) -> None:
        """Call the previous handler with the recorded signal, after all files are written.

        The handler of a launcher needs the signal: submitit's handler requeues the job in SLURM. The default handlers
        of Python and the system are not called, because the exit code has the same effect.
        """
        handler = self._previous.get(self.signal or 0)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(self.signal, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
