"""The system calls that change files of a run, one function each, so that tests can make any of them fail."""

import errno
import os
import shutil
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create(path: Path) -> int:
    """Create a new file and return its descriptor."""
    return os.open(path, _NEW, 0o666)


def write(file: int, data: memoryview) -> int:
    """Write bytes from the start of ``data`` and return their number."""
    return os.write(file, data)


def sync(file: int) -> None:
    """Wait until a file or folder is on the disk."""
    os.fsync(file)


def close(file: int) -> None:
    """Close a file or folder."""
    os.close(file)


def open_folder(path: Path) -> int:
    """Open a folder, to sync it."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def make_folder(path: Path) -> None:
    """Create a new folder."""
    os.mkdir(path)


def rename(old: Path, new: Path) -> None:
    """Move a file or folder. A file replaces a file at ``new``. A folder needs a free name."""
    os.rename(old, new)


def remove_file(path: Path) -> None:
    """Remove a file or a link."""
    os.unlink(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and its contents. Links are removed, not followed."""
    shutil.rmtree(path)


# The functions below use the calls above.


def write_file(path: Path, data: bytes, *, wait: bool = True) -> None:
    """Write a new file and, unless not to ``wait``, wait until it is on the disk."""
    file = create(path)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[write(file, rest) :]  # a write may take a part only
        if wait:
            sync(file)
    finally:
        close(file)


def sync_folder(path: Path) -> None:
    """Wait until the directory entries of a folder are on the disk."""
    folder = open_folder(path)
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync no folders
            raise
    finally:
        close(folder)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        remove_file(path)


def exists(path: Path) -> bool:
    """Return whether the path exists. A broken link counts."""
    return os.path.lexists(path)
