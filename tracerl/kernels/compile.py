"""How kernels are compiled: cached on disk, with sums free to be reordered, NaN and infinity kept as they are."""

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function with numba, keeping the machine code for the next process."""
    return _compile(function, _FREEDOMS)


def exact(function: Function) -> Function:
    """Compile as ``kernel`` does, every operation rounded as Python rounds it, also inside a kernel that calls it."""
    return _compile(function, False)


_FREEDOMS = {"reassoc", "contract", "arcp", "nsz"}


def _compile(function: Function, fastmath: set[str] | bool) -> Function:
    config: Any = numba.config
    asked_for = config.CACHE_DIR  # the user's NUMBA_CACHE_DIR, or empty
    config.CACHE_DIR = asked_for or _cache_folder()
    try:
        compile_: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath)
        compiled: Function = compile_(function)
    finally:
        config.CACHE_DIR = asked_for
    return compiled


def announce() -> None:
    """Tell a person who is about to wait that kernels are compiled, where no earlier process left them."""
    if not numba.config.CACHE_DIR and not Path(_cache_folder()).exists():  # type: ignore[attr-defined]
        print("compiling the fused engine's kernels: once on this machine, about 20 s", file=sys.stderr, flush=True)


@functools.cache
def _cache_folder() -> str:
    """Return a folder of the user's cache that belongs to these very sources.

    numba looks at the file of the outermost kernel only, and would go on using it after a change to one it calls.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "tracerl" / "kernels" / digest.hexdigest()[:16])
