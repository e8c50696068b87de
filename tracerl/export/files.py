"""Write files atomically."""

from pathlib import Path

from tracerl.config.checks import ConfigError
from tracerl.runs.files import write_atomic


def write_whole(path: Path, data: bytes, option: str) -> None:
    """Write a file atomically and replace an existing one."""
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {path.parent}")
        write_atomic(path, data)
    except OSError as error:
        raise ConfigError(option, f"must be a file that can be written, got {str(path)!r}: {error}") from error
