"""How kernels are compiled: cached on disk, with sums free to be reordered, NaN and infinity kept as they are."""

import functools
import hashlib
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.extending import overload

from tracerl.kernels.cache import KernelCache, writable

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


def by_layers(spiking: Function, rectified: Function) -> Function:
    """Return one of two kernels of the same arguments for others to call: by the type of the records ``layers``."""
    first: Any = spiking
    second: Any = rectified
    place = list(inspect.signature(first.py_func).parameters).index("layers")

    def either(*arguments: Any) -> Any:
        raise NotImplementedError  # the compiler puts one of the two in its place

    def choose(*types: Any) -> Any:
        return (first if "membrane" in types[place].dtype.fields else second).py_func

    how: Any = {**_OPTIONS, **_INNER, "fastmath": _FREEDOMS}
    overload(either, jit_options=how, strict=False)(choose)
    found: Any = either
    return found  # type: ignore[no-any-return]


def exact(function: Function) -> Function:
    """Compile as ``entry`` does, every operation rounded as Python rounds it, also inside a kernel that calls it."""
    return _compile(function, False)


_FREEDOMS = {"reassoc", "contract", "arcp", "nsz"}
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _compile(function: Function, fastmath: set[str] | bool, inner: bool = False, parallel: bool = False) -> Function:
    config: Any = numba.config
    asked_for = config.CACHE_DIR  # the user's NUMBA_CACHE_DIR, or empty
    how: Any = _INNER if inner else {"parallel": parallel}
    compile_: Any = numba.njit(fastmath=fastmath, **_OPTIONS, **how)
    compiled: Any = compile_(function)
    if inner:
        return compiled  # type: ignore[no-any-return]
    config.CACHE_DIR = _folder()
    try:
        compiled._cache = KernelCache(function)
    except RuntimeError:  # no folder can be written, or the function is in no file
        pass
    finally:
        config.CACHE_DIR = asked_for
    return compiled  # type: ignore[no-any-return]


def prepare(compiled: Any, *arguments: Any) -> None:
    """Have an entry's machine code on disk before it is called with these arguments, and say so where that takes long.

    It is compiled in a process of its own. One that compiles an entry links the kernels that it calls to copies that
    were compiled on the way, one that loads it to those compiled with it; sums of the two may be rounded differently.
    So every run loads its machine code, and the first run on a machine is bit-identical to those after it.
    """
    signature = tuple(numba.typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
    cache = compiled._cache
    if not isinstance(cache, KernelCache) or cache.holds(signature, compiled.targetctx):
        return
    print("compiling the fused engine's kernels: once on this machine, about 20 s", file=sys.stderr, flush=True)
    function = compiled.py_func
    task = pickle.dumps(sys.path) + pickle.dumps((function.__module__, function.__name__, signature))
    silent = subprocess.DEVNULL  # where it fails, the caller compiles and is told why
    command = [sys.executable, "-c", _COMPILE_THERE]
    environment = {**os.environ, "NUMBA_CACHE_DIR": _folder()}
    subprocess.run(
        command, input=task, env=environment, stdout=silent, stderr=silent, start_new_session=True, check=False
    )


_COMPILE_THERE = """
import importlib, pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
module, name, signature = pickle.load(sys.stdin.buffer)
getattr(importlib.import_module(module), name).compile(signature)
"""


def _folder() -> str:
    """Return where machine code lies: in the folder that the user names, or in the project's own."""
    config: Any = numba.config
    return writable(config.CACHE_DIR or _cache_folder())


@functools.cache
def _cache_folder() -> str:
    """Return a folder of the user's cache that belongs to these very sources.

    numba looks at the file of the outermost kernel only, and would go on using it after a change to one it calls.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [*sorted(here.rglob("*.py")), here.parent / "lifetime" / "protocol.py"]:  # which numbers the step types
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "tracerl" / "kernels" / digest.hexdigest()[:16])
