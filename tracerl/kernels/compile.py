"""How kernels are compiled: cached on disk, with sums free to be reordered, NaN and infinity kept as they are."""

import functools
import hashlib
import os
import pickle
import subprocess
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


def prepare(compiled: Any, *arguments: Any) -> None:
    """Have an entry's machine code on disk before it is called with these arguments, and tell a person who waits.

    It is compiled in a process of its own. One that compiles an entry links the kernels that it calls to copies that
    were compiled on the way, one that loads it to those compiled with it; sums of the two may be rounded differently.
    So every life loads what it runs, and the first life on a machine has the bits of those after it.
    """
    signature = tuple(numba.typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
    if _is_on_disk(compiled, signature):
        return
    print("compiling the fused engine's kernels: once on this machine, about 20 s", file=sys.stderr, flush=True)
    function = compiled.py_func
    task = pickle.dumps(sys.path) + pickle.dumps((function.__module__, function.__name__, signature))
    silent = subprocess.DEVNULL  # where it fails, the caller compiles and is told why
    command = [sys.executable, "-c", _COMPILE_THERE]
    subprocess.run(command, input=task, stdout=silent, stderr=silent, start_new_session=True, check=False)


_COMPILE_THERE = """
import importlib, pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
module, name, signature = pickle.load(sys.stdin.buffer)
getattr(importlib.import_module(module), name).compile(signature)
"""


def _is_on_disk(compiled: Any, signature: tuple[Any, ...]) -> bool:
    """Return whether an earlier process left an entry's machine code for arguments of these types."""
    cache = compiled._cache
    return cache._index_key(signature, compiled.targetctx.codegen()) in cache._cache_file._load_index()


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
