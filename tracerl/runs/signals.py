"""Signals that end a run, handled at the end of an env step."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

# Ctrl-C; the end of a scheduler's job; the warning of SLURM, as submitit sets it.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class DeferredInterrupt:
    """A context that records the first signal. A second SIGINT raises KeyboardInterrupt at once.

    It has no effect outside the main thread, because Python allows signal handlers only there. Within another such
    context, a signal that this one has recorded already is recorded here too.

    Attributes:
        signal: the recorded signal; None before the first one.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._outer: DeferredInterrupt | None = None

    def __call__(self) -> bool:
        """Return whether a signal was recorded."""
        return self.signal is not None

    def __enter__(self) -> "DeferredInterrupt":
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
            outer = getattr(self._previous[signal.SIGINT], "__self__", None)
            if isinstance(outer, DeferredInterrupt):
                self._outer, self.signal = outer, self.signal or outer.signal
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def forward(self) -> None:
        """Record the signal in an outer context, or call the previous handler with it, after all files are written.

        The handler of a launcher needs the signal: submitit's handler requeues the job in SLURM. The default handlers
        of Python and the system are not called, because the exit code has the same effect.
        """
        if self._outer is not None:
            self._outer.signal = self._outer.signal or self.signal
        elif (handler := self._launcher()) is not None:
            handler(self.signal, None)

    def ends_command(self) -> bool:
        """Return whether a signal was recorded that no outer context and no handler of a launcher receives."""
        return self.signal is not None and self._outer is None and self._launcher() is None

    def forward_after_end(self) -> None:
        """Forward the signal after a run that ended by itself, which a scheduler need not start again (SIGUSR2)."""
        if self._outer is not None or self.signal != signal.SIGUSR2:
            self.forward()

    def end(self) -> NoReturn:
        """Raise KeyboardInterrupt or, for a command that SIGTERM or SIGUSR2 ends, SystemExit with 128 + the signal."""
        if self._outer is None and self.signal is not None and self.signal != signal.SIGINT:
            raise SystemExit(128 + self.signal)
        raise KeyboardInterrupt

    def _launcher(self) -> Callable[..., Any] | None:
        """Return the handler of a launcher for the recorded signal; None without one."""
        handler = self._previous.get(self.signal or 0)
        return handler if callable(handler) and handler is not signal.default_int_handler else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
