"""Read regular files of an untrusted run folder, and write files atomically.

An OSError is raised for a file that is missing, of another kind, too large, unreadable or unwritable. A ValueError is
raised for invalid contents, such as text that is not UTF-8 or yaml with aliases, which can expand beyond the memory.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from tracerl.config.checks import ConfigError
from tracerl.runs import disk

LIMIT = 16 * 2**20  # largest size of a text file, bytes

_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: opening a named pipe must return
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def kind(mode: int) -> str:
    """Return the kind of a file in words, from its mode."""
    return _KINDS.get(stat.S_IFMT(mode), "of an unknown kind")


def is_regular(path: Path) -> bool:
    """Return whether the path is a regular file and not a link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file that is not a link and return its descriptor."""
    _check(path, os.lstat(path).st_mode)  # checked before opening, because opening a device can have effects
    file = os.open(path, flags | _SAFELY)
    try:
        _check(path, os.fstat(file).st_mode)
    except OSError:
        os.close(file)
        raise
    return file


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind(mode)}, not a regular file", str(path))


def create_to_append(path: Path) -> BinaryIO:
    """Create a new file and open it to append."""
    disk.close(disk.create(path))
    return open_to_append(path, 0)


def open_to_append(path: Path, size: int) -> BinaryIO:
    """Open a regular file to append, and truncate it to ``size`` bytes."""
    file = open_regular(path, os.O_WRONLY | os.O_APPEND)
    os.ftruncate(file, size)
    return open(file, "ab")


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """Return the contents of a regular file."""
    with open(open_regular(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return data


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a regular file."""
    return read_bytes(path).decode("utf-8")


def as_utf8(text: str) -> str:
    """Return a text with the bytes of a name that is not UTF-8, and other characters without UTF-8, escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if it cannot be read."""
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_yaml(path: Path) -> Any:
    """Return the plain data of a yaml file without aliases."""
    return parse_yaml(read_text(path))


def parse_yaml(text: str) -> Any:
    """Return the plain data of a yaml text without aliases."""
    try:
        if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader)):
            raise ValueError("it has aliases")
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is not yaml: {error}") from error


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside a file. An error removes it, and names the file."""
    aside = path.with_name(path.name + ".part")
    try:
        if disk.exists(aside):  # left by a killed writer
            disk.remove_file(aside)
        yield aside
    except BaseException as error:
        with suppress(OSError):
            disk.remove_file(aside)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(aside)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside a file, and rename it to the file on exit.

    A link at either path is replaced, not followed. A file has one writer at a time.

    Args:
        path: of the file.
        sync: wait until the new name is on the disk.
    """
    with _aside(path) as aside:
        yield aside
        disk.rename(aside, path)
        if sync:
            disk.sync_folder(path.parent)


def check_named(path: Path) -> None:
    """Raise an OSError for a path that ``write_named`` cannot write, before the work for it."""
    if path.is_dir():
        raise IsADirectoryError("it is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    at = path if path.exists() and _is_written_in_place(path) else path.parent
    if not os.access(at, os.W_OK):
        raise PermissionError(f"{at} cannot be written")


@contextmanager
def file_of(option: str, path: Path) -> Iterator[None]:
    """A context in which a file that cannot be written is a ConfigError of the option that names it."""
    try:
        yield
    except OSError as error:
        raise ConfigError(option, f"must be a file that can be written, got {str(path)!r}: {error}") from error


def check_output(option: str, path: Path) -> None:
    """Raise a ConfigError for a file of an option that ``write_named`` cannot write, before the work for it."""
    with file_of(option, path):
        check_named(path)


def write_named(path: Path, data: bytes | str) -> None:
    """Write a file that a user has named: ``write_atomic``, but through a link and into a device or a pipe.

    Names that are not UTF-8 are escaped in a text.
    """
    data = as_utf8(data) if isinstance(data, str) else data
    if _is_written_in_place(path):
        try:
            path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    else:
        write_atomic(path, data)


def _is_written_in_place(path: Path) -> bool:
    """Return whether a path is a link, a device or a pipe."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def write_atomic(path: Path, data: bytes | str, *, sync: bool = True) -> None:
    """Write a file completely or not at all. Text is written as UTF-8.

    Args:
        path: of the file.
        data: its contents.
        sync: wait until the file is on the disk. False, for a file that is written often and that a run does without:
            after a crash of the machine, not of the process, it may be empty.

    Raises:
        OSError: the file cannot be written. It is as it was, and the error names it.
    """
    with replacing(path, sync=sync) as aside:
        disk.write_file(aside, data.encode("utf-8") if isinstance(data, str) else data, wait=sync)


def write_together(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a folder, by name, all of them before the first one is renamed, and rename them in order.

    Without space for all of them, the folder stays as it was.
    """
    with ExitStack() as stack:
        asides = dict[Path, Path]()
        for name, text in files.items():
            asides[folder / name] = aside = stack.enter_context(_aside(folder / name))
            disk.write_file(aside, text.encode("utf-8"))
        for path, aside in asides.items():
            disk.rename(aside, path)
        disk.sync_folder(folder)
