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
GRACE = 10.0  # seconds that follow the limit; then the process ends, for the env lets no Python run


class _Late(BaseException):
    """Raised inside the env, whose own ``except Exception`` does not catch it."""


@contextmanager
def time_limit(env: Any, seconds: float | None) -> Iterator[None]:
    """A context in which a call of an env that takes longer raises TimeoutError; without a limit it does nothing.

    A timer of the system interrupts Python code, and waits such as ``time.sleep`` and sockets. Code in C that neither
    returns nor lets Python run cannot be interrupted: ``GRACE`` seconds later the process prints where it is and exits
    with code 1, without a summary; what the last checkpoint holds stays. A call costs about 45 us more.

    Args:
        env: a Gymnasium env, or many in a vector env; ``CALLS`` of it are limited.
        seconds: of one call; None: no limit.

    Raises:
        ConfigError: naming ``timeout``: signals reach the main thread only, and this is another one.
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
        for name in CALLS:
            vars(env).pop(name, None)
        signal.signal(signal.SIGALRM, before)


def _call(function: Callable[..., Any], seconds: float, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a function under the limit."""
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=2)  # stderr, whatever stands for it in sys
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again, should a bare except catch the first
        try:
            return function(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Late:
        raise TimeoutError(f"{name} did not return within {seconds:g} s (env.timeout)") from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Late
