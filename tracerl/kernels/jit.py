"""Compile kernels: cached on disk, with reordered sums allowed, and with NaN and infinity preserved."""

import functools
import hashlib
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numba
from numba.extending import overload

from tracerl.kernels.cache import KernelCache, alone, writable

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function for calls from other kernels only. Its machine code is cached as a part of theirs."""
    return _compile(function, _FREEDOMS, inner=True)


def inlined(function: Function) -> Function:
    """Insert a function into the kernels that call it, before they are compiled.

    For the outer levels of a step. The compiler optimises a kernel together with everything it calls, so that each
    level of calls takes as long to compile as all levels below it.
    """
    return _compile(function, _FREEDOMS, inner=True, inline="always")


def entry(function: Function) -> Function:
    """Compile a function for calls from Python, and cache its machine code for later processes."""
    return _compile(function, _FREEDOMS)


def shared(function: Function) -> Function:
    """Compile like ``entry``, with each ``prange`` parallel over any number of threads."""
    return _compile(function, _FREEDOMS, parallel=True)


def by_layers(spiking: Function, rectified: Function) -> Function:
    """Return one of two kernels of the same arguments for others to call: by the type of the records ``layers``."""
    first: Any = spiking
    place = list(inspect.signature(first.py_func).parameters).index("layers")
    found: Function = _either(lambda *types: spiking if "membrane" in types[place].dtype.fields else rectified)
    return found


def by_precision(single: Function, double: Function) -> Function:
    """Return one of two kernels of a number for others to call: the first for a float32."""
    found: Function = _either(lambda number: single if number == numba.float32 else double)
    return found


def _either(choose: Callable[..., Any]) -> Any:
    """Return a function in whose place the compiler inserts the kernel that is chosen by the arguments' types."""

    def either(*arguments: Any) -> Any:
        raise NotImplementedError  # the compiler inserts a kernel

    how: Any = {**_OPTIONS, **_INNER, "fastmath": _FREEDOMS}
    overload(either, jit_options=how, strict=False)(lambda *types: choose(*types).py_func)
    return either


def exact(function: Function) -> Function:
    """Compile like ``entry``, with every operation rounded like in Python, also when called from a kernel."""
    return _compile(function, False)


_FREEDOMS = {"reassoc", "contract", "arcp", "nsz"}
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _compile(
    function: Function,
    fastmath: set[str] | bool,
    inner: bool = False,
    parallel: bool = False,
    inline: Literal["always", "never"] = "never",
) -> Function:
    config: Any = numba.config
    asked_for = config.CACHE_DIR  # the user's NUMBA_CACHE_DIR, or empty
    how: Any = _INNER if inner else {"parallel": parallel}
    compile_: Any = numba.njit(fastmath=fastmath, inline=inline, **_OPTIONS, **how)
    compiled: Any = compile_(function)
    if inner:
        return compiled  # type: ignore[no-any-return]
    config.CACHE_DIR = _folder()
    try:
        compiled._cache = KernelCache(function)
    except RuntimeError:  # no writable folder, or a function without a file
        pass
    finally:
        config.CACHE_DIR = asked_for
    return compiled  # type: ignore[no-any-return]


def prepare(compiled: Any, *arguments: Any) -> None:
    """Cache the machine code of an entry for these arguments before its first call, with a message if it is slow.

    The entry is compiled in a separate process. A process that compiles an entry links it to other copies of the called
    kernels than a process that loads it, and sums in these copies can be rounded differently. So every run loads its
    machine code, and the first run on a machine is bit-identical to later ones. Of several processes that need the
    same machine code at once, one compiles it and the others wait.
    """
    signature = tuple(numba.typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
    cache = compiled._cache
    if not isinstance(cache, KernelCache) or cache.holds(signature, compiled.targetctx):
        return
    print("compiling the fused engine's kernels: once on this machine, about a minute", file=sys.stderr, flush=True)
    function = compiled.py_func
    task = pickle.dumps(sys.path) + pickle.dumps((_folder(), function.__module__, function.__name__, signature))
    silent = subprocess.DEVNULL  # after a failure, the caller compiles and gets the error
    command = [sys.executable, "-c", _COMPILE_THERE]
    options: dict[str, Any] = {"stdout": silent, "stderr": silent, "start_new_session": True, "check": False}
    with alone(_folder(), f"{function.__module__}.{function.__name__} {signature}"):
        if not cache.holds(signature, compiled.targetctx):
            subprocess.run(command, input=task, **options)


_COMPILE_THERE = """
import importlib, pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
folder, module, name, signature = pickle.load(sys.stdin.buffer)
from tracerl.kernels import jit
jit._folder = lambda: folder
getattr(importlib.import_module(module), name).compile(signature)
"""


def _folder() -> str:
    """Return the folder for machine code of the current sources, below NUMBA_CACHE_DIR or in the user's cache."""
    config: Any = numba.config
    return writable(str(Path(config.CACHE_DIR) / _digest()) if config.CACHE_DIR else _cache_folder())


def _cache_folder() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "tracerl" / "kernels" / _digest())


@functools.cache
def _digest() -> str:
    """Return a digest of the current sources.

    numba checks the file of the outermost kernel only, and would not notice a change to a kernel that it calls. The
    sources outside this package, but for the step types, are not part of the digest: kernels repeat the constants of
    other packages, and name their source.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [
        *sorted(here.rglob("*.py")),
        here.parent / "lifetime" / "protocol.py",
    ]:  # defines the numbers of the step types
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
