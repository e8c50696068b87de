"""Cache of machine code on disk. Kernels are recompiled if a file is damaged or the folder cannot be written."""

import atexit
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numba.core import caching

from tracerl.config.flock import FolderLock

_FunctionCache: Any = caching.FunctionCache  # numba has no types
_CacheFile: Any = caching.IndexDataCacheFile


class KernelCache(_FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function. Unreadable files count as missing."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Find the files of a function below ``numba.config.CACHE_DIR``.

        Raises:
            RuntimeError: no folder can be written.
        """
        super().__init__(function)
        self._function, where = function.__qualname__, self._impl
        self._cache_file = _Files(self._cache_path, where.filename_base, where.locator.get_source_stamp())

    def holds(self, signature: tuple[Any, ...], target: Any) -> bool:
        """Return whether the cache has valid machine code for arguments of these types."""
        return self._sound(lambda: self._cache_file.load(self._index_key(signature, target.codegen()))) is not None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for a signature; None without a valid one."""
        return self._sound(lambda: super(KernelCache, self).load_overload(sig, target_context))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save machine code. A failed write is a warning."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn(f"cannot write the kernel cache {self._cache_path}: {error}; every run recompiles its kernels")

    def _sound(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:  # pickle can raise any error for damaged bytes
            name = f"{type(error).__name__}: {error}"
            _warn(f"damaged kernel cache {self._cache_path} ({name}): {self._function} is recompiled")
            for path in Path(self._cache_path).glob(f"{self._impl.filename_base}.*nb[ic]"):
                with suppress(OSError):
                    path.unlink()
            return None


class _Files(_CacheFile):  # type: ignore[misc]
    """Numba's index and data files, with a digest at the end of each data file."""

    def _data_name(self, number: int) -> str:
        """Return a file name that is unique to the process, because processes that compile at once share numbers."""
        return str(super()._data_name(uuid.uuid4().int))

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + hashlib.sha256(data).digest()  # pickle ignores bytes after its data

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError(f"{name} does not match its digest")
        return super()._load_data(name)


@functools.cache
def writable(folder: str) -> str:
    """Return a folder for machine code if it can be written, else a temporary one for this process."""
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return folder
    except OSError as error:
        problem = f"cannot write the kernel cache {folder}: {error}"
    _warn(f"{problem}; every run recompiles its kernels. NUMBA_CACHE_DIR=FOLDER sets another folder")
    try:
        other = tempfile.mkdtemp(prefix="tracerl-kernels-")
    except OSError:
        return folder
    atexit.register(shutil.rmtree, other, ignore_errors=True)
    return other


@contextmanager
def alone(folder: str, name: str) -> Iterator[None]:
    """A context of one process of this machine at a time, for a name. Without file locks it is of any number."""
    locked = Path(folder) / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
    with suppress(OSError):
        locked.mkdir(exist_ok=True)
    lock = FolderLock(locked, wait=True)
    try:
        yield
    finally:
        lock.release()


@functools.cache  # several kernels have the same warning
def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)
