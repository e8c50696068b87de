"""Close envs. One that fails to close is a warning, because nothing is read from it any more."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tracerl.config.checks import described
from tracerl.lifetime.loop import NOT_FAILURES


class Closable(Protocol):
    """An env, or what has envs."""

    def close(self) -> object:
        """Close the env or envs."""


Closed = TypeVar("Closed", bound=Closable)


def close_env(env: Closable) -> None:
    """Close an env, or what has envs. A failure is a line on stderr."""
    try:
        env.close()
    except NOT_FAILURES:
        raise
    except BaseException as failure:
        print(f"warning: the env failed to close: {described(failure)}", file=sys.stderr)


@contextmanager
def closing_env(env: Closed) -> Iterator[Closed]:
    """A context at whose end an env is closed by ``close_env``."""
    try:
        yield env
    finally:
        close_env(env)
