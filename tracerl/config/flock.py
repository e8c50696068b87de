"""Locks on folders, which the kernel releases when the process that holds them ends, killed or not.

``filelock`` is not used. It leaves a lock file in every folder, and it cannot test a lock without writing, as listing
runs requires.
"""

import os
import weakref
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class FolderLock:
    """An exclusive lock on a folder, among the processes of one machine.

    Attributes:
        works: whether the file system has such locks. If not, nothing is locked.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        """Lock a folder; with ``wait`` as soon as no other process does, else with a BlockingIOError if one does."""
        self._descriptor = _lock(folder, shared=False, wait=wait)
        self.works = self._descriptor is not None
        if self.works:  # a forked child, such as an env worker, would otherwise hold the lock
            release = weakref.WeakMethod(self.release)
            os.register_at_fork(after_in_child=lambda: (found := release()) and found())

    def release(self) -> None:
        """Release the lock. A second call has no effect."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # no LOCK_UN, which in a forked child would release the parent's lock
        self._descriptor = None


def is_locked(folder: Path) -> bool | None:
    """Return whether a process of this machine holds the lock of a folder; None if locks are not supported."""
    try:
        descriptor = _lock(folder, shared=True)
    except BlockingIOError:
        return True
    if descriptor is not None:
        os.close(descriptor)
    return None if descriptor is None else False


def _lock(folder: Path, shared: bool, wait: bool = False) -> int | None:
    """Return a descriptor that holds a lock; None if the system or the file system has no locks."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None  # ENOLCK, ENOSYS, EOPNOTSUPP: a network file system without locks
    return descriptor
