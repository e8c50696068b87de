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
    """Compile a function that other kernels call and Python must not; its machine code is kept as a part of theirs."""
    return _compile(function, _FREEDOMS, inner=True)


def entry(function: Function) -> Function:
    """Compile a function that Python calls, keeping the machine code for the next process."""
    return _compile(function, _FREEDOMS)


def shared(function: Function) -> Function:
    """Compile as ``entry`` does; a ``prange`` in it is shared out among threads, which may be any number."""
    return _compile(function, _FREEDOMS, parallel=True)


def exact(function: Function) -> Function:
    """Compile as ``entry`` does, every operation rounded as Python rounds it, also inside a kernel that calls it."""
    return _compile(function, False)


_FREEDOMS = {"reassoc", "contract", "arcp", "nsz"}


def _compile(function: Function, fastmath: set[str] | bool, inner: bool = False, parallel: bool = False) -> Function:
    config: Any = numba.config
    asked_for = config.CACHE_DIR  # the user's NUMBA_CACHE_DIR, or empty
    config.CACHE_DIR = asked_for or _cache_folder()
    how: Any = (
        {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} if inner else {"cache": True, "parallel": parallel}
    )
    try:
        compile_: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, **how)
        compiled: Function = compile_(function)
    finally:
        config.CACHE_DIR = asked_for
    return compiled


def announce(compiled: Any) -> None:
    """Tell a person who is about to wait that an entry is compiled, where no earlier process left it."""
    function = compiled.py_func
    name = f"{function.__module__.rpartition('.')[-1]}.{function.__name__}"
    asked_for = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    if not any(Path(asked_for or _cache_folder()).rglob(f"{name}-*.nbi")):
        print("compiling the fused engine's kernels: once on this machine, about 20 s", file=sys.stderr, flush=True)


@functools.cache
def _cache_folder() -> str:
    """Return a folder of the user's cache that belongs to these very sources.

    numba looks at the file of the outermost kernel only, and would go on using it after a change to one it calls.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [*sorted(here.glob("*.py")), here.parent / "agent.py"]:  # which numbers the verbs
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "tracerl" / "kernels" / digest.hexdigest()[:16])
