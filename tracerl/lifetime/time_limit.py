"""A limit on the time that a call of an env takes: ``env.timeout``."""

import faulthandler
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from tracerl.config.checks import ConfigError

CALLS = ("reset", "step", "close")
GRACE = 10.0  # seconds after the limit until the process ends, if the env blocks Python
_AGAIN = 0.1  # least seconds between two interrupts of a call, the second of which meets a bare except


class _Late(BaseException):
    """Raised inside the env, whose own ``except Exception`` does not catch it."""


class _Call:
    """The limited call that is running, if any."""

    running = False


@contextmanager
def time_limit(env: Any, seconds: float | None) -> Iterator[None]:
    """A context in which a call of an env that takes longer raises TimeoutError; no limit if ``seconds`` is None.

    A timer of the system interrupts Python code, and waits such as ``time.sleep`` and sockets. C code that neither
    returns nor runs Python cannot be interrupted: ``GRACE`` seconds later the process prints its stack and exits with
    code 1, without a summary. The last checkpoint is kept. A call costs about 45 us more.

    Args:
        env: a Gymnasium env or vector env, whose ``CALLS`` are limited.
        seconds: limit of one call; None: no limit.

    Raises:
        ConfigError: naming ``timeout``, outside the main thread, which alone receives signals.
    """
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError("timeout", f"must be null outside the main thread of the process, got {seconds}")
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        for name in CALLS:
            setattr(env, name, partial(_call, getattr(env, name), seconds, name))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name in CALLS:
            vars(env).pop(name, None)
        signal.signal(signal.SIGALRM, before)


def _call(function: Callable[..., Any], seconds: float, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a function under the limit."""
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=2)  # stderr, also if sys.stderr is replaced
    try:
        try:
            _Call.running = True
            signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds, _AGAIN))
            return function(*args, **kwargs)
        finally:
            try:
                _Call.running = False  # from here on the timer interrupts nothing
            finally:  # also where it has interrupted the line above
                _Call.running = False
                signal.setitimer(signal.ITIMER_REAL, 0)
    except _Late:
        raise TimeoutError(f"{name} did not return within {seconds:g} s (env.timeout)") from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _Call.running:
        raise _Late
